//! `lockgate rehearse`

use std::path::PathBuf;

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::{Context, Output, Result, version};
use crate::{
    error::{Error, ExitCode, Finding, NOTHING_CHANGED, Severity},
    migration::Version,
    rehearsal::{self, Extent, OTHER_VERSION, On, Order, Origin, Rehearsal, Settings, Verdict, certificate},
    report::{self, html},
};

#[derive(Args)]
pub struct Arguments {
    /// Rehearse up to and including this version
    #[arg(long, value_name = "VERSION", value_parser = version)]
    to: Option<Version>,
    /// Where the copy is made: scratch (a database of its own on the same server), embedded, container, or the URL of a server [default: scratch]
    #[arg(long, value_name = "PLACE", env = "LOCKGATE_REHEARSE_ON", hide_env_values = true)]
    on: Option<String>,
    /// Copy the schema alone, without rows
    #[arg(long)]
    schema_only: bool,
    /// Copy this backup [default: the newest]
    #[arg(long, value_name = "BACKUP", conflicts_with_all = ["fresh", "schema_only"])]
    backup: Option<String>,
    /// Take a backup for this rehearsal alone
    #[arg(long)]
    fresh: bool,
    /// A table whose rows a way down need not bring back, such as an audit log that triggers write; may be given several times
    #[arg(long, value_name = "TABLE")]
    ignore_content: Vec<String>,
    /// A component or a SQL file that masks personal data in the copy first
    #[arg(long, value_name = "FILE", env = "LOCKGATE_MASK")]
    mask: Option<PathBuf>,
    /// Statements of the old application, or a pgbench script, to run beside the migrations
    #[arg(long, value_name = "FILE")]
    workload: Option<PathBuf>,
    /// How many clients run them
    #[arg(long, value_name = "N", default_value = "4", requires = "workload", value_parser = clap::value_parser!(u32).range(1..=100))]
    clients: u32,
    /// The mildest verdict that fails the rehearsal, too [default: none does]
    #[arg(long, value_name = "VERDICT", value_parser = verdict())]
    fail_on: Option<Verdict>,
    /// Write the report into this file, as HTML
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let mut config = context.config.clone();
    config.rehearsal.ignore_content.extend(arguments.ignore_content.iter().cloned());
    config.rehearsal.fail_on = arguments.fail_on.or(config.rehearsal.fail_on);
    let settings = &config.rehearsal;
    let origin = match (&arguments.backup, arguments.fresh) {
        (Some(id), _) => Origin::Named(id.clone()),
        (None, true) => Origin::Fresh,
        (None, false) => Origin::Newest,
    };
    let order = Order {
        to: arguments.to.clone(),
        on: On::parse(arguments.on.as_deref().unwrap_or(&settings.on))?,
        extent: if arguments.schema_only { Extent::SchemaOnly } else { settings.extent },
        origin,
        mask: arguments.mask.clone().or_else(|| settings.mask.clone()),
        workload: arguments.workload.clone(),
        clients: arguments.clients,
    };
    let place = arguments.report.as_deref().map(html::Place::of).transpose()?;
    let mut rehearsal = rehearsal::rehearse(&config, context.run_id, &order)
        .await
        .map_err(|error| unfinished(error, config.stop.asked()))?;
    // What was found out is told, whatever becomes of its certificate.
    let certified = certify(&mut rehearsal, settings);
    if let Some(place) = place {
        place.write_or_warn(&html::rehearsal(&rehearsal));
    }
    // A program that reads the result is told of the error alone.
    if certified.is_ok() || context.output == Output::Text {
        context.print(&rehearsal, |rehearsal| report::rehearsal(rehearsal, context.console.stdout))?;
    }
    certified?;
    Ok(if rehearsal.passed { ExitCode::Done } else { ExitCode::CheckFailed })
}

/// What is true of a rehearsal, where an error tells what is true of a run. Whatever phase it is stopped in, that it was stopped is why.
fn unfinished(error: Error, signal: Option<&'static str>) -> Error {
    let error = match (error, signal) {
        (error @ Error::Interrupted { .. }, _) => error,
        (error, Some(signal)) => {
            tracing::info!(%error, "what the stop led to");
            Error::Interrupted { signal, state: NOTHING_CHANGED.into() }
        }
        (error, None) => error,
    };
    match error {
        Error::Interrupted { .. } | Error::System { .. } | Error::Database { .. } | Error::RefusedMidway { .. } => {
            Error::Rehearsal { error: Box::new(error) }
        }
        other => other,
    }
}

fn verdict() -> impl TypedValueParser<Value = Verdict> {
    PossibleValuesParser::new(["brief-lock", "blocks-writes", "blocks-reads", "needs-window"]).map(|text| {
        match text.as_str() {
            "brief-lock" => Verdict::BriefLock,
            "blocks-writes" => Verdict::BlocksWrites,
            "blocks-reads" => Verdict::BlocksReads,
            _ => Verdict::NeedsWindow,
        }
    })
}

/// Writes the certificate, and tells where it is, or why there is none.
fn certify(rehearsal: &mut Rehearsal, settings: &Settings) -> Result<()> {
    let counts = rehearsal.findings.iter().all(|finding| finding.code != OTHER_VERSION);
    if rehearsal.migrations.is_empty() || !counts {
        return Ok(());
    }
    let Some(path) = certificate::issue(rehearsal, settings)? else {
        rehearsal.findings.push(certificate::without_a_key());
        return Ok(());
    };
    let message = format!("the certificate is `{}`", path.display());
    rehearsal.findings.push(Finding::new(Severity::Info, "certificate", message));
    if (rehearsal.copy.extent, settings.extent) == (Extent::SchemaOnly, Extent::Data) {
        let refused = certificate::Refusal::WithoutRows.finding();
        rehearsal.findings.push(Finding { severity: Severity::Warn, ..refused });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_ends_it_with_the_same_code_in_every_phase() {
        let of_a_dump = Error::Backup {
            what: "the backup failed".into(),
            cause: "stopped by SIGTERM".into(),
            state: "no migration was run".into(),
            next: "mend the cause".into(),
        };
        let of_the_bench = Error::Interrupted { signal: "SIGTERM", state: "unknown".into() };
        for error in [of_a_dump, of_the_bench, Error::system("reading", "gone")] {
            let report = unfinished(error, Some("SIGTERM")).report();
            assert_eq!((report.exit_code, report.what.as_str()), (1, "stopped by SIGTERM"));
            assert!(report.state.unwrap().starts_with("nothing of the database was changed"));
            assert_eq!(report.next.as_deref(), Some("rehearse again"));
        }
    }

    #[test]
    fn what_fails_says_what_is_true_of_a_rehearsal() {
        let report = unfinished(Error::system("starting a container", "no image"), None).report();
        assert_eq!(report.causes, ["no image"]);
        assert!(report.state.unwrap().starts_with("nothing of the database was changed"));
        assert_eq!(report.next.as_deref(), Some("mend the cause, then rehearse again"));
        let refused = Error::Refused { what: "no".into(), next: "this".into() };
        assert_eq!(unfinished(refused, None).report().next.as_deref(), Some("this"), "it knew by itself");
    }
}
