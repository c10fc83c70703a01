//! The tools themselves: each migrates a database, and Lockgate goes on. They come from `.ci/peers` (the folder that `LOCKGATE_PEERS` names, or
//! the usual one), or from PATH. One that is not there is left out, and named; unless `LOCKGATE_PEERS_REQUIRED` says that it must be there.

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
};

use lockgate_tests::{Outcome, Scenario};

use super::{Tool, by_name};

/// The program of a tool, if it is installed.
fn peer(program: &str) -> Option<PathBuf> {
    let state = || env::var_os("LOCKGATE_CI_STATE").map_or_else(|| "/var/tmp/lockgate-ci".into(), PathBuf::from);
    let peers = env::var_os("LOCKGATE_PEERS").map_or_else(|| state().join("peers"), PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = [peers.join("bin")].into_iter().chain(env::split_paths(&path));
    let found = folders.map(|folder| folder.join(program)).find(|program| program.is_file());
    if found.is_none() {
        let required = env::var("LOCKGATE_PEERS_REQUIRED").unwrap_or_default();
        assert!(!required.split_whitespace().any(|name| name == program), "`{program}` is required, and not installed");
        // The harness keeps back what is printed in the usual way.
        let _ = writeln!(io::stderr(), "skipped: `{program}` is not installed (`just peers` installs it)");
    }
    found
}

/// Lets the tool migrate what it has been given so far, then takes over.
async fn migrates_and_is_taken_over(tool: &Tool, program: &str, script: &str) {
    let Some(program) = peer(program) else { return };
    let scenario = Scenario::new(&format!("peer_{}", tool.name.replace('-', "_"))).await;
    // The plan of Sqitch names all of its scripts.
    tool.copy_folders(&scenario, (tool.name != "sqitch").then_some("notes"));
    run(&scenario, &program, script).await.succeeds();
    tool.copy_folders(&scenario, None);
    tool.is_taken_over(&scenario).await;
}

/// Runs a shell script that knows the tool as `$PEER` and the database as `$URL`.
async fn run(scenario: &Scenario, program: &PathBuf, script: &str) -> Outcome {
    let path = match env::var_os("LOCKGATE_PG_BIN") {
        Some(folder) => format!("{}:{}", folder.display(), env::var("PATH").unwrap_or_default()),
        None => env::var("PATH").unwrap_or_default(),
    };
    scenario.shell(script).env("PEER", program).env("URL", scenario.url()).env("PATH", path).await
}

#[tokio::test]
async fn dbmate_migrates_and_lockgate_goes_on() {
    let script = r#""$PEER" --url "$URL?sslmode=disable" --migrations-dir migrations --no-dump-schema up"#;
    migrates_and_is_taken_over(by_name("dbmate"), "dbmate", script).await;
}

#[tokio::test]
async fn alembic_migrates_and_lockgate_goes_on() {
    let script = r#"
        printf '[alembic]\nscript_location = %s\nversion_locations = %s/scripts\n' "$PWD/env" "$PWD" >alembic.ini
        mkdir env
        printf '%s\n' 'import os' 'from alembic import context' 'from sqlalchemy import create_engine' \
            'url = os.environ["URL"].replace("postgresql:", "postgres:").replace("postgres:", "postgresql+psycopg:")' \
            'with create_engine(url).connect() as connection:' '    context.configure(connection=connection)' \
            '    with context.begin_transaction():' '        context.run_migrations()' >env/env.py
        "$PEER" upgrade head
    "#;
    migrates_and_is_taken_over(by_name("alembic"), "alembic", script).await;
}

#[tokio::test]
async fn sqitch_migrates_and_lockgate_goes_on() {
    let script = r#"
        export SQITCH_FULLNAME=Ada SQITCH_EMAIL=ada@example.org
        cd migrations && "$PEER" deploy --verify --to orders "db:pg:$(echo "$URL" | sed 's#^[a-z]*:##')"
    "#;
    migrates_and_is_taken_over(by_name("sqitch"), "sqitch", script).await;
}

#[tokio::test]
async fn node_pg_migrate_migrates_and_lockgate_goes_on() {
    let script = r#"DATABASE_URL=$URL "$PEER" up --migrations-dir migrations"#;
    migrates_and_is_taken_over(by_name("node-pg-migrate"), "node-pg-migrate", script).await;
}

#[tokio::test]
async fn graphile_migrate_migrates_and_lockgate_goes_on() {
    let script = r#"echo '{}' >.gmrc; DATABASE_URL=$URL "$PEER" migrate"#;
    migrates_and_is_taken_over(by_name("graphile"), "graphile-migrate", script).await;
}

#[tokio::test]
async fn sqlx_migrates_and_lockgate_goes_on() {
    let script = r#""$PEER" migrate run --source migrations --database-url "$URL""#;
    migrates_and_is_taken_over(by_name("sqlx"), "sqlx", script).await;
}

#[tokio::test]
async fn refinery_migrates_and_lockgate_goes_on() {
    let script = r#"DATABASE_URL=$URL "$PEER" migrate -e DATABASE_URL -p migrations"#;
    migrates_and_is_taken_over(by_name("refinery"), "refinery", script).await;
}

#[tokio::test]
async fn diesel_migrates_and_lockgate_goes_on() {
    let script = r#""$PEER" migration run --migration-dir migrations --database-url "$URL""#;
    migrates_and_is_taken_over(by_name("diesel"), "diesel", script).await;
}
