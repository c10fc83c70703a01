//! `lockgate roles`

use clap::Args;

use super::{Context, Result};
use crate::{
    error::ExitCode,
    postgres::{history::History, roles::Roles},
};

#[derive(Args)]
pub struct Arguments {
    /// How the names of the roles begin: `<PREFIX>_runner` and so on
    #[arg(long, default_value = "lockgate")]
    prefix: String,
    /// A role that there is already and that owns the tables [default: PREFIX_owner]
    #[arg(long)]
    owner: Option<String>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let roles = Roles::named(&arguments.prefix, arguments.owner.as_deref());
    let sql = roles.sql(&History::in_schema(&context.config.schema));
    context.print(&sql, String::clone)?;
    Ok(ExitCode::Done)
}
