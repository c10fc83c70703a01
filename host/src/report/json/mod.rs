//! The JSON of every command: one envelope, and a schema for each.

mod close;
mod schema;

use schemars::JsonSchema;
use serde::Serialize;

pub use schema::{Document, of_one};

use crate::error::{Error, Report, Result};

/// The version of the JSON objects: a program that knows it may rely on docs/json.md.
pub const FORMAT: u32 = 1;

/// What a failure prints in the place of an outcome.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Failure {
    /// What went wrong.
    pub error: Report,
}

/// The JSON of an outcome: `{"format": 1, "command": …, "result": …}`.
///
/// # Errors
/// Never in practice: outcomes are plain data.
pub fn object<T: Serialize + JsonSchema>(command: &str, outcome: &T) -> Result<String> {
    #[derive(Serialize)]
    struct Envelope<'a, T> {
        format: u32,
        command: &'a str,
        result: &'a T,
    }
    let object = Envelope { format: FORMAT, command, result: outcome };
    serde_json::to_string_pretty(&object).map_err(|e| Error::system("writing JSON", e))
}
