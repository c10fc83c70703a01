//! A restore never touches the present database: it fills a new one, then swaps the names in one transaction and keeps the old.

use std::{
    fmt::Write as _,
    io,
    process::{Command, Stdio},
    sync::Arc,
};

use super::{
    Catalog, Content, Level, Manifest, catalog::off_the_runtime, child, coding::Decoder, libpq, tools, verify,
};
use crate::{
    config::Config,
    error::{Error, Result},
    postgres::{Session, Target, quote_ident, quote_literal},
    value::Value,
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
pub async fn restore(config: &Config, manifest: &Manifest, suffix: &str) -> Result<Restored> {
    let target = &config.target;
    let fail = |cause: String, state: &str| Error::Backup {
        what: format!("the restore of backup `{}` failed", manifest.id),
        cause,
        state: state.into(),
        next: NEXT.into(),
    };
    let catalog = Catalog::open(&config.backup)?;
    let keys = verify::identities(manifest, config.backup.identity.as_deref())?;
    {
        let (store, manifest) = (Arc::clone(catalog.store()), manifest.clone());
        let check = off_the_runtime(move || Ok(verify::files(&store, &manifest, Level::Decoded, &keys)));
        check.await?.map_err(|cause| fail(cause, UNTOUCHED))?;
    }
    // Names can be swapped from another database only.
    let maintenance = if target.database == "postgres" { "template1" } else { "postgres" };
    let admin = Session::connect(&target.with_database(maintenance), "lockgate restore").await?;
    let (fresh, kept) = (name(&target.database, "restoring", suffix), name(&target.database, "before", suffix));
    require_createdb(&admin, &target.database).await?;
    create_like(&admin, &target.database, &fresh).await?;
    if let Err(cause) = fill_lent(&admin, config, manifest, &fresh).await {
        // The first cause counts; a database that cannot even be dropped is named in the log.
        if let Err(second) =
            admin.batch("dropping the new database", &format!("DROP DATABASE {}", quote_ident(&fresh))).await
        {
            tracing::error!(database = fresh, cause = %second, "the half-restored database could not be dropped");
        }
        return Err(fail(cause, UNTOUCHED));
    }
    let restored = Restored { backup: manifest.id.clone(), database: target.database.clone(), kept_as: kept.clone() };
    let Err(error) = swap(&admin, &target.database, &fresh, &kept).await else { return Ok(restored) };
    undo_swap(&target.with_database(maintenance), &target.database, &fresh, &kept)
        .await
        .and_then(|swapped| if swapped { Ok(restored) } else { Err(fail(why(&error), UNTOUCHED)) })
        .map_err(|second| match second {
            Error::Backup { .. } => second,
            other => {
                let state = format!(
                    "look: `{}`, `{fresh}` and `{kept}` may each be there or not ({})",
                    target.database,
                    why(&other)
                );
                fail(why(&error), &state)
            }
        })
}

fn why(error: &Error) -> String {
    let report = error.report();
    format!("{}: {}", report.what, report.causes.join("; "))
}

const UNTOUCHED: &str = "the present database was not touched";

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
        Some([Value::Bool(true), Value::Bool(true)]) => Ok(()),
        Some([Value::Bool(false), _]) => {
            refuse(format!("role {user} may not create databases"), format!("ALTER ROLE {user} CREATEDB"))
        }
        _ => refuse(
            format!("role {user} does not own the database `{database}`"),
            format!("ALTER DATABASE {} OWNER TO {user}", quote_ident(database)),
        ),
    }
}

/// An empty database like the present one: encoding, collation, owner, and what neither a dump nor a rename carries over, which
/// are its privileges, settings, connection limit and comment.
async fn create_like(admin: &Session, database: &str, fresh: &str) -> Result<()> {
    // ICU's locale came with 15 and was renamed in 17.
    let icu = match admin.server.major() {
        ..15 => "''",
        15 | 16 => "CASE datlocprovider WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L', daticulocale) ELSE '' END",
        _ => {
            "CASE datlocprovider WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L', datlocale)
                                 WHEN 'b' THEN format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', datlocale) ELSE '' END"
        }
    };
    let (from, to) = (quote_literal(database), quote_literal(fresh));
    // Lists of names are stored as they are written, everything else as one string.
    let lists = "'search_path', 'local_preload_libraries', 'session_preload_libraries', 'temp_tablespaces'";
    let sql = format!(
        "WITH d AS (SELECT * FROM pg_catalog.pg_database WHERE datname = {from})
         SELECT 1, format('CREATE DATABASE %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L OWNER %I CONNECTION LIMIT %s',
                          {to}, pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba), datconnlimit) || {icu}
         FROM d
         UNION ALL SELECT 2, format('REVOKE ALL ON DATABASE %I FROM PUBLIC', {to}) FROM d WHERE datacl IS NOT NULL
         UNION ALL SELECT 3, format('GRANT %s ON DATABASE %I TO %s%s', privilege_type, {to},
                                    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
                                    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
         FROM d, aclexplode(datacl) WHERE grantee <> datdba
         UNION ALL SELECT 4, format('COMMENT ON DATABASE %I IS %L', {to}, shobj_description(oid, 'pg_database'))
         FROM d WHERE shobj_description(oid, 'pg_database') IS NOT NULL
         UNION ALL SELECT 5, format('ALTER %s SET %I TO %s',
                CASE setrole WHEN 0 THEN format('DATABASE %I', {to})
                             ELSE format('ROLE %I IN DATABASE %I', pg_get_userbyid(setrole), {to}) END,
                split_part(setting, '=', 1),
                CASE WHEN split_part(setting, '=', 1) IN ({lists}) THEN substr(setting, strpos(setting, '=') + 1)
                     ELSE quote_literal(substr(setting, strpos(setting, '=') + 1)) END)
         FROM d JOIN pg_catalog.pg_db_role_setting ON setdatabase = d.oid, unnest(setconfig) AS setting
         ORDER BY 1"
    );
    let rows =
        admin.handle().query(&sql, &[]).await.map_err(|e| Error::database("reading the database's settings", e))?;
    if rows.rows.is_empty() {
        return Err(Error::Refused {
            what: format!("the database `{database}` does not exist"),
            next: "create it, or check DB_NAME".into(),
        });
    }
    for row in &rows.rows {
        let [Value::Int4(kind), Value::Text(statement)] = row.as_slice() else { continue };
        match admin.batch("making the new database", statement).await {
            // What only a superuser may set is told; the data matters more.
            Err(error) if *kind > 1 => tracing::warn!(cause = why(&error), "not carried over: {statement}"),
            other => other?,
        }
    }
    Ok(())
}

/// A name as a connection string, so that one with a `=` in it is not taken for settings.
fn conninfo(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Fills the new database. `pg_restore` gives every object back to its owner, who must be allowed to make one where it is, before it gives
/// back the privileges; so who is no superuser lends that right meanwhile to those whose roles it has.
async fn fill_lent(admin: &Session, config: &Config, manifest: &Manifest, fresh: &str) -> Result<(), String> {
    let target = config.target.with_database(fresh);
    let (lend, take_back) = lending(&config.target, fresh).await.map_err(|e| why(&e))?;
    if !lend.is_empty() {
        let session = Session::connect(&target, "lockgate restore").await.map_err(|e| why(&e))?;
        session.batch("lending the right to make objects", &lend).await.map_err(|e| why(&e))?;
    }
    fill(&target, config, manifest, admin.server.major()).await?;
    if !take_back.is_empty() {
        let session = Session::connect(&target, "lockgate restore").await.map_err(|e| why(&e))?;
        session.batch("taking back the right to make objects", &take_back).await.map_err(|e| why(&e))?;
    }
    Ok(())
}

/// The statements that lend CREATE in the new database, and those that take it back from everyone who does not have it in the present one.
async fn lending(present: &Target, fresh: &str) -> Result<(String, String)> {
    let session = Session::connect(present, "lockgate restore").await?;
    let sql = format!(
        "SELECT place, quote_ident(rolname), EXISTS (SELECT FROM aclexplode(acl) WHERE grantee = r.oid AND privilege_type = 'CREATE')
         FROM pg_catalog.pg_roles r, (
             SELECT 'SCHEMA public', (SELECT nspacl FROM pg_catalog.pg_namespace WHERE nspname = 'public')
             UNION ALL SELECT {}, (SELECT datacl FROM pg_catalog.pg_database WHERE datname = current_database())) p (place, acl)
         WHERE NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
           AND pg_has_role(r.oid, 'MEMBER') AND rolname <> current_user AND rolname !~ '^pg_'",
        quote_literal(&format!("DATABASE {}", quote_ident(fresh)))
    );
    let rows = session.texts("reading who has a right to make objects", &sql).await?;
    let (mut lend, mut take_back) = (String::new(), String::new());
    for row in rows {
        let [Some(place), Some(role), Some(has_it)] = row.as_slice() else { continue };
        let _ = write!(lend, "GRANT CREATE ON {place} TO {role};");
        if has_it != "t" {
            let _ = write!(take_back, "REVOKE CREATE ON {place} FROM {role};");
        }
    }
    Ok((lend, take_back))
}

async fn fill(target: &Target, config: &Config, manifest: &Manifest, major: u32) -> Result<(), String> {
    let tools = tools::find(config.pg_bin.as_deref(), major)
        .map_err(|_| "a `pg_restore` for this server was not found".to_owned())?;
    let catalog = Catalog::open(&config.backup).map_err(|e| why(&e))?;
    let keys = verify::identities(manifest, config.backup.identity.as_deref()).map_err(|e| why(&e))?;
    let dump = manifest.parts.iter().find(|part| part.content == Content::Dump).cloned();
    let dump = dump.ok_or("it has no dump")?;
    let connection = target.clone();
    let work = child::supervise(&config.stop, move |started| {
        let mut command = Command::new(&tools.restore);
        command
            .args(["--exit-on-error", "--no-password", "--dbname", &conninfo(&connection.database)])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let _passfile = libpq(&mut command, &connection, "lockgate restore").map_err(|e| e.to_string())?;
        let mut child = command.spawn().map_err(|e| format!("`{}` cannot be started: {e}", tools.restore.display()))?;
        started.note(&child);
        let (mut stdin, stderr) = (child.stdin.take().ok_or("no pipe")?, child.stderr.take().ok_or("no pipe")?);
        let complaints = child::complaints(stderr);
        let file = catalog.store().read(&dump.file);
        let copied =
            file.and_then(|file| Decoder::new(file, &dump, &keys)).and_then(|mut dump| io::copy(&mut dump, &mut stdin));
        drop(stdin);
        let status = child.wait().map_err(|e| e.to_string())?;
        started.ended();
        let complaints = complaints.join().ok().and_then(Result::ok).unwrap_or_default();
        if !status.success() {
            return Err(format!("pg_restore ended with {status}: {complaints}"));
        }
        copied.map(drop).map_err(|e| format!("reading the backup: {e}"))
    });
    work.await?;
    let session = Session::connect(target, "lockgate restore").await.map_err(|e| e.to_string())?;
    session.batch("analyzing the new database", "ANALYZE").await.map_err(|e| e.to_string())
}

/// Nobody may connect between the two renames; clients see a refusal for a moment, then the restored database.
async fn swap(admin: &Session, database: &str, fresh: &str, kept: &str) -> Result<()> {
    const DOING: &str = "swapping the databases";
    let (name, fresh_name, kept_name) = (quote_ident(database), quote_ident(fresh), quote_ident(kept));
    // Statement by statement: it must be in force before the sessions are ended.
    admin.batch(DOING, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await?;
    let end = format!(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity
         WHERE datname = {} AND backend_type = 'client backend'",
        quote_literal(database)
    );
    admin.batch(DOING, &end).await?;
    let swap = format!("ALTER DATABASE {name} RENAME TO {kept_name}; ALTER DATABASE {fresh_name} RENAME TO {name}");
    admin.batch(DOING, &format!("BEGIN; {swap}; COMMIT")).await?;
    let open = format!("ALTER DATABASE {kept_name} ALLOW_CONNECTIONS true");
    if let Err(error) = admin.batch("opening the kept database", &open).await {
        tracing::warn!(%error, database = kept, "the kept database could not be opened");
    }
    Ok(())
}

/// After a failed swap: looks what there is, and brings back what there was. True when the swap was made after all.
async fn undo_swap(maintenance: &Target, database: &str, fresh: &str, kept: &str) -> Result<bool> {
    // Another connection: the one before may be lost, or stuck in the failed transaction.
    let admin = Session::connect(maintenance, "lockgate restore").await?;
    let sql = format!("SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = {})", quote_literal(kept));
    let rows =
        admin.handle().query(&sql, &[]).await.map_err(|e| Error::database("looking which databases there are", e))?;
    let swapped = rows.rows == [[Value::Bool(true)]];
    let reopen = if swapped { kept } else { database };
    admin
        .batch("reopening the database", &format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", quote_ident(reopen)))
        .await?;
    if !swapped {
        admin.batch("dropping the new database", &format!("DROP DATABASE IF EXISTS {}", quote_ident(fresh))).await?;
    }
    Ok(swapped)
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
