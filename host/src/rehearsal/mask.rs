//! Personal data is masked before anything else happens to a copy: by a component, or by a SQL file.
//!
//! It runs as a migration does, sandboxed, sealed, verified before its commit; its history is kept in a schema of its own, which goes
//! afterwards.

use std::{fs, path::Path};

use uuid::Uuid;

use super::{
    Place,
    fence::Fence,
    measure::{Gauge, Sizes},
    workspace::Workspace,
};
use crate::{
    backup,
    config::Config,
    error::{Error, Result},
    plugin::pin::pin,
    postgres::{Session, Target, quote_ident},
    runner,
};

/// The schema of its history.
const SCHEMA: &str = "lockgate_mask";
/// The migration that it runs as.
const NAME: &str = "1_mask";

/// Masks a copy.
///
/// # Errors
/// [`Error::Refused`], with why it could not be: then nothing may be rehearsed on this copy.
pub(super) async fn mask(
    config: &Config,
    copy: &Target,
    place: Place,
    file: &Path,
    workspace: &Workspace,
) -> Result<()> {
    let named = |cause: String, next: &str| Error::Refused {
        what: format!("`{}` could not mask the copy, so nothing is rehearsed on it: {cause}", file.display()),
        next: next.to_owned(),
    };
    let ending = match file.extension().and_then(|ending| ending.to_str()) {
        Some("sql") => "up.sql",
        Some("wasm") => "wasm",
        _ => return Err(named("it is neither".into(), "`mask` is a file with SQL (.sql) or a component (.wasm)")),
    };
    let dir = workspace.folder("mask")?;
    let unreadable =
        |e: std::io::Error| named(format!("reading it: {e}"), "check `mask` under [rehearsal] in lockgate.toml");
    fs::copy(file, dir.join(format!("{NAME}.{ending}"))).map_err(unreadable)?;
    if ending == "up.sql" {
        // What was masked is not to be brought back.
        fs::write(dir.join(format!("{NAME}.down.sql")), "SELECT;\n").map_err(unreadable)?;
    }
    let mut config = Config {
        target: copy.clone(),
        dir,
        layout: Some("pairs".into()),
        schema: SCHEMA.into(),
        backup: backup::Settings::none(),
        throwaway: true,
        ..config.clone()
    };
    // Its rights are under its own name.
    let own = file.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| config.plugin.get(stem)).cloned();
    config.plugin.extend(own.map(|rights| (NAME.to_owned(), rights)));
    if ending == "wasm" {
        pin(&config).await?;
    }
    let gauge = match place {
        Place::Embedded | Place::Container => None,
        // Others use the server.
        Place::Scratch | Place::Server => Some(Gauge::start(copy, SCHEMA, Sizes::default()).await?),
    };
    config.recorder = gauge.clone().map(Fence::around);
    let masked = runner::up(&config, Uuid::now_v7(), None).await;
    if let Some(gauge) = gauge {
        gauge.stop();
    }
    masked.map_err(|error| match error {
        Error::Interrupted { .. } | Error::Unreachable { .. } => error,
        other => {
            let report = other.report();
            named(format!("{}: {}", report.what, report.causes.join("; ")), "mend it, then rehearse again")
        }
    })?;
    let session = Session::connect(copy, "lockgate rehearse").await?;
    // Statistics have samples of what was there.
    let after = format!("SET client_min_messages = warning; DROP SCHEMA {} CASCADE; ANALYZE", quote_ident(SCHEMA));
    session.batch("ending the masking", &after).await
}
