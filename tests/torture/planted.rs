//! Two runners that are wrong on purpose: they write the history in a transaction of its own, before or after the migration. The
//! harness must find both out, or it would find out nothing; and not a third, which does it right.

use std::{env, fs, process::ExitCode};

use lockgate::{
    error::Result,
    postgres::{Secret, Session, Target, quote_literal},
};

/// `before`, `after` or, as is right, `within`: this process is to be such a runner.
pub const ORDER: &str = "PLANTED";

pub fn main(order: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match runtime.block_on(up(order)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn up(order: &str) -> Result<()> {
    let setting = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is set"));
    let port = setting("DB_PORT").parse().expect("a port");
    let password = Secret::new(setting("DB_PASSWORD"));
    let target = Target::of_ours(&setting("DB_HOST"), port, &setting("DB_NAME"), &setting("DB_USER"), password);
    let session = Session::connect(&target, "planted").await?;
    session.batch("making the history", "CREATE TABLE IF NOT EXISTS schema_migrations (version int)").await?;
    let applied = session.texts("reading the history", "SELECT version::text FROM schema_migrations").await?;
    let entries = fs::read_dir("migrations").expect("a folder `migrations`");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|path| path.to_str().is_some_and(|path| path.ends_with(".up.sql")));
    files.sort();
    for (i, path) in files.iter().enumerate() {
        let version = (i + 1).to_string();
        if applied.iter().any(|row| row[0].as_deref() == Some(&version)) {
            continue;
        }
        let script = fs::read_to_string(path).expect("a script");
        let history = format!("INSERT INTO schema_migrations VALUES ({}::int);", quote_literal(&version));
        let transactions = match order {
            "before" => vec![history, script],
            "after" => vec![script, history],
            _ => vec![format!("{script} {history}")],
        };
        for transaction in transactions {
            session.batch("migrating", &format!("BEGIN; {transaction} COMMIT")).await?;
        }
    }
    Ok(())
}
