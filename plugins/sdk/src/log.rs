//! Lines for the operator. The host adds the time, the run and the migration, and limits bytes and lines.
//!
//! ```
//! use lockgate_plugin::log;
//!
//! log::info(format_args!("{} users changed", 12));
//! ```
//!
//! Keep personal data out: name rows by their keys.

use std::fmt::Display;

use crate::bindings::lockgate::migration::log::{Level, log as host_log};

/// Something failed.
pub fn error(message: impl Display) {
    log(Level::Error, message);
}

/// Something that the operator should look at.
pub fn warn(message: impl Display) {
    log(Level::Warn, message);
}

/// What was done.
pub fn info(message: impl Display) {
    log(Level::Info, message);
}

/// For the author of the migration.
pub fn debug(message: impl Display) {
    log(Level::Debug, message);
}

/// For the author of the migration, in great detail.
pub fn trace(message: impl Display) {
    log(Level::Trace, message);
}

/// Outside a component, as in an author's unit tests, there is no host: the line goes to standard error.
fn log(level: Level, message: impl Display) {
    if cfg!(target_family = "wasm") {
        host_log(level, &message.to_string());
    } else {
        eprintln!("{level:?}: {message}");
    }
}
