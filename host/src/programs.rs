//! PostgreSQL's own programs on this machine: `pg_dump`, `pg_restore`, `psql`, `initdb`, `pg_ctl`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Folders that may hold them, the likeliest first. A configured folder is the only one looked into.
pub fn bin_folders(configured: Option<&Path>) -> Vec<PathBuf> {
    if let Some(folder) = configured {
        return vec![folder.to_owned()];
    }
    let mut folders = Vec::new();
    // Versioned folders come before PATH: Debian's programs on PATH are wrappers that follow the local cluster's version.
    for (parent, prefix, suffix) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql@", "bin"),
        ("/usr/local/opt", "postgresql@", "bin"),
    ] {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let mut found: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| {
                let version = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
                Some((version, entry.path().join(suffix)))
            })
            .collect();
        found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        folders.extend(found.into_iter().map(|(_, path)| path));
    }
    folders.push("/usr/local/pgsql/bin".into());
    folders.extend(env::current_dir().map(|dir| dir.join(".lockgate/pgsql/bin")));
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    folders
}

/// The major version that a program says it is of: 15 for `pg_dump (PostgreSQL) 15.18 (Debian …)`.
pub fn major_version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    parse_major(&String::from_utf8_lossy(&output.stdout))
}

fn parse_major(text: &str) -> Option<u32> {
    let number = text.split(") ").nth(1)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_as_printed() {
        assert_eq!(parse_major("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("pg_dump (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(parse_major("pg_dump: command not found"), None);
    }

    #[test]
    fn a_configured_folder_is_the_only_one() {
        assert_eq!(bin_folders(Some(Path::new("/x"))), [PathBuf::from("/x")]);
    }
}
