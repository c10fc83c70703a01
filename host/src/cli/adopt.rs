//! `lockgate adopt`

use std::path::PathBuf;

use clap::{Args, builder::PossibleValuesParser};

use super::{Context, Result};
use crate::{
    adopt,
    error::{Error, ExitCode},
    report,
    runner::{self, Order},
};

const HELP: &str = "\
Reads the tool's table, compares it with the files of the migrations folder (and the checksums, where the tool keeps them), and writes Lockgate's
history and journal, in one transaction; runs no migration, and leaves the tool's table alone. It can be repeated: what is in the history already
stays, what the tool has applied since is added. What does not fit is named, all of it, and nothing is changed then.";

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// The tool that has migrated the database so far
    #[arg(long, value_name = "TOOL", value_parser = PossibleValuesParser::new(adopt::names()))]
    from: String,
    /// Table of the tool, as NAME or SCHEMA.NAME, where it has another name than usual
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Folder of the tool's own scripts: Alembic's `versions`, the one of `sqitch.plan` [default: the migrations folder]
    #[arg(long, value_name = "FOLDER")]
    scripts: Option<PathBuf>,
    /// Rename the tool's table, and keep it, where it has the name of Lockgate's own
    #[arg(long)]
    take_over: bool,
    /// Take files as they are that have changed since the tool applied them; the journal keeps which
    #[arg(long)]
    accept_changed: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl Arguments {
    /// Whether it is to do more than look.
    pub(super) fn changes_something(&self) -> bool {
        !self.dry_run
    }
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let Some(mut order) = Order::from_tool(&arguments.from) else {
        let what = format!("`{}` is no tool that is known", arguments.from);
        return Err(Error::configuration(what, "see `lockgate adopt --help` for those that are"));
    };
    order.scripts.clone_from(&arguments.scripts);
    order.table.clone_from(&arguments.table);
    order.take_over = arguments.take_over;
    order.accept_changed = arguments.accept_changed;
    let config = &context.config;
    let plan = runner::plan_adopt(config, context.run_id, &order).await?;
    if arguments.dry_run || plan.migrations.is_empty() {
        context.print(&plan, |plan| report::adoption(plan, arguments.dry_run))?;
        return Ok(ExitCode::Done);
    }
    context
        .confirm(&format!("Take over {} migrations of {} on {}?", plan.migrations.len(), arguments.from, config.target))
        .await?;
    let adoption = runner::adopt(config, context.run_id, &order).await?;
    context.print(&adoption, |adoption| report::adoption(adoption, false))?;
    Ok(ExitCode::Done)
}
