//! SQL files as teams have them: with data, in transactions of their own, written for psql or by `pg_dump`; and where their errors point.

use std::{fs, path::Path};

use lockgate::sql::{
    Origin, Script,
    scan::{Kind, content, tokens},
};
use lockgate_tests::{Outcome, Scenario, components::text};

/// A statement by its tokens, each without its quotes where that is possible.
fn bare(sql: &str) -> Vec<String> {
    let meaning = tokens(sql).filter(|token| !token.is_blank() && token.kind != Kind::Semicolon);
    meaning.map(|token| content(&token, sql).unwrap_or_else(|| sql[token.start..token.end].to_owned())).collect()
}

fn is_control(statement: &[String]) -> bool {
    statement.first().is_some_and(|word| ["BEGIN", "START", "COMMIT", "END"].contains(&word.as_str()))
}

/// psql counts every `begin` and `end` in what it takes for a body, whatever they are, and forgets at the end of a line that a string that is
/// continued on the next began with `E`. The server does neither.
const PSQL_CUTS_OTHERWISE: &[&str] = &["body_with_names_like_end", "escapes_continued", "function_called_begin"];
/// The SQLSTATE with which a script fails, if it does.
fn fails_with(name: &str, server_version_num: u32) -> Option<&'static str> {
    match name {
        // The server has no such type.
        "new_label_unused" => Some("42704"),
        // Since version 17, a transaction that has made the type may use what it adds to it.
        "new_label_of_a_new_type" if server_version_num < 170_000 => Some("55P04"),
        _ => None,
    }
}

#[tokio::test]
async fn scripts_are_cut_where_psql_cuts_them_and_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scripts");
    let mut compared = 0;
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_none_or(|ending| ending != "sql") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let Ok(script) = Script::parse(&text, Origin::File(path.clone())) else { continue };
        let name = path.file_stem().unwrap().to_str().unwrap();
        let scenario = Scenario::new("cut").await.migration("001_a", &text, "SELECT 1");
        let ours: Vec<_> = script.statements().map(|(_, sql)| bare(sql)).collect();
        let mut theirs: Vec<_> = scenario.sent_by_psql(&path).iter().map(|sql| bare(sql)).collect();
        theirs.retain(|statement| !statement.is_empty() && !is_control(statement));
        if PSQL_CUTS_OTHERWISE.contains(&name) {
            assert_ne!(ours, theirs, "{name}: psql has learnt it");
        } else {
            assert_eq!(ours, theirs, "{name}");
        }
        compared += 1;
        let scenario = Scenario::new("runs").await.migration("001_a", &text, "SELECT 1");
        let outcome = scenario.up().await;
        match fails_with(name, scenario.value("SHOW server_version_num").await.parse().unwrap()) {
            Some(sqlstate) => outcome.fails_with(1).says(&format!("SQLSTATE {sqlstate}")),
            None => outcome.succeeds(),
        };
    }
    assert!(compared >= 25, "only {compared} were compared");
}

#[tokio::test]
async fn inline_data_arrive_as_they_are() {
    let up = "CREATE TABLE t (id int, said text);
COPY t FROM STDIN; -- rows
1\tit's; \"said\" $$ -- \\\\ /*
2\t\\N
\\.
INSERT INTO t VALUES (3, 'between');
COPY t (said, id) FROM STDIN WITH (FORMAT csv, HEADER);
said,id
\"a;
b\",4
\\.
COPY t FROM STDIN;
5\tlast";
    let scenario = Scenario::new("copy").await.migration("001_t", up, "COPY t FROM STDIN;\n6\tx\n\\.\nDROP TABLE t;");
    scenario.run("plan").await.succeeds().prints("  COPY t FROM STDIN\n").prints("one transaction");
    scenario.up().await.succeeds();
    let rows = scenario.lines("SELECT id, said FROM t ORDER BY id").await;
    assert_eq!(rows, ["1|it's; \"said\" $$ -- \\ /*", "2|", "3|between", "4|a;\nb", "5|last"]);
    // Also by the script that the history keeps.
    scenario.remove("migrations/001_t.up.sql");
    scenario.remove("migrations/001_t.down.sql");
    scenario.down("001").await.succeeds();
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn many_data_are_streamed() {
    let rows: String = (0..400_000).map(|n| format!("{n}\tsome words for row {n}\n")).collect();
    assert!(rows.len() > 10 << 20);
    let up = format!("CREATE TABLE t (id int, said text);\nCOPY t FROM STDIN;\n{rows}\\.\nCREATE INDEX ON t (id);");
    let scenario = Scenario::new("copy_much").await.migration("001_t", &up, "DROP TABLE t;");
    scenario.up().await.succeeds();
    assert_eq!(scenario.value("SELECT count(*), sum(id) FROM t").await, "400000|79999800000");
}

/// A second migration that fails, on a table `t`; nothing of it is left.
async fn failing(name: &str, up: &str) -> Outcome {
    let scenario = Scenario::new(name).await.migration(
        "001_t",
        "CREATE TABLE t (id int PRIMARY KEY, n int);
         CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN\n  RETURN (SELECT\n\tnope FROM t);\nEND';",
        "DROP FUNCTION f(); DROP TABLE t;",
    );
    scenario.up().await.succeeds();
    let before = scenario.state().await;
    let scenario = scenario.migration("002_b", up, "SELECT 1;");
    let outcome = scenario.up().await.fails_with(1).says("state: rolled back; the database is at version 001");
    scenario.is_still(&before).await;
    outcome
}

#[tokio::test]
async fn an_error_shows_the_line_with_a_caret() {
    failing("error_position", "INSERT INTO t VALUES (1);\n\tSELECT 1, 'é\u{1b}[2J', nope FROM t; -- x")
        .await
        .says("  at migrations/002_b.up.sql:2:21\n    \tSELECT 1, 'é [2J', nope FROM t; -- x\n    \t                   ^\n  cause: ");
    let long = format!("SELECT {}, nope, {} FROM t;", "1, ".repeat(300) + "1", "2, ".repeat(300) + "2");
    failing("error_long_line", &long)
        .await
        .says("at migrations/002_b.up.sql:1:911")
        .says("    …1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, nope, 2, 2,")
        .says(&format!("\n    {}^\n", " ".repeat(61)));
}

#[tokio::test]
async fn an_error_at_the_end_of_a_line_of_five_megabytes_is_found() {
    let up = format!("INSERT INTO t SELECT length('{}'), 1;SELECT é", "é; ".repeat(1_250_000));
    failing("error_far_away", &up)
        .await
        .says("at migrations/002_b.up.sql:1:3750043\n    …")
        .says("é; é; '), 1;SELECT é\n")
        .says(&format!("\n    {}^\n", " ".repeat(61)));
}

#[tokio::test]
async fn an_error_without_a_position_shows_its_statement() {
    failing("error_statement", "INSERT INTO t VALUES (1, 1);\nSELECT 1;\n  INSERT INTO t\n  VALUES (1, 2);\nSELECT 2;")
        .await
        .says("  at migrations/002_b.up.sql:3:3\n      INSERT INTO t\n      ^\n  cause: duplicate key")
        .says("(SQLSTATE 23505)\n    detail: Key (id)=(1) already exists.");
}

#[tokio::test]
async fn an_error_within_a_block_or_a_function_shows_where() {
    failing("error_block", "SELECT 1;\nDO $$\nBEGIN\n  PERFORM 1;\n  RAISE 'no: %', 1 USING HINT = 'try';\nEND $$;")
        .await
        .says("  at migrations/002_b.up.sql:5:3\n      RAISE 'no: %', 1 USING HINT = 'try';\n      ^\n  cause: no: 1 (SQLSTATE P0001)")
        .says("    hint: try\n")
        .says("    context: PL/pgSQL function inline_code_block line 4 (migrations/002_b.up.sql:5) at RAISE");
    failing("error_function", "SELECT 1; SELECT f();")
        .await
        .says("  at migrations/002_b.up.sql:1:11\n    SELECT 1; SELECT f();\n              ^\n")
        .says("    query:\n      \tnope FROM t)\n      \t^\n")
        .says("    context: PL/pgSQL function f() line 2 at RETURN");
    failing("error_body", "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS $$\n  SELECT nope FROM t\n$$;")
        .await
        .says("  at migrations/002_b.up.sql:2:10\n      SELECT nope FROM t\n             ^\n");
}

#[tokio::test]
async fn an_error_in_the_data_names_their_line() {
    failing("error_copy", "SELECT 1;\nCOPY t FROM STDIN;\n1\t1\n2\tsecret\n\\.\nSELECT 2;")
        .await
        .says("  at migrations/002_b.up.sql:4:1\n  cause: invalid input syntax for type integer")
        .says("context: COPY t, line 2 (migrations/002_b.up.sql:4), column n: \"secret\"")
        .never_mentions("2\tsecret");
    failing("error_copy_statement", "COPY nope FROM STDIN;\n1\n\\.\n")
        .await
        .says("  at migrations/002_b.up.sql:1:6\n    COPY nope FROM STDIN;\n         ^\n")
        .says("relation \"nope\" does not exist");
    failing("error_after_copy", "COPY t FROM STDIN;\n1\t1\n\\.\n\nSELECT 1;\nSELECT nope;")
        .await
        .says("  at migrations/002_b.up.sql:6:8\n    SELECT nope;\n           ^\n");
}

/// The driver cannot go on from there; the run does.
#[tokio::test]
async fn a_copy_that_the_server_does_not_begin_ends_the_migration_once() {
    let scenario = Scenario::new("copy_option").await.migration("001_t", "CREATE TABLE t (id int);", "DROP TABLE t;");
    let scenario = scenario.migration("002_b", "COPY t FROM STDIN (FORMAT xls);\n1\n\\.\n", "SELECT 1;");
    let outcome = scenario
        .up()
        .await
        .fails_with(1)
        .says("COPY format \"xls\" not recognized")
        .says("state: the connection is lost; the server rolls");
    outcome.says("at migrations/002_b.up.sql:1:20").never_mentions("tries");
    assert_eq!(scenario.applied().await, ["001"]);
    scenario.is_at_rest().await;
    scenario.write("migrations/002_b.up.sql", "COPY t FROM STDIN;\n1\n\\.\n");
    scenario.up().await.succeeds();
}

#[tokio::test]
async fn a_check_takes_no_data() {
    let scenario = Scenario::new("copy_check").await.migration("001_t", "CREATE TABLE t (id int);", "DROP TABLE t;");
    let scenario = scenario.file("001_t.verify.sql", "SELECT true;\nCOPY t FROM STDIN;\n1\n");
    scenario.up().await.fails_with(1).says("001_t.verify.sql:2:1").says("a check takes no data");
}

#[tokio::test]
async fn an_error_as_json_has_its_fields() {
    let up = "DO $$\nBEGIN RAISE 'no' USING DETAIL='d', HINT='h', ERRCODE='23514'; END $$;";
    let scenario = Scenario::new("error_json").await.migration("001_a", up, "");
    let error = scenario.run("up --no-backup --output json").await.exits_with(1).json()["error"].take();
    assert_eq!(error["at"], "migrations/001_a.up.sql:2:1");
    let line = up.lines().last().unwrap();
    assert_eq!(
        (&error["excerpt"]["line"], &error["excerpt"]["before"]),
        (&line.chars().take(60).chain(['…']).collect::<String>().into(), &0.into())
    );
    let said = &error["database"];
    assert_eq!((&said["sqlstate"], &said["message"]), (&"23514".into(), &"no".into()));
    assert_eq!((&said["detail"], &said["hint"]), (&"d".into(), &"h".into()));
    assert!(said["context"].as_str().unwrap().contains("inline_code_block line 2 (migrations/001_a.up.sql:2)"));
}

#[tokio::test]
async fn an_outer_transaction_is_the_hosts() {
    let up = "-- from elsewhere\nBEGIN;\nCREATE TABLE a ();\nSELECT é;\nCOMMIT;\n";
    let scenario = Scenario::new("outer").await.migration("001_a", up, "BEGIN; DROP TABLE a; COMMIT;");
    let before = scenario.state().await;
    scenario.up().await.fails_with(1).says("at migrations/001_a.up.sql:4:8\n    SELECT é;\n           ^");
    scenario.is_still(&before).await;
    let scenario = scenario.file("001_a.up.sql", up.replace("é", "1"));
    scenario.run("plan").await.succeeds().prints("one transaction)\n  CREATE TABLE a ()\n  SELECT 1\n");
    scenario.up().await.succeeds();
    scenario.down("001").await.succeeds();
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn without_a_transaction_each_group_is_one() {
    let up = "-- lockgate: no-transaction
CREATE TABLE a (id int, xid text);
BEGIN;
INSERT INTO a VALUES (1, pg_current_xact_id()::text);
SAVEPOINT s;
INSERT INTO a VALUES (0, 'gone');
ROLLBACK TO s;
COPY a FROM STDIN;
2\tcopied
\\.
INSERT INTO a VALUES (3, pg_current_xact_id()::text);
COMMIT;
INSERT INTO a VALUES (4, pg_current_xact_id()::text);
BEGIN;
INSERT INTO a VALUES (5, 'lost');
SELECT 1 / (SELECT count(*) FROM a WHERE id = 9);
COMMIT;
";
    let scenario = Scenario::new("groups").await.migration("001_a", up, "DROP TABLE a;");
    scenario.run("plan").await.succeeds().prints(
        "  in a transaction of its own: INSERT INTO a VALUES (1, pg_current_xact_id()::text); SAVEPOINT s; INSERT",
    );
    scenario.up().await.fails_with(1).says("at migrations/001_a.up.sql:16:1\n").says("stopped at step 4 of 4");
    let rows = "SELECT id FROM a ORDER BY id";
    assert_eq!(scenario.lines(rows).await, ["1", "2", "3", "4"]);
    assert_eq!(scenario.value("SELECT count(DISTINCT xid) FROM a WHERE id IN (1, 3)").await, "1");
    assert_eq!(scenario.value("SELECT count(DISTINCT xid) FROM a WHERE id IN (3, 4)").await, "2");
    // What is in the way is mended elsewhere; the run goes on with the last group, by the plan that was kept.
    scenario.lines("INSERT INTO a VALUES (9, 'mended')").await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.lines(rows).await, ["1", "2", "3", "4", "5", "9"]);
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn procedures_and_blocks_may_commit_outside_a_transaction() {
    let up = "-- lockgate: no-transaction
CREATE TABLE a (id int);
CREATE PROCEDURE p(n int) LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..n LOOP INSERT INTO a VALUES (i); COMMIT; END LOOP; END $$;
CALL p(3);
DO $$ BEGIN INSERT INTO a VALUES (4); COMMIT; INSERT INTO a VALUES (5); ROLLBACK; END $$;
";
    let scenario = Scenario::new("commits").await.migration("001_a", up, "DROP PROCEDURE p; DROP TABLE a;");
    scenario.run("plan").await.succeeds().prints("  outside a transaction (`no-transaction`): CALL p(3)");
    scenario.up().await.succeeds();
    assert_eq!(scenario.lines("SELECT id FROM a ORDER BY id").await, ["1", "2", "3", "4"]);
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn what_the_host_cannot_do_is_refused_before_anything_runs() {
    for (name, up, says) in [
        (
            "begin_serializable",
            "BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT 1;\nCOMMIT;",
            "up.sql:1:1: `BEGIN` asks for",
        ),
        ("commit_midway", "CREATE TABLE x ();\nCOMMIT;\nSELECT 2;", "up.sql:2:1: `COMMIT` would end"),
        (
            "group_undone",
            "-- lockgate: no-transaction\nBEGIN;\nSELECT 1;\nROLLBACK;",
            "up.sql:4:1: `ROLLBACK` would undo",
        ),
        ("behind_copy", "COPY t FROM STDIN; SELECT 1;\n\\.\n", "up.sql:1:20: something behind"),
        ("copy_command", "SELECT 1;\n\\copy t from 'x'\n", "up.sql:2:1: `\\copy` is a psql command"),
        ("new_label", "ALTER TYPE m ADD VALUE 'x';\nSELECT 'x'::m;", "up.sql:2:8: `x` looks like the label"),
        ("includes_nothing", "\\i nowhere.sql\n", "up.sql:1:1: there is no file `nowhere.sql`"),
        ("includes_outside", "\\i ../lockgate.toml\n", "`../lockgate.toml` is a file outside the migrations folder"),
    ] {
        let scenario = Scenario::new(name).await.config("").migration("001_a", "CREATE TABLE t ();", "DROP TABLE t;");
        let scenario = scenario.migration("002_b", up, "SELECT 1;");
        let before = scenario.state().await;
        scenario.up().await.refuses_with(2).says(says);
        scenario.is_still(&before).await;
    }
}

#[tokio::test]
async fn a_new_label_is_used_where_the_author_says_how() {
    let used = "ALTER TYPE m ADD VALUE 'x';\nINSERT INTO t VALUES ('x');";
    let alone = format!("-- lockgate: no-transaction\n{used}");
    let chance = "-- lockgate: new-label-unused\nALTER TYPE m ADD VALUE 'x';\nSELECT 'x'::text;";
    for (name, up) in [("label_alone", alone.as_str()), ("label_by_chance", chance)] {
        let made = "CREATE TYPE m AS ENUM ('a'); CREATE TABLE t (m m);";
        let scenario = Scenario::new(name).await.migration("001_m", made, "DROP TABLE t; DROP TYPE m;");
        scenario.migration("002_x", up, "SELECT 1;").up().await.succeeds();
    }
    let wrong = format!("-- lockgate: new-label-unused\n{used}");
    let made = "CREATE TYPE m AS ENUM ('a'); CREATE TABLE t (m m);";
    let scenario = Scenario::new("label_wrong").await.migration("001_m", made, "DROP TABLE t; DROP TYPE m;");
    let outcome = scenario.migration("002_x", &wrong, "SELECT 1;").up().await.fails_with(1);
    outcome.says("SQLSTATE 55P04").says("next: a label must be committed before it is used");
}

#[tokio::test]
async fn included_files_run_in_their_place_and_errors_name_them() {
    let scenario = Scenario::new("include").await;
    fs::create_dir(scenario.path("migrations/.parts")).unwrap();
    let scenario = scenario
        .file(".parts/table.sql", "CREATE TABLE t (id int)")
        .file(".parts/rows.sql", "COPY t FROM STDIN;\n1\n2")
        .migration("001_t", "\\i .parts/table.sql\n\\ir .parts/rows.sql\nINSERT INTO t VALUES (3);", "DROP TABLE t;")
        .file(".parts/wrong.sql", "SELECT 1;\n  SELECT nope;\n")
        .migration("002_b", "SELECT 0;\n\\i .parts/wrong.sql\n", "SELECT 1;");
    scenario
        .up()
        .await
        .fails_with(1)
        .says("at migrations/.parts/wrong.sql:2:10\n      SELECT nope;\n             ^")
        .says("the database is at version 001");
    assert_eq!(scenario.lines("SELECT id FROM t ORDER BY id").await, ["1", "2", "3"]);
    scenario.write("migrations/.parts/table.sql", "CREATE TABLE t (id bigint)");
    scenario.run("up --no-backup").await.fails_with(5);
}

/// The rows of every table of the service, as hashes.
async fn content_of(scenario: &Scenario) -> Vec<String> {
    let tables = scenario
        .lines(
            "SELECT relname FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
             AND relname NOT LIKE 'schema\\_migrations%' ORDER BY 1",
        )
        .await;
    assert!(tables.len() >= 4, "{tables:?}");
    let mut content = Vec::new();
    for table in tables {
        let sql = format!("SELECT '{table}', count(*), sum(hashtextextended(t::text, 0)) FROM {table} t");
        content.push(scenario.value(&sql).await);
    }
    content
}

#[tokio::test]
async fn a_dump_with_data_is_a_migration() {
    let from = Scenario::new("dumped").await.auth_migrations();
    from.run("up --no-backup --to 2").await.succeeds();
    from.lines(&text("auth/seed.sql")).await;
    let large = "SELECT lo_from_bytea(424242, '\\x00ff10'); SELECT setval(pg_get_serial_sequence(c.table_name, c.column_name), 12345)
                 FROM information_schema.columns c WHERE c.column_default LIKE 'nextval%' AND table_schema = 'public' LIMIT 1";
    from.lines(large).await;
    from.drop_own_tables().await;
    let dump = from.dump(&[]);
    for part in ["COPY public.users ", "\nBEGIN;\n", "OWNER TO", "set_config('search_path', '', false)"] {
        assert!(dump.contains(part), "{part}");
    }
    let check = "SELECT count(*) > 0 AS \"there are users\" FROM users;";
    let to = Scenario::new("dump_restored")
        .await
        .migration("001_dump", &dump, "DROP OWNED BY CURRENT_USER;")
        .file("001_dump.verify.sql", check)
        .migration("002_next", "CREATE TABLE next AS SELECT id FROM users;", "DROP TABLE next;");
    to.up().await.succeeds();
    to.lines("DROP TABLE next").await;
    assert_eq!(content_of(&to).await, content_of(&from).await);
    assert_eq!(to.value("SELECT encode(lo_get(424242), 'hex')").await, "00ff10");
    to.drop_own_tables().await;
    // The server itself leaves parentheses out of a condition that it reads a second time.
    let bare = |dump: &str| {
        let lines = dump.lines().filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
        lines.map(|line| line.replace(['(', ')'], "")).collect::<Vec<_>>()
    };
    let (before, after) = (bare(&dump), bare(&to.dump(&[])));
    let differing = before.iter().zip(&after).find(|(before, after)| before != after);
    assert_eq!((differing, before.len()), (None, after.len()));
}
