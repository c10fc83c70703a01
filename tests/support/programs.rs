//! PostgreSQL's programs on this machine, and made-up ones.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder of the programs that fit the server: `LOCKGATE_PG_BIN`, else the newest that Debian's packages installed.
pub(crate) fn folder() -> PathBuf {
    if let Some(folder) = env::var_os("LOCKGATE_PG_BIN") {
        return folder.into();
    }
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = versions.filter(|path| path.join("bin/pg_dump").is_file()).max_by_key(|path| version(path));
    newest.expect("PostgreSQL's programs are installed, or LOCKGATE_PG_BIN names their folder").join("bin")
}

/// What one of PostgreSQL's programs prints.
pub(crate) fn output(program: &str, arguments: &[&str], environment: &[(&'static str, String)]) -> String {
    let mut command = Command::new(folder().join(program));
    command.args(arguments).arg("--no-password");
    for (name, value) in environment {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A dump without the random word that guards psql against its content.
pub(crate) fn unrestricted(dump: &str) -> String {
    let lines = dump.lines().filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Writes an executable shell script.
pub(crate) fn write_script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
