//! The folders of other tools are taken as they are.

use lockgate_tests::Scenario;

/// A folder of the fixtures: what is applied, in order, and what of it can be reverted, the newest first.
struct Folder {
    layout: &'static str,
    applied: &'static [&'static str],
    reverted: &'static [&'static str],
}

const FOLDERS: [Folder; 14] = [
    Folder {
        layout: "pairs",
        applied: &["1_Create-Users", "20240102030405_add_sessions"],
        reverted: &["20240102030405", "1"],
    },
    Folder { layout: "single", applied: &["20240101000000_users", "20240102000000_index"], reverted: &[] },
    Folder { layout: "goose", applied: &["00001_users", "00002_index"], reverted: &["2", "1"] },
    Folder {
        layout: "dbmate",
        applied: &["20240101000000_users", "20240102000000_index"],
        reverted: &["20240102000000", "20240101000000"],
    },
    Folder { layout: "tern", applied: &["001_users", "002_index"], reverted: &["002", "001"] },
    Folder {
        layout: "node-pg-migrate",
        applied: &["1704067200000_users", "1704153600000_sessions"],
        reverted: &["1704153600000", "1704067200000"],
    },
    Folder {
        layout: "flyway",
        applied: &["1_users", "1.2_sessions", "1.10_index", "R__active_users"],
        // The view of the repeatable migration is in the way of the rest.
        reverted: &["1.10", "1.2"],
    },
    Folder { layout: "refinery", applied: &["1_users", "2_sessions", "3_audit"], reverted: &[] },
    Folder {
        layout: "diesel",
        applied: &["00000000000000_diesel_initial_setup", "20240101000000_users", "20240102000000_index"],
        reverted: &["20240102000000", "20240101000000", "00000000000000"],
    },
    Folder {
        layout: "prisma",
        applied: &["20240101000000_users", "20240102000000_unique_email"],
        reverted: &["20240102000000"],
    },
    Folder { layout: "graphile-migrate", applied: &["000001", "000002_index"], reverted: &[] },
    Folder { layout: "atlas", applied: &["20240101000000_users", "20240102000000_index"], reverted: &[] },
    Folder { layout: "sqitch", applied: &["1_users", "2_sessions"], reverted: &["2", "1"] },
    Folder {
        layout: "liquibase",
        applied: &["1.1_ann:users", "1.2_ann:index", "2.1_ben:sessions"],
        reverted: &["2.1", "1.2", "1.1"],
    },
];

#[tokio::test]
async fn every_layout_is_found_applied_and_reverted() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/layouts");
    let mut there: Vec<String> =
        std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    there.sort();
    let mut listed: Vec<&str> = FOLDERS.iter().map(|folder| folder.layout).collect();
    listed.sort_unstable();
    assert_eq!(there, listed, "every folder of the fixtures is tried");

    for Folder { layout, applied, reverted } in FOLDERS {
        let name = format!("layout_{}", layout.replace('-', "_"));
        let mut scenario = Scenario::new(&name).await.fixtures(&format!("layouts/{layout}"));
        if layout == "refinery" {
            // By its names alone it could be a folder of Flyway's, in which `U` undoes.
            scenario.up().await.refuses_with(2).says("U3__audit.sql: an undo script without its migration");
            scenario = scenario.config("layout = \"refinery\"\n");
        }
        let before = scenario.schema_dump();
        let up = scenario.up().await.succeeds();
        let told: Vec<&str> = up.stdout.lines().filter_map(|line| line.strip_prefix("applied ")).collect();
        let told: Vec<&str> = told.iter().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(told, applied, "{layout}");
        scenario.run("status --check").await.succeeds().prints(&format!("{} applied, 0 pending", applied.len()));
        scenario.up().await.succeeds().prints("nothing is pending");
        for version in reverted {
            scenario.down(version).await.succeeds().prints("reverted");
        }
        let left = scenario.lines("SELECT version FROM schema_migrations ORDER BY applied_at").await;
        assert_eq!(left.len(), applied.len() - reverted.len(), "{layout}: {left:?}");
        if left.is_empty() {
            scenario.drop_own_tables().await;
            assert_eq!(scenario.schema_dump(), before, "{layout}: something is left");
        }
        // And once more, from where that left it.
        scenario.up().await.succeeds();
    }
}

#[tokio::test]
async fn a_folder_of_another_tool_takes_pairs_and_components_beside_its_files() {
    let scenario = Scenario::new("mixed").await.fixtures("layouts/goose").migration(
        "3_sessions",
        "CREATE TABLE sessions ();",
        "DROP TABLE sessions;",
    );
    // The program that embeds the files is no migration.
    scenario.write("migrations/embed.go", "package migrations");
    scenario.up().await.succeeds().prints("applied 00002_index").prints("applied 3_sessions");
    scenario.down("3").await.succeeds();
}

#[tokio::test]
async fn a_layout_can_be_asked_for_and_must_be_known() {
    let scenario = Scenario::new("asked").await.file("1_a.sql", "CREATE TABLE a ();");
    scenario.run("status --layout goose").await.refuses_with(2).says("1_a.sql:1: there is no `-- +goose Up`");
    scenario.run("status --layout gooze").await.refuses_with(2).says("there is no layout `gooze`").says("goose");
    let scenario = scenario.config("layout = \"dbmate\"\n");
    scenario.run("status").await.refuses_with(2).says("1_a.sql:1: there is no `-- migrate:up`");
    scenario.run("status --layout auto").await.succeeds().prints("1 pending");
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn what_a_tool_would_not_take_is_named_with_its_line_and_nothing_runs() {
    for (name, file, text, words) in [
        ("goose_twice", "1_a.sql", "-- +goose Up\n-- +goose Up\n", "1_a.sql:2: `Up` where goose has no place for it"),
        (
            "goose_word",
            "1_a.sql",
            "-- +goose Up\n-- +goose Sideways\n",
            "1_a.sql:2: `+goose Sideways` is no annotation",
        ),
        ("goose_env", "1_a.sql", "-- +goose Up\n-- +goose ENVSUB ON\n", "1_a.sql:2: variables of the environment"),
        (
            "dbmate_word",
            "1_a.sql",
            "-- migrate:up\n-- migrate:sideways\n",
            "1_a.sql:2: `migrate:sideways` where dbmate",
        ),
        (
            "dbmate_order",
            "1_a.sql",
            "-- migrate:down\nselect 1;\n-- migrate:up\n",
            "1_a.sql:1: `migrate:down` where dbmate",
        ),
        (
            "dbmate_option",
            "1_a.sql",
            "-- migrate:up transactions:false\n",
            "1_a.sql:1: `transactions:false` is no option",
        ),
        (
            "tern_template",
            "1_a.sql",
            "select 1;\n{{ template \"x\" }}\n---- create above / drop below ----\n",
            "1_a.sql:2: a template",
        ),
        ("flyway_placeholder", "V1__a.sql", "select 1;\nselect '${x}';\n", "V1__a.sql:2: a placeholder of Flyway's"),
        ("flyway_baseline", "B1__a.sql", "select 1;", "a baseline"),
        ("flyway_java", "V1__a.java", "class A {}", "V1__a.java: a program of another tool"),
        ("go", "1_a.go", "package main", "the name is not one of a migration"),
        (
            "liquibase_twice",
            "1_a.sql",
            "--liquibase formatted sql\n--changeset a:1 runOnChange:true\nselect 1;\n",
            "1_a.sql:2: `runOnChange:true`: a change set that runs more than once",
        ),
        ("liquibase_empty", "1_a.sql", "--liquibase formatted sql\nselect 1;\n", "a change log without a change set"),
    ] {
        // Enough of the tool's own to tell its layout by.
        let scenario = Scenario::new(name).await.file(file, text);
        let scenario = if name == "flyway_baseline" { scenario.file("V2__b.sql", "select 1;") } else { scenario };
        let before = scenario.state().await;
        scenario.run("up").await.refuses_with(2).says(words);
        scenario.is_still(&before).await;
    }
}

#[tokio::test]
async fn a_way_down_never_runs_as_part_of_a_way_up() {
    // Atlas hashes the files of other tools as well.
    let hashed = Scenario::new("atlas_goose").await.fixtures("layouts/goose").file("atlas.sum", "h1:abc=\n");
    hashed.up().await.succeeds();
    assert_eq!(hashed.value("SELECT count(*) FROM users").await, "0");

    let unknown = Scenario::new("unknown_tool").await;
    let unknown = unknown.file("1_a.sql", "-- +migrate Up\nCREATE TABLE a ();\n-- +migrate Down\nDROP TABLE a;\n");
    unknown.up().await.refuses_with(2).says("1_a.sql:3: what looks like the beginning of a way down");

    let cut = "---- create above / drop below ----";
    let tern =
        Scenario::new("tern_cut").await.file("001_a.sql", format!("create table a();\n  {cut} --\ndrop table a;\n"));
    tern.up().await.succeeds();
    assert_eq!(tern.value("SELECT to_regclass('a') IS NOT NULL").await, "t");

    let flyway =
        Scenario::new("undo_alone").await.file("V1__a.sql", "CREATE TABLE a ();").file("U1__a.sql", "DROP TABLE a;");
    let flyway = flyway.file("U3__b.sql", "DROP TABLE a;");
    flyway.up().await.refuses_with(2).says("U3__b.sql: an undo script without its migration");
}

#[tokio::test]
async fn nothing_that_stands_above_the_first_mark_is_left_out_in_silence() {
    for (name, text) in [
        ("goose_above", "create table lost();\n-- +goose Up\ncreate table a();\n"),
        (
            "dbmate_above",
            "\n-- A comment may.\ncreate table lost();\n-- migrate:up\ncreate table a();\n-- migrate:down\n",
        ),
        ("node_above", "create table lost();\n-- Up Migration\ncreate table a();\n"),
        ("liquibase_above", "--liquibase formatted sql\ncreate table lost();\n--changeset a:1\ncreate table a();\n"),
    ] {
        let scenario = Scenario::new(name).await.file("1_a.sql", text);
        scenario.up().await.refuses_with(2).says(": a statement above the first mark");
    }
    // A comment that speaks of a migration makes no folder one of node-pg-migrate's.
    let scenario = Scenario::new("node_comment").await.file(
        "1_a.sql",
        "create table a();\n-- Down migrations of this one are not possible: data is lost\ncreate table b();\n",
    );
    scenario.up().await.succeeds();
    assert_eq!(scenario.value("SELECT to_regclass('b') IS NOT NULL").await, "t");
}

#[tokio::test]
async fn what_a_script_includes_needs_no_name_of_a_migration() {
    let scenario = Scenario::new("included").await;
    scenario.write("migrations/shared/b.sql", "CREATE TABLE b ();");
    let scenario = scenario.file("c.sql", "CREATE TABLE c ();");
    let scenario =
        scenario.migration("1_a", "CREATE TABLE a ();\n\\i shared/b.sql\n\\i c.sql\n", "DROP TABLE a, b, c;");
    scenario.up().await.succeeds();
    scenario.run("status --check").await.succeeds();
    scenario.write("migrations/shared/d.sql", "CREATE TABLE d ();");
    scenario.up().await.refuses_with(2).says("migrations/shared: a folder among the migrations");
}

#[tokio::test]
async fn a_file_that_is_missing_of_an_applied_migration_blocks_nothing() {
    let scenario = Scenario::new("up_gone").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.remove("migrations/001_a.up.sql");
    scenario.up().await.succeeds().prints("nothing is pending").says("applied, but no longer in the folder");
    scenario.down("001").await.succeeds().prints("reverted 001_a");
    scenario.up().await.refuses_with(2).says("`001_a.up.sql` is missing, though 001_a.down.sql is there");

    let scenario = Scenario::new("flyway_base").await.fixtures("layouts/flyway");
    scenario.up().await.succeeds();
    scenario.write("migrations/B1.10__base.sql", "CREATE TABLE nothing ();");
    scenario.up().await.succeeds().prints("nothing is pending");
    scenario.write("migrations/B2__base.sql", "CREATE TABLE nothing ();");
    scenario.up().await.refuses_with(2).says("B2__base.sql: a baseline, which stands for others");
}

#[tokio::test]
async fn a_change_log_is_read_as_liquibase_reads_it() {
    let log = "--liquibase formatted sql\n-- changesets of the auth service follow: three\n\n\
               --changeset ada:1 dbms:h2,postgresql\ncreate table a();\n--rollback drop table a;\n\
               --changeset ada:2\ncreate table b();\ncreate table c();\n\
               /* liquibase rollback\ndrop table b;\ndrop table c;\n*/\n-- rollbacks of the rest are done by hand\n";
    let scenario = Scenario::new("change_log").await.file("1_log.sql", log);
    scenario.up().await.succeeds().prints("applied 1.1_ada:1").prints("applied 1.2_ada:2");
    scenario.down("1.2").await.succeeds();
    scenario.down("1.1").await.succeeds();
    assert_eq!(scenario.value("SELECT count(*) FROM pg_tables WHERE tablename IN ('a', 'b', 'c')").await, "0");
    scenario.write("migrations/1_log.sql", format!("{log}--ignoreLines:1\ncreate table ignored();\n"));
    scenario.up().await.refuses_with(2).says("lines that Liquibase leaves out");
}

#[tokio::test]
async fn sqlx_reads_no_transaction_from_how_a_script_begins() {
    let scenario = Scenario::new("sqlx_alone").await.migration(
        "1_a",
        "-- no-transaction: it commits\nDO $$ BEGIN CREATE TABLE a (); COMMIT; CREATE TABLE b (); END $$;",
        "DROP TABLE a, b;",
    );
    scenario.up().await.succeeds();
    scenario.down("1").await.succeeds();
}

#[tokio::test]
async fn a_program_that_the_other_tool_has_applied_is_as_it_is() {
    let scenario = Scenario::new("foreign").await.fixtures("layouts/goose").file("00003_fill.go", "package migrations");
    scenario.up().await.refuses_with(2).says("00003_fill.go: a program of another tool, which does not run here");
    scenario.remove("migrations/00003_fill.go");
    scenario.up().await.succeeds();
    scenario.write("migrations/00003_fill.go", "package migrations");
    let sum = lockgate::migration::Checksum::of_script("package migrations");
    scenario
        .lines(&format!(
            "INSERT INTO schema_migrations (version, filename, execution_time_ms, description, kind, checksum, run_id, lockgate_version)
             VALUES ('3', '00003_fill.go', 0, 'fill', 'sql', '{sum}', gen_random_uuid(), '0')"
        ))
        .await;
    scenario.run("status --check").await.succeeds().prints("3 applied, 0 pending");
    scenario.write("migrations/00004_b.sql", "-- +goose Up\nCREATE TABLE b ();\n");
    scenario.up().await.succeeds().prints("applied 00004_b");
}

#[tokio::test]
async fn a_repeatable_migration_runs_again_when_it_has_changed_and_only_then() {
    let scenario = Scenario::new("repeatable").await.fixtures("layouts/flyway");
    scenario.up().await.succeeds().prints("applied R__active_users");
    scenario.up().await.succeeds().prints("nothing is pending");
    let view = "CREATE OR REPLACE VIEW active_users AS SELECT id, email, 1 AS version FROM users;";
    scenario.write("migrations/R__active_users.sql", view);
    scenario.run("status --check").await.exits_with(3).prints("1 pending");
    let outcome = scenario.up().await.succeeds().prints("applied R__active_users");
    outcome.does_not_print("applied 1_users");
    assert_eq!(scenario.value("SELECT count(version) FROM active_users").await, "0");
    assert_eq!(scenario.value("SELECT count(*) FROM schema_migrations WHERE version = 'R__active_users'").await, "1");
    scenario.run("history --verify").await.succeeds();
    scenario.run("down R__active_users --no-backup").await.refuses_with(2).says("`R__active_users` is repeatable");

    // One that fails leaves the former one in force.
    let before = scenario.state().await;
    scenario
        .write("migrations/R__active_users.sql", "CREATE OR REPLACE VIEW active_users AS SELECT nothing FROM users;");
    scenario.up().await.exits_with(1).says("R__active_users.sql:1:47");
    scenario.write("migrations/R__active_users.sql", view);
    scenario.run("status --check").await.succeeds();
    let journal = ["schema_migrations_journal".to_owned()];
    let after = scenario.state().await.without_content_of(&journal);
    before.without_content_of(&journal).equals(&after);
}
