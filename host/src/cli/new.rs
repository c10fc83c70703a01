//! `lockgate new`

use std::path::PathBuf;

use clap::Args;

use super::{Context, Result};
use crate::{
    error::ExitCode,
    plugin::build::Language,
    scaffold::{self, Dependencies, Name},
};

#[derive(Args)]
pub struct Arguments {
    /// What the migration does, in a few words
    #[arg(required = true)]
    description: Vec<String>,
    #[command(flatten)]
    kind: Kind,
    /// Folder of plugins
    #[arg(long, value_name = "FOLDER", default_value = "plugins", conflicts_with = "sql")]
    plugins: PathBuf,
    /// With --rust: a checkout of Lockgate to take the crates from [default: the one around]
    #[arg(long, value_name = "FOLDER", requires = "rust")]
    lockgate_path: Option<PathBuf>,
}

#[derive(Args)]
#[group(multiple = false)]
struct Kind {
    /// SQL files (the default)
    #[arg(long)]
    sql: bool,
    /// A plugin in Rust
    #[arg(long)]
    rust: bool,
    /// A plugin in Python
    #[arg(long)]
    python: bool,
    /// A plugin in JavaScript
    #[arg(long)]
    js: bool,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let name = Name::parse(&arguments.description.join(" "))?;
    let language = match &arguments.kind {
        Kind { rust: true, .. } => Some(Language::Rust),
        Kind { python: true, .. } => Some(Language::Python),
        Kind { js: true, .. } => Some(Language::JavaScript),
        Kind { .. } => None,
    };
    let made = match language {
        Some(language) => {
            let dependencies = Dependencies { checkout: arguments.lockgate_path.clone() };
            scaffold::plugin(&arguments.plugins, &name, language, &dependencies)?
        }
        None => scaffold::sql(&context.config.dir, &name)?,
    };
    context.print(&made, ToString::to_string)?;
    Ok(ExitCode::Done)
}
