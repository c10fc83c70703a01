//! `--require-rehearsal`

use std::path::PathBuf;

use clap::Args;

use crate::rehearsal::Settings;

#[derive(Args)]
pub struct RequireRehearsal {
    /// Only what was rehearsed: with a certificate that is signed, passed, recent and about this very run; `false` overrides lockgate.toml
    /// [default file: .lockgate/rehearsal.json]
    #[arg(long, value_name = "FILE", env = "LOCKGATE_REQUIRE_REHEARSAL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    require_rehearsal: Option<String>,
}

impl RequireRehearsal {
    /// Puts what was said over what `lockgate.toml` says. A file that is called `true` or `false` is written `./true`.
    pub fn settle(&self, settings: &mut Settings) {
        match self.require_rehearsal.as_deref() {
            None | Some("") => {}
            Some("true") => settings.require = true,
            Some("false") => settings.require = false,
            Some(file) => {
                settings.require = true;
                settings.certificate = PathBuf::from(file);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: RequireRehearsal,
    }

    #[test]
    fn the_option_is_over_the_file_and_may_name_another_certificate() {
        let settled = |option: &str, require| {
            let line = ["up", option].into_iter().filter(|word| !word.is_empty());
            let mut settings = Settings { require, ..Settings::default() };
            Line::try_parse_from(line).unwrap().arguments.settle(&mut settings);
            (settings.require, settings.certificate.display().to_string())
        };
        let usual = || Settings::default().certificate.display().to_string();
        assert_eq!(settled("", false), (false, usual()));
        assert_eq!(settled("", true), (true, usual()));
        assert_eq!(settled("--require-rehearsal=", true), (true, usual()));
        assert_eq!(settled("--require-rehearsal", false), (true, usual()));
        assert_eq!(settled("--require-rehearsal=false", true), (false, usual()));
        assert_eq!(settled("--require-rehearsal=a/b.json", false), (true, "a/b.json".to_owned()));
    }
}
