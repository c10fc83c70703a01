//! `lockgate doctor`

use std::time::Duration;

use clap::{Args, builder::PossibleValuesParser};

use super::{Context, Result, duration};
use crate::{
    doctor::{self, Verdict},
    error::ExitCode,
    report,
};

const AFTER_HELP: &str = "\
Examples:
  lockgate doctor                             everything
  lockgate doctor --check locks,transactions  who is in the way of whom
  lockgate doctor --long 30s --output json    for a program

Exit codes: 0 nothing is critical, 6 something is, 8 the database cannot be reached. No statement that is printed is run.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Only these checks; may be given several times, or separated by commas [default: all]
    #[arg(long = "check", value_name = "NAME", value_delimiter = ',', value_parser = PossibleValuesParser::new(doctor::names()))]
    checks: Vec<String>,
    /// From where on a query, a transaction or a wait is long
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    long: Duration,
    /// Print the queries that were run as well; the JSON always has them
    #[arg(long)]
    queries: bool,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let found = doctor::examine(&context.config, context.run_id, &arguments.checks, arguments.long).await?;
    context.print(&found, |found| report::doctor(found, arguments.queries, context.console.stdout))?;
    Ok(if found.verdict == Verdict::Critical { ExitCode::CheckFailed } else { ExitCode::Done })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_one_that_is_documented() {
        assert_eq!(duration("5m"), Ok(doctor::thresholds::LONG));
    }
}
