//! `lockgate up`

use std::path::PathBuf;

use clap::Args;

use super::{Context, Output, Result, plan, psql, rehearsed, version};
use crate::{
    error::ExitCode,
    migration::Version,
    plan::State,
    postgres::journal,
    report::{
        self,
        html::{Place, Told},
    },
    runner::{self, Outcome},
};

#[derive(Args)]
pub struct Arguments {
    /// Apply up to and including this version
    #[arg(long, value_name = "VERSION", value_parser = version)]
    to: Option<Version>,
    /// Show what would be done, check what can be checked, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Apply all that is pending in one transaction: all of it, or nothing
    #[arg(long, conflicts_with_all = ["dry_run", "rollback_after"])]
    pub(super) atomic: bool,
    /// Really run what is pending, in one transaction that is rolled back; say what cannot be tried so
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) rollback_after: bool,
    /// Write what the run did, also where it failed, to this HTML file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "rollback_after"])]
    report: Option<PathBuf>,
    #[command(flatten)]
    pub(super) rehearsed: rehearsed::RequireRehearsal,
}

impl Arguments {
    /// Whether it is to do more than look.
    pub(super) fn changes_something(&self) -> bool {
        !self.dry_run && !self.rollback_after
    }
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let to = arguments.to.as_ref();
    if arguments.dry_run {
        return plan::show(context, to).await;
    }
    if arguments.rollback_after {
        return try_out(context, to).await;
    }
    let Some(path) = &arguments.report else {
        context.print(&apply(context, to).await?, report::outcome)?;
        return Ok(ExitCode::Done);
    };
    let place = Place::of(path)?;
    let started_at = jiff::Timestamp::now();
    let so_far = &context.config.so_far;
    so_far.begin();
    let result = apply(context, to).await;
    let told = Told {
        run_id: context.run_id,
        target: context.config.target.to_string(),
        who: journal::who(),
        started_at,
        progressed: &so_far.now(),
        result: result.as_ref(),
    };
    place.write_or_warn(&report::html::run(&told));
    context.print(&result?, report::outcome)?;
    Ok(ExitCode::Done)
}

/// The run itself.
async fn apply(context: &Context, to: Option<&Version>) -> Result<Outcome> {
    let seeded = seed(context, to).await?;
    let mut outcome = runner::up(&context.config, context.run_id, to).await?;
    if let Some(before) = seeded {
        outcome.done.splice(0..0, before.done);
        outcome.findings.splice(0..0, before.findings);
        outcome.backup = before.backup;
        outcome.duration_ms += before.duration_ms;
    }
    Ok(outcome)
}

/// Tries it, and ends as the run would.
async fn try_out(context: &Context, to: Option<&Version>) -> Result<ExitCode> {
    let tryout = runner::try_out(&context.config, context.run_id, to).await?;
    context.print(&tryout, report::tryout)?;
    match tryout.error() {
        // The JSON has said it already, and stays one document.
        Some(error) if context.output == Output::Json => {
            context.console.say(&error.report().to_string());
            Ok(error.exit_code())
        }
        Some(error) => Err(error.clone()),
        None => Ok(ExitCode::Done),
    }
}

/// Fills the project's own server with made-up data as soon as the schema can take it, so that later migrations meet some.
async fn seed(context: &Context, to: Option<&Version>) -> Result<Option<Outcome>> {
    let Some((file, seed_at)) = context.config.embedded.seeding().filter(|_| context.embedded) else { return Ok(None) };
    let status = runner::status(&context.config, context.run_id).await?;
    let comes = status.migrations.iter().any(|m| m.version == seed_at && m.state == State::Pending);
    if !comes || to.is_some_and(|to| *to < seed_at) {
        return Ok(None);
    }
    let outcome = runner::up(&context.config, context.run_id, Some(&seed_at)).await?;
    psql::run_file(&context.config, file).await?;
    context.console.say(&format!("seeded the embedded database from {}", file.display()));
    Ok(Some(outcome))
}
