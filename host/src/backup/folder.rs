//! Whether a folder that `pg_dump` has written can be decoded: it compresses the files itself, so its own program has to read them.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    process::{Command, Stdio},
};

use super::child::{self, Started};
use crate::programs::without_secrets;

/// How compressed files begin, by how their names end: gzip (RFC 1952), zstd (RFC 8878).
const MAGICS: [(&str, &[u8]); 2] = [(".gz", &[0x1f, 0x8b]), (".zst", &[0x28, 0xb5, 0x2f, 0xfd])];

/// Reads every file that its table of contents names to its end.
///
/// # Errors
/// What `pg_restore` said.
pub(super) fn decode(pg_restore: &Path, folder: &Path, started: &Started) -> Result<(), String> {
    // zlib passes on as it is what does not begin as a compressed file does, also nothing at all.
    begin_well(folder)?;
    end_well(folder)?;
    let mut command = Command::new(pg_restore);
    command.arg("--file=/dev/null").arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = without_secrets(&mut command)
        .spawn()
        .map_err(|e| format!("`{}` cannot be started: {e}", pg_restore.display()))?;
    started.note(&child);
    let complaints = child.stderr.take().map(child::complaints);
    let status = child.wait().map_err(|e| format!("waiting for pg_restore: {e}"))?;
    started.ended();
    let complaints = complaints.and_then(|thread| thread.join().ok()?.ok()).unwrap_or_default();
    match status.success() {
        true => Ok(()),
        false => Err(format!("the dump cannot be decoded: pg_restore ended with {status}: {complaints}")),
    }
}

/// Decodes what is compressed with zstd to its end: `pg_restore` takes a file that was cut off for one that ends there.
fn end_well(folder: &Path) -> Result<(), String> {
    let unreadable = |e: io::Error| format!("the dump cannot be decoded: `{}`: {e}", folder.display());
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "zst") {
            let decoded =
                File::open(&path).and_then(zstd::Decoder::new).and_then(|mut d| io::copy(&mut d, &mut io::sink()));
            decoded.map_err(|e| format!("the dump cannot be decoded: `{}`: {e}", path.display()))?;
        }
    }
    Ok(())
}

fn begin_well(folder: &Path) -> Result<(), String> {
    let unreadable = |e: io::Error| format!("the dump cannot be decoded: `{}`: {e}", folder.display());
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some((_, magic)) = MAGICS.iter().find(|(end, _)| name.ends_with(end)) else { continue };
        let mut begin = Vec::new();
        let file = File::open(&path).map_err(unreadable)?;
        file.take(magic.len() as u64).read_to_end(&mut begin).map_err(unreadable)?;
        if begin != *magic {
            return Err(format!("the dump cannot be decoded: `{}` is no compressed file", path.display()));
        }
    }
    Ok(())
}
