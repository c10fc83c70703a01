//! PostgreSQL's own programs on this machine: `pg_dump`, `pg_restore`, `psql`, `initdb`, `pg_ctl`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    error::{Error, Result},
    files::Nameless,
    postgres::{Host, SessionAttributes, Target, TlsMode, Trust, passfile_line, passfile_path},
};

/// Every variable that libpq reads (PostgreSQL 18's manual, "Environment Variables"): what is not set here must not come from elsewhere,
/// or the program's connection would be another one than ours.
const LIBPQ: [&str; 37] = [
    "PGHOST",
    "PGSSLNEGOTIATION",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSWORD",
    "PGPASSFILE",
    "PGREQUIREAUTH",
    "PGCHANNELBINDING",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGOPTIONS",
    "PGAPPNAME",
    "PGSSLMODE",
    "PGREQUIRESSL",
    "PGSSLCOMPRESSION",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLCERTMODE",
    "PGSSLROOTCERT",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLSNI",
    "PGREQUIREPEER",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMAXPROTOCOLVERSION",
    "PGGSSENCMODE",
    "PGKRBSRVNAME",
    "PGGSSLIB",
    "PGGSSDELEGATION",
    "PGCONNECT_TIMEOUT",
    "PGCLIENTENCODING",
    "PGTARGETSESSIONATTRS",
    "PGLOADBALANCEHOSTS",
    "PGMINPROTOCOLVERSION",
    "PGMAXPROTOCOLVERSION",
];

/// Takes out of a program's environment the passwords that we were given: it has no use for them.
pub(crate) fn without_passwords(command: &mut Command) -> &mut Command {
    without(command, |name| {
        [
            "DATABASE_URL",
            "DB_PASSWORD",
            "LOCKGATE_DATABASE_URL",
            "LOCKGATE_PUSH_URL",
            "LOCKGATE_REHEARSE_ON",
            "PGPASSWORD",
        ]
        .contains(&name)
            || (name.starts_with("OTEL_") && name.ends_with("_HEADERS"))
    })
}

/// Takes out of a program's environment all that is about our own work: the settings of connections, and what opens the place of backups
/// or the collector of traces. It runs other people's code, as a compiler does the build scripts of dependencies.
pub(crate) fn without_settings(command: &mut Command) -> &mut Command {
    without(command, is_setting)
}

/// The same for a program of PostgreSQL's, which needs no other key to anything either.
pub(crate) fn without_secrets(command: &mut Command) -> &mut Command {
    without(command, |name| is_setting(name) || is_secret(name))
}

fn without(command: &mut Command, unwanted: impl Fn(&str) -> bool) -> &mut Command {
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(&unwanted)) {
        command.env_remove(name);
    }
    command
}

fn is_setting(name: &str) -> bool {
    ["AWS_", "DB_", "LOCKGATE_", "OTEL_"].iter().any(|prefix| name.starts_with(prefix))
        || ["DATABASE_URL", "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE"].contains(&name)
}

/// By its name: a pipeline has keys to many things in its environment.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "CREDENTIAL", "PRIVATE_KEY", "API_KEY"].iter().any(|word| name.contains(word))
        // `https://user:password@index/` and the like.
        || name.ends_with("_URL")
}

/// Our own connection as libpq's programs take it: in the environment, the password in a file that has no name, nothing in the arguments.
/// Once a server was found, it is that one's address and no other's.
///
/// The password file must live as long as the program runs.
///
/// # Errors
/// [`Error::Configuration`] where a file of the settings cannot be used.
pub(crate) fn libpq(command: &mut Command, target: &Target, application_name: &str) -> Result<Option<Nameless>> {
    without_secrets(command);
    for name in LIBPQ {
        command.env_remove(name);
    }
    let hosts = target.candidates();
    let list = |part: &dyn Fn(&Host) -> String| hosts.iter().map(part).collect::<Vec<_>>().join(",");
    command
        .env("PGHOST", list(&|host| host.name.clone()))
        .env("PGPORT", list(&|host| host.port.to_string()))
        .env("PGUSER", &target.user)
        .env("PGDATABASE", &target.database)
        .env("PGSSLMODE", target.tls.mode.as_str())
        .env("PGCHANNELBINDING", target.channel_binding.as_str())
        // The driver has none.
        .env("PGGSSENCMODE", "disable")
        .env("PGAPPNAME", target.session_name(application_name))
        .env("PGCONNECT_TIMEOUT", target.connect_timeout.as_secs().to_string());
    if hosts.iter().any(|host| host.address.is_some()) {
        command.env("PGHOSTADDR", list(&|host| host.address.map(|address| address.to_string()).unwrap_or_default()));
    }
    if target.attributes != SessionAttributes::Any {
        command.env("PGTARGETSESSIONATTRS", target.attributes.as_str());
    }
    if hosts.len() > 1 {
        command.env("PGLOADBALANCEHOSTS", target.load_balance.as_str());
    }
    if let Some(options) = target.session_options() {
        command.env("PGOPTIONS", options);
    }
    if !hosts.iter().all(Host::is_socket) && target.tls.mode != TlsMode::Disable {
        tls(command, target)?;
    }
    password(command, target, &hosts)
}

fn tls(command: &mut Command, target: &Target) -> Result<()> {
    let settled = target.tls.settle()?;
    command.env("PGSSLNEGOTIATION", target.tls.negotiation.as_str());
    let root_cert = match settled.trust {
        Trust::Anybody => None,
        Trust::System => system_certificates(),
        Trust::File(path) => Some(path),
    };
    if let Some(path) = root_cert {
        command.env("PGSSLROOTCERT", path);
    }
    if let Some((cert, key)) = settled.identity {
        command.env("PGSSLCERT", cert).env("PGSSLKEY", key);
    }
    if let Some(path) = settled.crl {
        command.env("PGSSLCRL", path);
    }
    Ok(())
}

fn password(command: &mut Command, target: &Target, hosts: &[Host]) -> Result<Option<Nameless>> {
    let password = match hosts {
        [host] => target.effective_password(host)?,
        // Each may have its own in the password file, which the program reads itself.
        hosts => match (&target.password, hosts.first()) {
            (Some(_), Some(host)) => target.effective_password(host)?,
            _ => None,
        },
    };
    let Some(password) = password else {
        if let Some(path) = passfile_path(target) {
            command.env("PGPASSFILE", path);
        }
        return Ok(None);
    };
    let passfile = Nameless::of(passfile_line(&password).as_bytes());
    let passfile = passfile.map_err(|e| Error::system("writing the password file", e))?;
    command.env("PGPASSFILE", passfile.path());
    Ok(Some(passfile))
}

/// The system's certificates as one file: `sslrootcert=system` came with 16.
fn system_certificates() -> Option<PathBuf> {
    let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    named.into_iter().chain(usual.map(PathBuf::from)).find(|path| path.is_file())
}

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
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null());
    let output = without_secrets(&mut command).output().ok()?;
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
    fn what_may_be_a_key_to_something_is_known_by_its_name() {
        for name in [
            "DB_PASSWORD",
            "DATABASE_URL",
            "LOCKGATE_REHEARSE_ON",
            "AWS_SECRET_ACCESS_KEY",
            "OTEL_EXPORTER_OTLP_HEADERS",
        ] {
            assert!(is_setting(name), "{name}");
        }
        for name in ["VAULT_TOKEN", "CI_JOB_TOKEN", "npm_config_password", "MY_API_KEY", "REDIS_URL"] {
            assert!(is_secret(name) && !is_setting(name), "{name}");
        }
        for name in
            ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "KRB5CCNAME", "SSL_CERT_FILE", "PSQLRC", "PAGER", "PGDATA"]
        {
            assert!(!is_secret(name) && !is_setting(name), "{name}");
        }
    }

    #[test]
    fn a_configured_folder_is_the_only_one() {
        assert_eq!(bin_folders(Some(Path::new("/x"))), [PathBuf::from("/x")]);
    }
}
