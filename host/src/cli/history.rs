//! `lockgate history`

use clap::Args;

use super::{Context, Output, Result, version};
use crate::{
    error::{Error, ExitCode},
    migration::Version,
    postgres::journal::Verification,
    report, runner,
};

/// About what people look through.
const LIMIT: u32 = 100;

#[derive(Args)]
pub struct Arguments {
    /// At most so many entries, the newest last [default: 100; of one run all]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Entries of this version only
    #[arg(long, value_name = "VERSION", value_parser = version)]
    version: Option<Version>,
    /// Entries of this run only: its id, or as much of its beginning or end as tells it apart
    #[arg(long, value_name = "ID", value_parser = part_of_id)]
    run: Option<String>,
    /// Verify the chain of all entries instead: exit with 5 when one was changed, removed or inserted
    #[arg(long, conflicts_with_all = ["limit", "version", "run"])]
    verify: bool,
    /// Also verify that this hash, noted after an earlier run, is still part of the chain
    #[arg(long, value_name = "HASH", requires = "verify", value_parser = hash)]
    head: Option<String>,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    if !arguments.verify {
        let version = arguments.version.as_ref();
        let of_run = arguments.run.as_deref();
        let limit = arguments.limit.or(of_run.is_none().then_some(LIMIT));
        let entries = runner::history(&context.config, context.run_id, limit, version, of_run).await?;
        context.print(&entries, |entries| report::history(entries, jiff::Timestamp::now(), context.console.stdout))?;
        return Ok(ExitCode::Done);
    }
    let found = runner::verify_history(&context.config, context.run_id, arguments.head.as_deref()).await?;
    if found.is_sound() || context.output == Output::Json {
        context.print(&found, report::verification)?;
    }
    match (found.is_sound(), context.output) {
        (true, _) => Ok(ExitCode::Done),
        // The JSON has said it already, and stays one document.
        (false, Output::Json) => Ok(ExitCode::Drift),
        (false, Output::Text | Output::Github) => Err(damaged(&found, arguments.head.as_deref().unwrap_or_default())),
    }
}

fn damaged(found: &Verification, head: &str) -> Error {
    let what = match (&found.broken, found.disagreements.as_slice()) {
        (Some(broken), _) => format!("the journal was tampered with: {}", broken.what),
        (None, [first, ..]) if found.head_found != Some(false) => {
            let more = found.disagreements.len() - 1;
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            format!("the journal and the history disagree: {first}{more}")
        }
        (None, _) => format!("the journal does not hold `{head}`: its end was cut off, or the database restored"),
    };
    let fits = match &found.head {
        Some(head) => format!("the {} entries up to {head} are as they were written; ", found.chained),
        None => String::new(),
    };
    let next = format!("{fits}compare it with a backup, and find out who may write to the journal's table");
    Error::DamagedHistory { what, next }
}

fn part_of_id(text: &str) -> Result<String, String> {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let other = text.bytes().any(|b| !b.is_ascii_hexdigit() && b != b'-');
    // Four digits are met by chance in one of some ten thousand runs.
    if other || !(4..=32).contains(&digits) {
        return Err("the id of a run has 32 hexadecimal digits; give 4 of its first or last at least".to_owned());
    }
    Ok(text.to_owned())
}

fn hash(text: &str) -> Result<String, String> {
    let hexadecimal = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if hexadecimal { Ok(text.to_ascii_lowercase()) } else { Err("a hash has 64 hexadecimal digits".to_owned()) }
}
