//! A restore never touches the present database: it fills a new one, then swaps the names in one transaction and keeps the old.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    process::{Command, Stdio},
};

use super::{Manifest, libpq, store, tools};
use crate::{
    error::{Error, Result},
    postgres::{Session, Target, quote_ident, quote_literal},
};

/// What a restore did.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Restored {
    /// The backup.
    pub backup: String,
    /// The database that now holds its state.
    pub database: String,
    /// The name under which the former database was kept.
    pub kept_as: String,
}

const NEXT: &str = "mend the cause, then run the same `lockgate restore` again";

/// Brings the backup's state back under the target's name. The former database is kept as `<name>_before_<suffix>`.
///
/// # Errors
/// [`Error::Backup`]; until the swap the present database is as it was, and what was restored so far is dropped.
pub async fn restore(
    target: &Target,
    folder: &Path,
    manifest: &Manifest,
    pg_bin: Option<&Path>,
    suffix: &str,
) -> Result<Restored> {
    let fail = |cause: String| Error::Backup {
        what: format!("the restore of backup `{}` failed", manifest.id),
        cause,
        state: "the present database was not touched".into(),
        next: NEXT.into(),
    };
    {
        let (folder, manifest) = (folder.to_owned(), manifest.clone());
        let check = tokio::task::spawn_blocking(move || store::verify(&folder, &manifest));
        check.await.map_err(|e| Error::system("checking the backup", e))?.map_err(fail)?;
    }
    // Names can be swapped from another database only.
    let admin = Session::connect(&target.with_database("postgres"), "lockgate restore").await?;
    let (fresh, kept) = (name(&target.database, "restoring", suffix), name(&target.database, "before", suffix));
    require_createdb(&admin, &target.database).await?;
    create_like(&admin, &target.database, &fresh).await?;
    let filled = fill(&target.with_database(&fresh), folder, manifest, pg_bin, admin.server.major()).await;
    let swapped = match filled {
        Ok(()) => swap(&admin, &target.database, &fresh, &kept).await,
        Err(cause) => Err(fail(cause)),
    };
    if let Err(error) = swapped {
        // The first cause counts; a database that cannot even be dropped is named in the log.
        if let Err(second) =
            admin.batch("dropping the new database", &format!("DROP DATABASE {}", quote_ident(&fresh))).await
        {
            tracing::error!(database = fresh, cause = %second, "the half-restored database could not be dropped");
        }
        return Err(error);
    }
    Ok(Restored { backup: manifest.id.clone(), database: target.database.clone(), kept_as: kept })
}

/// PostgreSQL cuts names at 63 bytes; the suffix must survive.
fn name(database: &str, word: &str, suffix: &str) -> String {
    let tail = format!("_{word}_{suffix}");
    let mut keep = 63usize.saturating_sub(tail.len()).min(database.len());
    while !database.is_char_boundary(keep) {
        keep -= 1;
    }
    format!("{}{tail}", &database[..keep])
}

async fn require_createdb(admin: &Session, database: &str) -> Result<()> {
    let sql = format!(
        "SELECT rolcreatedb OR rolsuper, pg_has_role(d.datdba, 'USAGE') FROM pg_catalog.pg_roles, pg_catalog.pg_database d
         WHERE rolname = current_user AND d.datname = {}",
        quote_literal(database)
    );
    let rows = admin.handle().query(&sql, &[]).await.map_err(|e| Error::database("checking privileges", e))?;
    let user = quote_ident(&admin.server.user);
    let refuse = |what: String, grant: String| {
        Err(Error::Backup {
            what: "a restore needs a new database".into(),
            cause: what,
            state: "nothing was changed".into(),
            next: format!("run `{grant}` as a superuser, then restore again"),
        })
    };
    match rows.rows.first().map(Vec::as_slice) {
        Some([crate::value::Value::Bool(true), crate::value::Value::Bool(true)]) => Ok(()),
        Some([crate::value::Value::Bool(false), _]) => {
            refuse(format!("role {user} may not create databases"), format!("ALTER ROLE {user} CREATEDB"))
        }
        _ => refuse(
            format!("role {user} does not own the database `{database}`"),
            format!("ALTER DATABASE {} OWNER TO {user}", quote_ident(database)),
        ),
    }
}

/// An empty database with the encoding and the collation of the present one.
async fn create_like(admin: &Session, database: &str, fresh: &str) -> Result<()> {
    let sql = format!(
        "SELECT format('CREATE DATABASE %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L OWNER %I',
                       {}, pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba))
         FROM pg_catalog.pg_database WHERE datname = {}",
        quote_literal(fresh),
        quote_literal(database)
    );
    let rows =
        admin.handle().query(&sql, &[]).await.map_err(|e| Error::database("reading the database's settings", e))?;
    match rows.rows.first().and_then(|row| row.first()) {
        Some(crate::value::Value::Text(create)) => admin.batch("creating the new database", create).await,
        _ => Err(Error::Refused {
            what: format!("the database `{database}` does not exist"),
            next: "create it, or check DB_NAME".into(),
        }),
    }
}

async fn fill(
    target: &Target,
    folder: &Path,
    manifest: &Manifest,
    pg_bin: Option<&Path>,
    major: u32,
) -> Result<(), String> {
    let tools = tools::find(pg_bin, major).map_err(|_| "a `pg_restore` for this server was not found".to_owned())?;
    let file = File::open(store::payload_path(folder, manifest)).map_err(|e| e.to_string())?;
    let connection = target.clone();
    let work = tokio::task::spawn_blocking(move || -> Result<(), String> {
        let mut command = Command::new(&tools.restore);
        command
            .args(["--exit-on-error", "--no-password", "--dbname", &connection.database])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let _passfile = libpq(&mut command, &connection, "lockgate restore").map_err(|e| e.to_string())?;
        let mut child = command.spawn().map_err(|e| format!("`{}` cannot be started: {e}", tools.restore.display()))?;
        let (mut stdin, mut stderr) = (child.stdin.take().ok_or("no pipe")?, child.stderr.take().ok_or("no pipe")?);
        let complaints = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let copied = zstd::Decoder::new(file).and_then(|mut dump| io::copy(&mut dump, &mut stdin));
        drop(stdin);
        let status = child.wait().map_err(|e| e.to_string())?;
        let complaints = complaints.join().unwrap_or_default();
        if !status.success() {
            return Err(format!("pg_restore ended with {status}: {}", complaints.trim()));
        }
        copied.map(drop).map_err(|e| format!("reading the backup: {e}"))
    });
    work.await.map_err(|e| e.to_string())??;
    let session = Session::connect(target, "lockgate restore").await.map_err(|e| e.to_string())?;
    session.batch("analyzing the new database", "ANALYZE").await.map_err(|e| e.to_string())
}

/// Nobody may connect between the two renames; clients see a refusal for a moment, then the restored database.
async fn swap(admin: &Session, database: &str, fresh: &str, kept: &str) -> Result<()> {
    let (database_name, fresh_name, kept_name) = (quote_ident(database), quote_ident(fresh), quote_ident(kept));
    let close = format!(
        "ALTER DATABASE {database_name} ALLOW_CONNECTIONS false;
         SELECT pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity WHERE datname = {};
         BEGIN;
         ALTER DATABASE {database_name} RENAME TO {kept_name};
         ALTER DATABASE {fresh_name} RENAME TO {database_name};
         COMMIT",
        quote_literal(database)
    );
    // Statement by statement: ALLOW_CONNECTIONS must be in force before the sessions are ended.
    for statement in close.split(";\n") {
        if let Err(error) = admin.batch("swapping the databases", statement).await {
            admin.abort().await?;
            admin
                .batch("reopening the database", &format!("ALTER DATABASE {database_name} ALLOW_CONNECTIONS true"))
                .await?;
            return Err(error);
        }
    }
    admin.batch("opening the kept database", &format!("ALTER DATABASE {kept_name} ALLOW_CONNECTIONS true")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_suffix() {
        assert_eq!(name("auth", "before", "1a2b"), "auth_before_1a2b");
        let long = name(&"ü".repeat(40), "before", "1a2b");
        assert!(long.len() <= 63 && long.ends_with("_before_1a2b"), "{long}");
    }
}
