//! Roles and tablespaces, which are of the server and in no dump of a database: `pg_dumpall --globals-only`, without passwords.

use std::{
    io,
    process::{Command, Stdio},
    sync::Arc,
};

use super::{
    child::Started,
    coding::Encoder,
    conninfo,
    dump::{part, run},
    encryption::{Identities, Recipients},
    manifest::{Content, Encoding, Part},
    store::Store,
    take::Unnamed,
    tools::Tools,
};
use crate::postgres::Target;

/// Writes them; nothing where the program is not installed, which the log says.
pub(super) fn write(
    target: &Target,
    tools: &Tools,
    store: &Arc<dyn Store>,
    id: &str,
    recipients: &Recipients,
    witness: &Arc<Identities>,
    started: &Started,
) -> Result<Option<(Part, Unnamed)>, String> {
    let program = tools.dump.with_file_name("pg_dumpall");
    if !program.is_file() {
        tracing::warn!("`pg_dumpall` is not beside `pg_dump`: roles and tablespaces are not backed up");
        return Ok(None);
    }
    let encoding = if recipients.is_empty() { Encoding::Zstd } else { Encoding::ZstdAge };
    let file = format!("{id}.globals.sql{}", encoding.extension());
    let writing = |e: io::Error| format!("writing `{file}` in `{}`: {e}", store.location());
    let mut encoder =
        store.create(&file, 0).and_then(|upload| Encoder::new(upload, recipients, witness)).map_err(writing)?;
    let mut command = Command::new(program);
    command
        .args(["--globals-only", "--no-role-passwords", "--no-password", "--database", &conninfo(&target.database)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    run(command, target, "pg_dumpall", started, |stdout| io::copy(stdout, &mut encoder).map(drop)).map_err(
        |failure| {
            let hint = "`globals = false` under [backup] in lockgate.toml leaves roles and tablespaces out";
            format!("{}; {hint}", failure.into_text(writing))
        },
    )?;
    let encoded = encoder.finish().map_err(writing)?;
    Ok(Some(part(Content::Globals, file.clone(), encoding, encoded)))
}
