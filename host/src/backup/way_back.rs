//! The command that brings back what a backup holds, as it can be typed: with what was said on the command line, which a later call needs as well.

use std::fmt;

use serde::Serialize;

use super::Manifest;
use crate::config::Config;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct WayBack {
    /// For a shell. `FILE` and `NAME` in it stand for what nobody has said.
    pub command: String,
    /// What is to be minded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mind: Option<String>,
}

impl WayBack {
    /// Of a backup, by the settings of the run that took it or that it serves.
    pub fn of(config: &Config, manifest: &Manifest) -> Self {
        let mut words = vec!["lockgate".to_owned(), "restore".to_owned(), manifest.id.clone()];
        words.extend(config.said_again.iter().map(|word| quoted(word)));
        let mut mind = Vec::new();
        if manifest.is_encrypted() && config.backup.identity.is_none() {
            words.push("--identity FILE".to_owned());
            mind.push("FILE has the private key".to_owned());
        }
        if !manifest.scope.is_whole() {
            words.push("--into NAME".to_owned());
            mind.push(format!(
                "the backup leaves out {}, so it is restored beside the database and swapped for nothing",
                manifest.scope.left_out()
            ));
        }
        if config.sources.iter().any(|(_, _, source)| *source == "--database-url") {
            mind.push("with the same `--database-url`".to_owned());
        }
        Self { command: words.join(" "), mind: (!mind.is_empty()).then(|| mind.join("; ")) }
    }
}

impl fmt::Display for WayBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.command)?;
        match &self.mind {
            Some(mind) => write!(f, " ({mind})"),
            None => Ok(()),
        }
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        for (word, shown) in [("a/b-c.toml", "a/b-c.toml"), ("", "''"), ("a b", "'a b'"), ("it's", "'it'\\''s'")] {
            assert_eq!(quoted(word), shown);
        }
    }
}
