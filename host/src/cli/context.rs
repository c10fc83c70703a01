//! What every command gets: the settings, who asks, and where its outcome goes.

use std::io::{self, IsTerminal, Write};

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{
    answer,
    console::{Console, write},
    global::Output,
};
use crate::{
    config::Config,
    error::{Error, Result},
    report::json,
};

/// What every command gets.
pub struct Context {
    pub config: Config,
    pub run_id: Uuid,
    pub output: Output,
    /// Its name, such as `backup list`.
    pub command: String,
    /// Whether stdout is for events alone.
    pub events_on_stdout: bool,
    pub yes: bool,
    pub embedded: bool,
    /// Whether the project's own server is meant, also by a command that does not ask it.
    pub means_embedded: bool,
    pub console: Console,
}

impl Context {
    /// Prints an outcome: text for people, JSON for programs.
    pub fn print<T: Serialize + JsonSchema>(&self, outcome: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
        match self.output {
            Output::Text | Output::Github if self.events_on_stdout => {
                self.console.say(text(outcome).trim_end_matches('\n'))
            }
            Output::Text | Output::Github => self.console.print(&text(outcome))?,
            Output::Json => write(format!("{}\n", json::object(&self.command, outcome)?).as_bytes())?,
        }
        Ok(())
    }

    /// Asks before something that is hard to take back; only people at a terminal are asked.
    pub async fn confirm(&self, question: &str) -> Result<()> {
        if self.yes || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Ok(());
        }
        // Where it cannot be shown there is nobody who could answer.
        let _ = write!(io::stderr(), "{question} [y/N] ");
        let answer = answer::typed(&self.config.stop).await?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        if !answer.ends_with('\n') {
            // The terminal has ended no line where the input ended.
            let _ = writeln!(io::stderr());
        }
        Err(Error::Refused { what: "not confirmed".into(), next: "answer y, or say `--yes`".into() })
    }
}
