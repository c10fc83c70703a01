//! `--password-prompt`

use std::fs::File;

use crate::{
    config::Config,
    error::{Error, Result},
    postgres::{Password, Secret},
};

/// Asks at the terminal, which may be another one than standard input and output are: those may be pipes.
///
/// # Errors
/// [`Error::Configuration`] where there is no terminal, or nothing is typed.
pub fn ask(config: &mut Config) -> Result<()> {
    const NEXT: &str = "leave --password-prompt out, and give the password by DB_PASSWORD_FILE or DB_PASSWORD_COMMAND";
    if File::options().read(true).write(true).open("/dev/tty").is_err() {
        return Err(Error::configuration("--password-prompt: there is no terminal to ask at", NEXT));
    }
    let typed = rpassword::prompt_password(format!("Password of {}: ", config.target))
        .map_err(|e| Error::configuration(format!("--password-prompt: the password cannot be read: {e}"), NEXT))?;
    if typed.is_empty() {
        return Err(Error::configuration("--password-prompt: no password was typed", "type it, then press Enter"));
    }
    config.target.password = Some(Password::given(Secret::new(typed)));
    config.sources.retain(|(name, ..)| !matches!(*name, "password" | "password_file" | "password_command"));
    config.sources.push(("password", "***".to_owned(), "--password-prompt"));
    Ok(())
}
