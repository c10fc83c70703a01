//! What a call came to, and claims about it. Each claim returns the outcome, so that claims can follow one another.

use serde_json::Value;

/// How a call ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The call, for messages.
    pub call: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// That signal.
    pub signal: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// Its errors and its log.
    pub stderr: String,
}

impl Outcome {
    /// Claims exit code 0.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.exits_with(0)
    }

    /// Claims this exit code.
    #[track_caller]
    pub fn exits_with(self, code: i32) -> Self {
        self.claim(self.code == Some(code), || format!("exits with {code}"));
        self
    }

    /// Claims an error with this exit code: what happened, the state and the advice are there.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> Self {
        let outcome = self.exits_with(code).says("error: ").says("next: ");
        let errors = outcome.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        outcome.claim(errors == 1, || "reports the error once".to_owned());
        outcome
    }

    /// Claims an error with this exit code before which nothing had been changed.
    #[track_caller]
    pub fn refuses_with(self, code: i32) -> Self {
        self.fails_with(code).says("state: nothing was changed")
    }

    /// Claims that stdout holds this text.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        self.claim(self.stdout.contains(text), || format!("prints `{text}`"));
        self
    }

    /// Claims that stdout does not hold this text.
    #[track_caller]
    pub fn does_not_print(self, text: &str) -> Self {
        self.claim(!self.stdout.contains(text), || format!("does not print `{text}`"));
        self
    }

    /// Claims that stderr holds this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        self.claim(self.stderr.contains(text), || format!("says `{text}`"));
        self
    }

    /// Claims that this text is nowhere.
    #[track_caller]
    pub fn never_mentions(self, text: &str) -> Self {
        self.claim(!self.stdout.contains(text) && !self.stderr.contains(text), || format!("never mentions `{text}`"));
        self
    }

    /// Claims a JSON object of format 1 on stdout, and nothing else there. Returns its result.
    #[track_caller]
    pub fn json(self) -> Value {
        let parsed: Result<Value, _> = serde_json::from_str(&self.stdout);
        self.claim(parsed.is_ok(), || "prints one JSON object".to_owned());
        let mut object = parsed.unwrap();
        self.claim(object["format"] == 1, || "prints JSON of format 1".to_owned());
        object["result"].take()
    }

    /// The backup that it took, by its name.
    #[track_caller]
    pub fn backup_id(&self) -> String {
        let id = self.stdout.split("backed up as ").nth(1).and_then(|rest| rest.split(' ').next());
        self.claim(id.is_some(), || "prints `backed up as`".to_owned());
        id.unwrap().to_owned()
    }

    #[track_caller]
    fn claim(&self, holds: bool, claim: impl FnOnce() -> String) {
        if holds {
            return;
        }
        let end = match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, signal) => format!("signal {signal:?}"),
        };
        panic!("`{}` {}: no.\n-- {end}\n-- stdout\n{}-- stderr\n{}", self.call, claim(), self.stdout, self.stderr);
    }
}
