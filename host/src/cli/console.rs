//! What a terminal is given beside the text: colours where they are wanted, and lines that fit.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
};

use clap::ValueEnum;

use crate::{
    error::{Error, Result},
    report::{View, paint, wrap},
};

/// Below this many columns nothing is wrapped: no text could be read so.
const COLUMNS_MIN: usize = 20;
/// What a terminal has that does not tell, such as one on a serial line.
const COLUMNS_USUAL: usize = 80;

/// When text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, as NO_COLOR, CLICOLOR_FORCE and TERM say
    #[default]
    Auto,
    Always,
    Never,
}

impl ColorWhen {
    /// What the arguments of this process say, before clap has read them: its own errors and help are coloured as well.
    pub fn asked() -> Self {
        let variable = env::var_os("LOCKGATE_COLOR");
        Self::among(env::args_os().skip(1)).or_else(|| Self::named(&variable?)).unwrap_or_default()
    }

    fn among(arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut arguments = arguments.take_while(|argument| argument != "--");
        while let Some(argument) = arguments.next() {
            if argument == "--color" {
                return Self::named(&arguments.next()?);
            }
            if let Some(value) = argument.to_str().and_then(|argument| argument.strip_prefix("--color=")) {
                return Self::named(OsStr::new(value));
            }
        }
        None
    }

    fn named(name: &OsStr) -> Option<Self> {
        Self::from_str(name.to_str()?, true).ok()
    }

    /// Whether a stream is coloured, which is a terminal or not.
    pub fn colors(self, is_terminal: bool) -> bool {
        self.decide(is_terminal, |name| env::var_os(name).filter(|value| !value.is_empty()))
    }

    /// The order is that of bixense.com/clicolors and no-color.org: a person who wants no colour is right against everything but an option.
    fn decide(self, is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
        let says_no = |name: &str| variable(name).is_some_and(|value| value == "0");
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if variable("NO_COLOR").is_some() => false,
            Self::Auto if variable("CLICOLOR_FORCE").is_some() && !says_no("CLICOLOR_FORCE") => true,
            Self::Auto => is_terminal && !says_no("CLICOLOR") && variable("TERM").is_none_or(|term| term != "dumb"),
        }
    }
}

/// How text looks on stdout, and how on stderr: each may be a terminal, or not.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    pub stdout: View,
    pub stderr: View,
}

impl Console {
    pub fn new(color: ColorWhen) -> Self {
        Self { stdout: view(color, io::stdout()), stderr: view(color, io::stderr()) }
    }

    /// Writes text for people on stdout.
    ///
    /// # Errors
    /// As [`write`].
    pub fn print(&self, text: &str) -> Result<()> {
        write(fit(text, self.stdout).as_bytes())
    }

    /// The same on stderr, with an end of line.
    pub fn say(&self, text: &str) {
        let _ = io::stderr().write_all((fit(text, self.stderr) + "\n").as_bytes());
    }
}

/// Writes on stdout, to the end. A reader that went away is no failure of the run.
///
/// # Errors
/// [`Error::Output`] where it cannot be written, as on a full disk: whoever reads it later must not take a part for the whole.
pub fn write(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output { cause: error.to_string() }),
        _ => Ok(()),
    }
}

fn fit(text: &str, view: View) -> String {
    let wrapped = view.width.map(|width| wrap(text, width));
    let text = wrapped.as_deref().unwrap_or(text);
    if view.color { paint(text) } else { text.to_owned() }
}

fn view(color: ColorWhen, stream: impl IsTerminal + AsFd) -> View {
    let is_terminal = stream.is_terminal();
    View {
        color: color.colors(is_terminal),
        width: is_terminal.then(|| columns(stream)).filter(|width| *width >= COLUMNS_MIN),
    }
}

/// How many columns a line of this terminal has; where it does not know, as many as COLUMNS says.
fn columns(terminal: impl AsFd) -> usize {
    match terminal_size::terminal_size_of(terminal) {
        Some((terminal_size::Width(columns), _)) => columns.into(),
        None => env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(COLUMNS_USUAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_and_for_those_who_ask() {
        let decide = |when: ColorWhen, is_terminal: bool, set: &[(&str, &str)]| {
            when.decide(is_terminal, |name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()))
        };
        let auto = ColorWhen::Auto;
        assert!(decide(auto, true, &[]) && !decide(auto, false, &[]));
        assert!(!decide(auto, true, &[("NO_COLOR", "1")]));
        assert!(decide(auto, false, &[("CLICOLOR_FORCE", "1")]) && !decide(auto, false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!decide(auto, true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
        assert!(!decide(auto, true, &[("TERM", "dumb")]) && decide(auto, true, &[("TERM", "xterm")]));
        assert!(!decide(auto, true, &[("CLICOLOR", "0")]));
        assert!(decide(ColorWhen::Always, false, &[("NO_COLOR", "1")]));
        assert!(!decide(ColorWhen::Never, true, &[("CLICOLOR_FORCE", "1")]));
    }

    #[test]
    fn the_option_is_found_before_the_line_is_parsed() {
        let among = |line: &str| ColorWhen::among(line.split_whitespace().map(OsString::from));
        assert_eq!(among("--color never status"), Some(ColorWhen::Never));
        assert_eq!(among("status --color=always"), Some(ColorWhen::Always));
        assert_eq!(among("psql -- --color=always"), None);
        assert_eq!(among("status"), None);
    }
}
