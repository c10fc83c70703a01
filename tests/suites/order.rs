//! In which order migrations run, and what becomes of files that change or come late.

use lockgate_tests::Scenario;

#[tokio::test]
async fn versions_of_any_width_run_in_the_order_of_their_numbers() {
    let scenario = Scenario::new("wide").await;
    let scenario =
        ["2", "010", "20260101000000", "99999999999999999999999"].iter().rev().fold(scenario, |scenario, version| {
            scenario.migration(
                &format!("{version}_t{version}"),
                &format!("CREATE TABLE t{version} ();"),
                &format!("DROP TABLE t{version};"),
            )
        });
    let outcome = scenario.up().await.succeeds();
    let order: Vec<&str> =
        outcome.stdout.lines().filter_map(|line| line.strip_prefix("applied ")?.split('_').next()).collect();
    assert_eq!(order, ["2", "010", "20260101000000", "99999999999999999999999"]);
    scenario.down("99999999999999999999999").await.succeeds();
    scenario.down("20260101000000").await.succeeds();
    scenario.down("10").await.succeeds();
    scenario.run("status").await.succeeds().prints("1 applied, 3 pending");
}

#[tokio::test]
async fn a_late_arrival_is_refused_warned_of_or_applied_as_the_policy_says() {
    let scenario = Scenario::new("late").await.tables(&["a", "b", "c"]);
    let late = std::fs::read(scenario.path("migrations/002_b.up.sql")).unwrap();
    scenario.remove("migrations/002_b.up.sql");
    scenario.remove("migrations/002_b.down.sql");
    scenario.up().await.succeeds();
    scenario.write("migrations/002_b.up.sql", late);
    scenario.write("migrations/002_b.down.sql", "DROP TABLE b;");

    let before = scenario.state().await;
    for arguments in ["up --no-backup", "plan", "up --out-of-order refuse --no-backup"] {
        scenario
            .run(arguments)
            .await
            .refuses_with(2)
            .says("`002_b` came late: version 003 is already applied")
            .says("--out-of-order apply");
    }
    scenario.run("up --out-of-order skip").await.exits_with(2).says("possible values: refuse, warn, apply");
    scenario.is_still(&before).await;

    scenario.run("plan --out-of-order apply").await.succeeds().prints("002_b");
    scenario.run("up --out-of-order warn --no-backup").await.succeeds().prints("applied 002_b").says("it came late");
    assert_eq!(scenario.applied().await, ["001", "002", "003"]);
    scenario.run("history --verify").await.succeeds();

    scenario.down("003").await.succeeds();
    scenario.down("002").await.succeeds();
    scenario.run("up --to 3 --no-backup").await.succeeds();
    let scenario = scenario.config("out_of_order = \"apply\"\n");
    scenario.write("migrations/001.5_z.up.sql", "CREATE TABLE z ();");
    scenario.write("migrations/001.5_z.down.sql", "DROP TABLE z;");
    scenario.up().await.refuses_with(2).says("001.5_z.up.sql");
}

#[tokio::test]
async fn drift_says_what_differs() {
    let up = "CREATE TABLE a (\n    id int PRIMARY KEY\n);\n";
    let scenario = Scenario::new("drift_says").await.migration("001_a", up, "DROP TABLE a;");
    scenario.up().await.succeeds();
    scenario.write("migrations/001_a.up.sql", up.replace("int", "bigint"));
    scenario
        .up()
        .await
        .refuses_with(5)
        .says("line 2 was `id int PRIMARY KEY` and is `id bigint PRIMARY KEY`")
        .says("`lockgate repair`");
}

#[tokio::test]
async fn a_formatter_may_lay_files_out_anew_where_that_is_allowed() {
    let scenario = Scenario::new("formatter").await.migration(
        "001_a",
        "create table a (id int, t text default 'a  b');",
        "drop table a;",
    );
    scenario.up().await.succeeds();
    scenario.write("migrations/001_a.up.sql", "create table a\n(\n    id int,\n    t text default 'a  b'\n);\n");
    scenario.up().await.refuses_with(5);
    let scenario = scenario.config("checksum = \"ignore-whitespace\"\n");
    scenario.up().await.succeeds().prints("nothing is pending");
    scenario.run("status --check").await.succeeds();
    scenario.write("migrations/001_a.up.sql", "create table a (id int, t text default 'a b');");
    scenario.up().await.refuses_with(5).says("001_a.up.sql: it has changed");
    let scenario = scenario.config("checksum = \"loose\"\n");
    scenario
        .up()
        .await
        .refuses_with(2)
        .says("unknown value `loose` of `checksum`; it takes `exact`, `ignore-whitespace`");
}

#[tokio::test]
async fn a_repair_takes_the_file_for_what_was_applied_and_the_journal_tells() {
    let scenario = Scenario::new("repair").await.tables(&["a", "b", "c"]);
    scenario.up().await.succeeds();
    scenario.run("repair").await.succeeds().prints("nothing has drifted");
    for name in ["a", "b"] {
        let number = if name == "a" { "001" } else { "002" };
        let text = format!("-- The table {name}.\nCREATE TABLE {name} (id int PRIMARY KEY);");
        scenario.write(&format!("migrations/{number}_{name}.up.sql"), text);
    }
    let before = scenario.state().await;
    scenario.run("repair 003").await.refuses_with(2).says("migration `003` has not changed since it was applied");
    scenario.run("repair 004").await.refuses_with(2).says("migration `004` has not changed");
    scenario
        .run("repair --dry-run")
        .await
        .succeeds()
        .prints("001_a: the file")
        .prints("line 1 was")
        .prints("nothing was changed");
    scenario.is_still(&before).await;

    let row = "SELECT applied_at, applied_by, execution_time_ms, run_id FROM schema_migrations WHERE version = '001'";
    let was = scenario.lines(row).await;
    scenario.run("repair 1").await.succeeds().prints("001_a: the file").does_not_print("002_b");
    assert_eq!(scenario.lines(row).await, was, "when and by whom it was applied stays");
    scenario.up().await.refuses_with(5).says("002_b.up.sql: it has changed").never_mentions("001_a");
    let json = scenario.run("repair --output json").await.succeeds().json();
    assert_eq!(json["migrations"][0]["version"], "002");
    scenario.run("status --check").await.succeeds().prints("3 applied, 0 pending");
    let told = scenario
        .lines("SELECT version, detail FROM schema_migrations_journal WHERE event = 'repaired' ORDER BY id")
        .await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("001") && told[0].contains("is taken for what was applied"), "{told:?}");
    scenario.run("history --verify").await.succeeds();
    // What is applied is still what is reverted.
    scenario.run("down --to 0 --no-backup --yes").await.succeeds();
}
