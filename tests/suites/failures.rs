//! A migration that fails is rolled back whole; those before it stay, and the message says where and why.

use std::fs;

use lockgate_tests::Scenario;

/// Behind a script that has a table `a`: what has data goes to the server step by step.
const NO_DATA: &str = "\nCOPY a FROM STDIN;\n\\.\n";

#[tokio::test]
async fn a_failure_in_the_middle_keeps_what_was_before_it() {
    let scenario = Scenario::new("middle")
        .await
        .tables(&["a"])
        .migration("002_b", "CREATE TABLE b ();\n\nALTER TABLE b ADD é int,\n    ADD x nonsense;\n", "DROP TABLE b;")
        .migration("003_c", "CREATE TABLE c ();", "DROP TABLE c;");
    scenario
        .up()
        .await
        .fails_with(1)
        .says("error: migration `002_b` failed in up")
        .says("  at migrations/002_b.up.sql:4:11\n")
        .says("  cause: type \"nonsense\" does not exist (SQLSTATE 42704)\n")
        .says("  state: rolled back; the database is at version 001; the lock is released\n")
        .says("  next: mend the cause, then run `lockgate up` again")
        .never_mentions("applied 002");
    assert_eq!(scenario.applied().await, ["001"]);
    assert_eq!(scenario.lines("SELECT to_regclass('a'), to_regclass('b'), to_regclass('c')").await, ["a||"]);
    assert_eq!(scenario.journal().await, ["run_started", "backup_skipped", "applied 001", "failed 002"]);
    scenario.is_at_rest().await;

    scenario.write("migrations/002_b.up.sql", "CREATE TABLE b ();");
    scenario.up().await.succeeds().does_not_print("applied 001").prints("applied 002_b").prints("applied 003_c");
}

#[tokio::test]
async fn a_failure_of_the_first_leaves_an_empty_history() {
    let scenario = Scenario::new("first").await.migration("001_a", "CREATE TABLE a ();\nSELECT 1/0;", "");
    let before = scenario.state().await;
    scenario
        .up()
        .await
        .fails_with(1)
        .says("division by zero (SQLSTATE 22012)")
        .says("state: rolled back; no migration is applied");
    scenario.is_still(&before).await;
    let detail = scenario.value("SELECT detail FROM schema_migrations_journal WHERE event = 'failed'").await;
    assert!(detail.contains("division by zero"), "{detail}");
}

#[tokio::test]
async fn a_violated_constraint_is_told_with_its_values() {
    let scenario =
        Scenario::new("constraint").await.tables(&["a"]).migration("002_b", "INSERT INTO a VALUES (1), (1);", "");
    scenario.up().await.fails_with(1).says("SQLSTATE 23505").says("detail: Key (id)=(1) already exists.");
}

#[tokio::test]
async fn a_deferred_constraint_is_checked_before_the_verification() {
    let up = "CREATE TABLE b (a int REFERENCES a DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO b VALUES (1);";
    let scenario = Scenario::new("at_commit").await.tables(&["a"]).migration("002_b", up, "DROP TABLE b;");
    scenario
        .up()
        .await
        .fails_with(1)
        .says("migration `002_b` failed in up, step deferred constraints")
        .says("SQLSTATE 23503")
        .says("state: rolled back; the database is at version 001");
    assert_eq!(scenario.applied().await, ["001"]);
    assert_eq!(scenario.value("SELECT to_regclass('b') IS NULL").await, "t");
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn a_down_that_fails_changes_nothing() {
    let scenario =
        Scenario::new("down_fails").await.migration("001_a", "CREATE TABLE a ();", "DROP TABLE a;\nDROP TABLE a;");
    scenario.up().await.succeeds();
    let before = scenario.state().await;
    scenario
        .down("001")
        .await
        .fails_with(1)
        .says("migration `001_a` failed in down")
        .says("table \"a\" does not exist")
        .says("state: rolled back; the database is at version 001");
    scenario.is_still(&before).await;
    assert_eq!(scenario.journal().await.last().unwrap(), "failed 001");
}

#[tokio::test]
async fn a_table_that_is_locked_stops_the_run_and_not_the_application() {
    let scenario = Scenario::new("locked_table").await.config("[statements]\nlock_timeout_ms = 200\n").tables(&["a"]);
    scenario.up().await.succeeds();
    let scenario = scenario.migration("002_b", "ALTER TABLE a ADD note text;", "ALTER TABLE a DROP note;");
    let before = scenario.state().await;
    let application = scenario.session().await;
    application.lines("BEGIN; SELECT * FROM a").await;
    scenario.up().await.fails_with(1).says("canceling statement due to lock timeout").says("SQLSTATE 55P03");
    application.lines("COMMIT").await;
    scenario.is_still(&before).await;
    scenario.up().await.succeeds().prints("applied 002_b");
}

#[tokio::test]
async fn a_statement_that_runs_too_long_is_stopped() {
    let scenario = Scenario::new("too_long").await.config("[statements]\ntimeout_ms = 100\n").migration(
        "001_a",
        "SELECT pg_sleep(3600);",
        "",
    );
    scenario.up().await.fails_with(1).says("canceling statement due to statement timeout").says("SQLSTATE 57014");
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn a_script_cannot_leave_the_role_or_release_the_lock() {
    let scenario = Scenario::new("unbroken").await.tables(&["a"]);
    scenario.up().await.succeeds();
    // A role that may do all that the run does once it is there.
    let other = scenario.role("").await;
    let grant = format!("GRANT {other} TO lockgate_owner; GRANT ALL ON ALL TABLES IN SCHEMA public TO {other}");
    scenario.superuser().await.lines(&grant).await;
    let before = scenario.state().await;
    let role = format!("SET ROLE {other};");
    for (statement, words) in [
        ("SELECT pg_advisory_unlock_all();", "it released the lock that the host holds"),
        (&*role, "it left another role than the one that it was given"),
    ] {
        scenario.write("migrations/002_b.up.sql", format!("ALTER TABLE a ADD b int; {statement}"));
        scenario.write("migrations/002_b.down.sql", "");
        scenario.up().await.fails_with(1).says("migration `002_b` failed in up").says(words).says("state: rolled back");
        scenario.is_still(&before).await;
    }
}

#[tokio::test]
async fn a_procedure_cannot_commit() {
    let up = "CREATE TABLE a (); CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$; CALL p();";
    let scenario = Scenario::new("procedure").await.migration("001_a", up, "");
    let before = scenario.state().await;
    scenario.up().await.fails_with(1).says("invalid transaction termination").says("SQLSTATE 2D000").says(
        "next: a procedure or a block that commits runs outside a transaction only: write `-- lockgate: no-transaction`",
    );
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn settings_of_one_migration_do_not_reach_the_next() {
    let scenario = Scenario::new("settings")
        .await
        .migration(
            "001_a",
            "CREATE SCHEMA s; SET search_path = s; SET default_transaction_read_only = on;",
            "DROP SCHEMA s;",
        )
        .migration("002_b", "CREATE TABLE b ();", "DROP TABLE b;");
    scenario.up().await.succeeds();
    assert_eq!(scenario.value("SELECT to_regclass('public.b') IS NOT NULL").await, "t");
}

#[tokio::test]
async fn a_migration_that_undoes_its_own_history_row_is_rolled_back() {
    let trigger = "CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN DELETE FROM schema_migrations WHERE version = NEW.version; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER undo AFTER INSERT ON schema_migrations DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION undo();";
    let scenario = Scenario::new("undoes").await.tables(&["a"]).migration("002_b", trigger, "");
    scenario.up().await.fails_with(1).says("it changed the tables in which the host keeps what is applied");
    assert_eq!(scenario.applied().await, ["001"]);
}

#[tokio::test]
async fn a_commit_that_is_hidden_in_a_script_is_told_as_what_it_is() {
    // The server reads the name of the function as a name; so must we, or the COMMIT after it goes unseen.
    let up = "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1';\nCOMMIT;";
    let scenario = Scenario::new("hidden").await.tables(&["a"]).migration("002_b", up, "");
    scenario.up().await.refuses_with(2).says("002_b.up.sql:2:1: `COMMIT` would end the transaction");
}

#[tokio::test]
async fn a_script_cannot_replace_what_is_asked_of_it() {
    // All that the host has prepared is there to be read: what records the migration does nothing then, and what checks it tells that all is well.
    let up = "CREATE TABLE a ();
        DO $do$
        DECLARE guard text; body text; other text;
        BEGIN
            SELECT p.name, split_part(p.statement, p.name || ' AS', 2) INTO guard, body FROM pg_prepared_statements p
            WHERE p.name LIKE 'lockgate\\_guard\\_%' AND p.statement NOT LIKE '%c1, true%';
            IF guard IS NULL THEN RETURN; END IF;
            EXECUTE 'DEALLOCATE ' || guard;
            EXECUTE 'PREPARE ' || guard || ' AS SELECT c1, true, c3, c4, c5, c6, c7, c8, c9 FROM (' || body || ') t (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10)';
            other := replace(guard, '_guard_', '_record_');
            EXECUTE 'DEALLOCATE ' || other;
            EXECUTE 'PREPARE ' || other || ' (text, text, text, text, text, text, text, text) AS SELECT 1 / 1';
            other := replace(guard, '_guard_', '_note_');
            EXECUTE 'DEALLOCATE ' || other;
            EXECUTE 'PREPARE ' || other || ' (text, text, text, text, text, text) AS SELECT 1 / 1';
            CREATE TABLE replaced ();
        END $do$;";
    let scenario = Scenario::new("replaced").await.migration("001_a", up, "DROP TABLE a;");
    let scenario = scenario.migration("002_b", "CREATE TABLE b ();", "DROP TABLE b;");
    scenario.up().await.succeeds().says("what the host had prepared was replaced");
    assert_eq!(scenario.applied().await, ["001", "002"]);
    assert_eq!(scenario.lines("SELECT to_regclass('replaced') IS NULL").await, ["t"], "that try was rolled back");
    let journal = "SELECT version FROM schema_migrations_journal WHERE event = 'applied' ORDER BY id";
    assert_eq!(scenario.lines(journal).await, ["001", "002"]);
}

#[tokio::test]
async fn what_is_asked_of_each_step_cannot_be_replaced() {
    // It would tell that the lock is held.
    let replace = "SELECT p.name, split_part(p.statement, p.name || ' AS', 2) INTO STRICT n, body FROM pg_prepared_statements p
                   WHERE p.name LIKE 'lockgate\\_standing\\_%';
                   EXECUTE 'DEALLOCATE ' || n;
                   EXECUTE 'PREPARE ' || n || ' AS SELECT c1, true, c3, c4, c5, c6, c7, c8 FROM (' || body || ') t (c1, c2, c3, c4, c5, c6, c7, c8)'";
    let all = "EXECUTE 'DEALLOCATE ALL'";
    let scenario = Scenario::new("standing").await.tables(&["a"]);
    scenario.up().await.succeeds();
    for what in [replace, all] {
        for (does, failed) in [("PERFORM pg_advisory_unlock_all()", true), ("NULL", false)] {
            let up = format!("DO $do$ DECLARE n text; body text; BEGIN {what}; {does}; END $do$;{NO_DATA}");
            let version = scenario.applied().await.len() + 1;
            scenario.write(&format!("migrations/{version:03}_b.up.sql"), format!("-- lockgate: irreversible\n{up}"));
            let ran = scenario.run("up --no-backup").await;
            if failed {
                ran.fails_with(1).says("it released the lock that the host holds")
            } else {
                ran.succeeds()
            };
        }
    }
    assert_eq!(scenario.applied().await, ["001", "002", "003"]);
}

#[tokio::test]
async fn what_is_asked_of_each_step_is_not_answered_by_another() {
    // One statement may answer with rows of several kinds: with what the list of the prepared statements should say, then with how things should
    // stand. Behind it, a row of the history goes when another one comes.
    let forged = "CREATE TABLE evil (x int);
        CREATE TABLE saved (n text, at text);
        CREATE TABLE stood (c1 text, c2 bool, c3 text, c4 text, c5 text, c6 int8[], c7 int8[], c8 int8[]);
        DO $do$
        DECLARE nm text; body text; k text;
        BEGIN
            SELECT p.name, split_part(p.statement, p.name || ' AS', 2) INTO STRICT nm, body FROM pg_prepared_statements p
            WHERE p.name LIKE 'lockgate\\_standing\\_%';
            INSERT INTO saved SELECT nm, extract('epoch' FROM prepare_time)::text FROM pg_prepared_statements WHERE name = nm;
            EXECUTE 'INSERT INTO stood ' || body;
            k := '(SELECT count(*) FROM public.schema_migrations WHERE version = ''002'')';
            CREATE RULE r1 AS ON INSERT TO evil DO ALSO SELECT n, at FROM saved;
            EXECUTE 'CREATE RULE r2 AS ON INSERT TO evil DO ALSO SELECT c1, true, c3, c4, c5, ARRAY[c6[1] + ' || k || ', c6[2], c6[3]]::int8[],
                     ARRAY[c7[1] + ' || k || ', c7[2], c7[3]]::int8[], c8 FROM stood';
            EXECUTE 'DEALLOCATE ' || nm;
            EXECUTE 'PREPARE ' || nm || ' AS INSERT INTO public.evil VALUES (1)';
        END $do$;";
    let hack = "CREATE FUNCTION hack() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN DELETE FROM public.schema_migrations WHERE version = '001'; RETURN NULL; END $$;
        CREATE TRIGGER hack AFTER INSERT ON public.schema_migrations FOR EACH ROW EXECUTE FUNCTION hack();";
    let scenario = Scenario::new("forged_standing").await.tables(&["a"]);
    scenario.up().await.succeeds();
    for (does, says) in [
        (hack, "it changed the tables in which the host keeps what is applied"),
        ("SELECT pg_advisory_unlock_all();", "it released the lock that the host holds"),
    ] {
        let up = format!("-- lockgate: irreversible\n{forged}\n{does}{NO_DATA}");
        scenario.write("migrations/002_b.up.sql", up);
        for command in ["up --no-backup", "up --atomic --no-backup"] {
            scenario.run(command).await.fails_with(1).says(says);
            assert_eq!(scenario.applied().await, ["001"]);
        }
    }
    // Nor does it matter how much it answers, or what it fails with.
    for instead in ["SELECT g, g FROM generate_series(1, 1000000) g", "SELECT liar()"] {
        let up = format!(
            "-- lockgate: irreversible
            CREATE FUNCTION liar() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '25P01'; END $$;
            DO $do$ DECLARE n text; BEGIN
                SELECT name INTO STRICT n FROM pg_prepared_statements WHERE name LIKE 'lockgate\\_standing\\_%';
                EXECUTE 'DEALLOCATE ' || n; EXECUTE 'PREPARE ' || n || ' AS {instead}';
            END $do$; DROP FUNCTION liar;{NO_DATA}"
        );
        let version = scenario.applied().await.len() + 1;
        scenario.write(&format!("migrations/{version:03}_b.up.sql"), up);
        scenario.run("up --no-backup").await.succeeds();
    }
    assert_eq!(scenario.applied().await, ["001", "002", "003"]);
}

#[tokio::test]
async fn nothing_of_a_migration_runs_when_the_host_writes() {
    // Triggers that forge the host's entry and are gone again behind it.
    let triggers =
        "CREATE TRIGGER a1 BEFORE INSERT ON public.schema_migrations_journal FOR EACH ROW EXECUTE FUNCTION bf();
        CREATE TRIGGER tt AFTER INSERT ON public.schema_migrations_journal FOR EACH ROW EXECUTE FUNCTION tf();";
    let functions = "CREATE FUNCTION bf() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.detail := 'forged'; RETURN NEW; END $$;
        CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            DROP TRIGGER a1 ON public.schema_migrations_journal; DROP TRIGGER tt ON public.schema_migrations_journal; RETURN NULL;
        END $$;";
    let put_off = format!(
        "CREATE TABLE later (i int);
         CREATE FUNCTION makes() RETURNS trigger LANGUAGE plpgsql AS $m$ BEGIN {triggers} RETURN NULL; END $m$;
         CREATE CONSTRAINT TRIGGER makes AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION makes();
         INSERT INTO later VALUES (1);"
    );
    let scenario = Scenario::new("forged_entry").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let forged = "SELECT count(*) FROM schema_migrations_journal WHERE detail = 'forged'";
    for does in [triggers, &put_off] {
        for data in ["", NO_DATA] {
            scenario
                .write("migrations/002_b.up.sql", format!("-- lockgate: irreversible\n{functions}\n{does}\n{data}"));
            for command in ["up --no-backup", "up --atomic --no-backup"] {
                let says = "it changed the tables in which the host keeps what is applied";
                scenario.run(command).await.fails_with(1).says(says);
                assert_eq!(scenario.applied().await, ["001"], "{command}");
                assert_eq!(scenario.value(forged).await, "0");
            }
        }
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_read_is_no_end_of_the_program() {
    let scenario = Scenario::new("unreadable_name").await.tables(&["a"]);
    scenario.up().await.succeeds();
    for data in ["", NO_DATA] {
        let up = format!("-- lockgate: irreversible\nPREPARE \"é\" AS SELECT 1;{data}\nSET client_encoding = LATIN1;");
        scenario.write("migrations/002_b.up.sql", up);
        for command in ["up --no-backup", "up --atomic --no-backup"] {
            scenario.run(command).await.fails_with(1).says("it left `client_encoding`");
        }
    }
}

#[tokio::test]
async fn a_script_may_set_back_what_it_has_set() {
    let up = "SET work_mem = '10MB'; CREATE TABLE a (); RESET ALL;";
    let scenario = Scenario::new("set_back").await.migration("001_a", up, "DROP TABLE a; RESET ALL;");
    let scenario = scenario.migration("002_b", "CREATE TABLE b (); SET lockgate.transaction = '1';", "DROP TABLE b;");
    scenario.up().await.succeeds();
    assert_eq!(scenario.applied().await, ["001", "002"]);
    scenario.run("down --to 0 --no-backup --yes").await.succeeds();
    assert!(scenario.applied().await.is_empty());
}

#[tokio::test]
async fn no_lock_of_another_kind_stands_for_that_of_the_run() {
    let other =
        "CREATE TABLE b (); SELECT pg_advisory_unlock_all(); SELECT pg_advisory_xact_lock(1280262987, 1195463749);";
    let scenario = Scenario::new("other_lock").await.tables(&["a"]).migration("002_b", other, "DROP TABLE b;");
    // With data, it is run step by step.
    for (verified, data) in [(false, ""), (true, ""), (false, NO_DATA), (true, NO_DATA)] {
        scenario.write("migrations/002_b.up.sql", format!("{other}{data}"));
        if verified {
            scenario.write("migrations/002_b.verify.sql", "SELECT true;");
        }
        for command in ["up --no-backup", "up --atomic --no-backup"] {
            scenario.run(command).await.fails_with(1).says("it released the lock that the host holds");
        }
        if verified {
            scenario.remove("migrations/002_b.verify.sql");
        }
    }
}

#[tokio::test]
async fn a_lock_that_is_given_back_at_the_commit_ends_the_run() {
    let up = "CREATE TABLE a (); DECLARE c CURSOR WITH HOLD FOR SELECT pg_advisory_unlock_all();";
    let scenario = Scenario::new("lock_at_commit").await.migration("001_a", up, "DROP TABLE a;");
    let scenario = scenario.migration("002_b", "CREATE TABLE b ();", "DROP TABLE b;");
    let said = "a migration before gave it back when it committed";
    scenario.up().await.fails_with(2).says(said);
    assert_eq!(scenario.applied().await, ["001"]);
    scenario.up().await.succeeds();
    assert_eq!(scenario.applied().await, ["001", "002"]);
}

#[tokio::test]
async fn a_script_that_ends_in_the_midst_of_a_statement_fails_at_its_end() {
    for (i, up) in ["CREATE TABLE a ();\nSELECT 1 +", "SELECT 1 +\n-- that is all", "SELECT (1"].into_iter().enumerate()
    {
        let scenario = Scenario::new(&format!("midst_{i}")).await.migration("001_a", up, "SELECT 1");
        for command in ["up --no-backup", "up --atomic --no-backup"] {
            let ran = scenario.run(command).await.fails_with(1);
            ran.says("syntax error at end of input").says("at migrations/001_a.up.sql:").never_mentions("at or near");
        }
    }
}

/// A script with a table, into which it writes, and a function that is called in the COMMIT: what it has put off is put off once more.
fn at_the_commit(what: &str) -> String {
    format!(
        "CREATE TABLE t (i int);
         CREATE FUNCTION at_the_commit() RETURNS trigger LANGUAGE plpgsql AS $f$
         DECLARE n text;
         BEGIN
             IF NEW.i = 1 THEN
                 SET CONSTRAINTS ALL DEFERRED; INSERT INTO t VALUES (2);
             ELSE
                 {what};
             END IF;
             RETURN NULL;
         END $f$;
         CREATE CONSTRAINT TRIGGER at_the_commit AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION at_the_commit();
         INSERT INTO t VALUES (1);"
    )
}

/// Three migrations, the second of which does this at its COMMIT, behind which the third was sent.
async fn three(name: &str, second: &str) -> Scenario {
    Scenario::new(name)
        .await
        .migration("001_a", "CREATE SEQUENCE calls;", "DROP SEQUENCE calls;")
        .migration("002_b", &at_the_commit(second), "DROP TABLE t; DROP FUNCTION at_the_commit;")
        // A number that was taken stays so, whatever is rolled back.
        .migration("003_c", "CREATE TABLE c (); SELECT nextval('public.calls');", "DROP TABLE c;")
}

#[tokio::test]
async fn what_follows_a_commit_that_fails_is_not_begun() {
    let write = "INSERT INTO t VALUES (3)";
    // Whoever knows what the host has prepared can put other statements in their places as late as that.
    let replace = "FOR n IN SELECT name FROM pg_prepared_statements WHERE name LIKE 'lockgate%' LOOP
                       EXECUTE 'DEALLOCATE ' || n; EXECUTE 'PREPARE ' || n || ' AS SELECT 1';
                   END LOOP;
                   RAISE EXCEPTION 'no commit'";
    for (i, (second, says)) in
        [(write, "has put off something once more"), (replace, "no commit")].into_iter().enumerate()
    {
        let scenario = three(&format!("follows_{i}"), second).await;
        scenario
            .up()
            .await
            .fails_with(1)
            .says("migration `002_b` failed in up")
            .says(says)
            .says("state: rolled back; the database is at version 001; the lock is released");
        assert_eq!(scenario.applied().await, ["001"]);
        assert_eq!(scenario.value("SELECT is_called FROM calls").await, "f");
        assert_eq!(scenario.journal().await, ["run_started", "backup_skipped", "applied 001", "failed 002"]);
        scenario.is_at_rest().await;

        scenario.write("migrations/002_b.up.sql", "CREATE TABLE b ();");
        scenario.write("migrations/002_b.down.sql", "DROP TABLE b;");
        scenario.up().await.succeeds().prints("applied 002_b").prints("applied 003_c");
        assert_eq!(scenario.value("SELECT last_value FROM calls").await, "1");
    }
}

#[tokio::test]
async fn what_follows_a_commit_has_nothing_of_the_session_before() {
    // What is set in the COMMIT is set back by the host behind it, however long that takes.
    let second = "PERFORM set_config('statement_timeout', '1', false), set_config('search_path', 'alien', false)";
    let scenario = three("nothing_of_it", second).await;
    let tables: String =
        (0..300).map(|n| format!("CREATE TEMPORARY TABLE temporary_{n} (id int PRIMARY KEY);")).collect();
    let up = format!("CREATE SCHEMA alien; {tables} {}", at_the_commit(second));
    scenario.write("migrations/002_b.up.sql", up);
    scenario
        .write("migrations/002_b.down.sql", "DROP SCHEMA alien CASCADE; DROP TABLE t; DROP FUNCTION at_the_commit;");
    scenario.up().await.succeeds().prints("applied 003_c");
    assert_eq!(scenario.lines("SELECT to_regclass('public.c'), to_regclass('alien.c')").await, ["c|"]);
    assert_eq!(scenario.value("SELECT last_value FROM calls").await, "1");
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn what_a_script_says_is_told_after_the_commit_before_it() {
    let mut scenario = Scenario::new("says").await;
    for n in 1..=4 {
        let up = format!("CREATE TABLE t{n} (); DO $$ BEGIN RAISE WARNING 'I am script {n}'; END $$;");
        scenario = scenario.migration(&format!("00{n}_t{n}"), &up, &format!("DROP TABLE t{n};"));
    }
    let outcome = scenario.run("-v up --no-backup").await.succeeds();
    let place = |what: &str| outcome.stderr.find(what).unwrap_or_else(|| panic!("{what}: {}", outcome.stderr));
    for n in 2..=4 {
        let committed = outcome.stderr.match_indices("committed").nth(n - 2).unwrap().0;
        assert!(committed < place(&format!("I am script {n}")), "{}", outcome.stderr);
    }
}

#[tokio::test]
async fn a_sequence_that_is_used_up_does_not_end_the_journal() {
    let scenario = Scenario::new("used_up").await.tables(&["a", "b"]);
    scenario.run("up --to 1 --no-backup").await.succeeds();
    scenario.lines("SELECT setval('schema_migrations_journal_id_seq', 9223372036854775807)").await;
    scenario.up().await.succeeds();
    scenario.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn a_history_of_other_types_is_read() {
    let scenario = Scenario::new("other_types").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let other = "ALTER TABLE schema_migrations ALTER run_id TYPE text, ALTER applied_at TYPE timestamp, ALTER execution_time_ms TYPE int";
    scenario.lines(other).await;
    scenario.run("status").await.succeeds().prints("001 ");
    scenario.run("up --no-backup").await.succeeds();
    scenario.run("down 001 --dry-run").await.succeeds();

    let nobody =
        "ALTER TABLE schema_migrations ALTER applied_by DROP NOT NULL; UPDATE schema_migrations SET applied_by = NULL";
    scenario.lines(nobody).await;
    for command in ["status", "down 001 --no-backup --yes"] {
        scenario.run(command).await.fails_with(5).says("a value of Lockgate's own column `applied_by` cannot be read");
    }
    scenario
        .lines("ALTER TABLE schema_migrations ALTER applied_by DROP DEFAULT, ALTER applied_by TYPE json USING '{}'")
        .await;
    let json = "a value of Lockgate's own column `applied_by` cannot be read: its type is `json`";
    scenario.run("status").await.fails_with(5).says(json);
}

#[tokio::test]
async fn what_is_written_to_the_history_uncounted_is_found_all_the_same() {
    let scenario = Scenario::new("uncounted").await.tables(&["a"]);
    scenario.run("up --no-backup").await.succeeds();
    // What a superuser may do, and whoever may set it.
    let superuser = scenario.superuser().await;
    let count = "CREATE FUNCTION count_it(it bool) RETURNS text LANGUAGE sql SECURITY DEFINER
                 AS $$ SELECT set_config('track_counts', it::text, true) $$";
    superuser.lines(count).await;
    let hide = |sql: &str| format!("DO $$ BEGIN PERFORM count_it(false); {sql}; PERFORM count_it(true); END $$;");
    let forged = hide("UPDATE schema_migrations SET checksum = repeat('0', 64) WHERE version = '001'");
    // What is put off, by what was put off before.
    let put_off = "CREATE TABLE t (i int);
         CREATE FUNCTION forge() RETURNS trigger LANGUAGE plpgsql AS $f$
         BEGIN
             IF NEW.i = 1 THEN
                 SET CONSTRAINTS ALL DEFERRED; INSERT INTO t VALUES (2);
             ELSE
                 PERFORM count_it(false); UPDATE schema_migrations SET checksum = repeat('0', 64) WHERE version = '001'; PERFORM count_it(true);
             END IF;
             RETURN NULL;
         END $f$;
         CREATE CONSTRAINT TRIGGER forge AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION forge();
         INSERT INTO t VALUES (1);".to_owned();
    let before = scenario.lines("SELECT h::text FROM schema_migrations h").await;
    for (up, says) in
        [(&forged, "it changed the tables in which the host keeps"), (&put_off, "has put off something once more")]
    {
        for (verify, atomic, data) in
            [(false, false, ""), (true, false, ""), (false, false, NO_DATA), (true, false, NO_DATA), (false, true, "")]
        {
            scenario.write("migrations/002_b.up.sql", format!("-- lockgate: irreversible\n{up}{data}"));
            if verify {
                scenario.write("migrations/002_b.verify.sql", "SELECT true;");
            }
            let command = if atomic { "up --atomic --no-backup" } else { "up --no-backup" };
            scenario.run(command).await.fails_with(1).says(says);
            assert_eq!(scenario.lines("SELECT h::text FROM schema_migrations h").await, before);
            if verify {
                fs::remove_file(scenario.path("migrations/002_b.verify.sql")).unwrap();
            }
        }
    }
    // Of several in one transaction, a later one finds what is written for those before it, and locks that the host has taken.
    let row = "INSERT INTO schema_migrations_progress (version, filename, description, kind, checksum, direction, plan, steps_done, took_ms,
               done, batches, attempted, run_id) VALUES ('009', 'x', 'x', 'sql', '0', 'up', '[]', 0, 0, 0, 0, false, gen_random_uuid())";
    for forged in [
        "UPDATE schema_migrations SET checksum = repeat('0', 64) WHERE version = '002'",
        "UPDATE schema_migrations SET down_script = 'DROP TABLE a CASCADE' WHERE version = '001'",
        "UPDATE schema_migrations SET applied_by = 'nobody' WHERE version = '002'",
        row,
    ] {
        for (file, up) in [("002_b", "CREATE TABLE b ()"), ("003_c", &hide(forged))] {
            scenario.write(&format!("migrations/{file}.up.sql"), format!("-- lockgate: irreversible\n{up};"));
        }
        scenario.run("up --atomic --no-backup").await.fails_with(1).says("one of them did what it must not");
        assert_eq!(scenario.lines("SELECT h::text FROM schema_migrations h").await, before);
    }
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn whatever_changes_what_the_hosts_own_tables_are_is_found() {
    let scenario = Scenario::new("own_changed").await.tables(&["a"]);
    scenario.run("up --no-backup").await.succeeds();
    let superuser = scenario.superuser().await;
    let by_hand = "CREATE FUNCTION by_hand(sql text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN EXECUTE sql; END $$;
                   CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'";
    superuser.lines(by_hand).await;
    let what_they_are = "SELECT c.relname, c.relacl, c.relhastriggers, c.relrowsecurity, c.relowner,
                                (SELECT string_agg(concat_ws(' ', a.attname, a.attacl), ',' ORDER BY attnum) FROM pg_attribute a WHERE a.attrelid = c.oid),
                                (SELECT string_agg(concat_ws(' ', tgname, tgenabled, xmin), ',' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = c.oid),
                                (SELECT string_agg(concat_ws(' ', conname, xmin), ',' ORDER BY conname) FROM pg_constraint WHERE conrelid = c.oid),
                                (SELECT string_agg(inhrelid::text, ',' ORDER BY inhrelid) FROM pg_inherits WHERE inhparent = c.oid)
                         FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relname ~ '^schema_migrations' AND relkind = 'r' ORDER BY 1";
    let dynamic = |sql: &str| format!("DO $d$ BEGIN PERFORM by_hand($q${sql}$q$); END $d$");
    let changes = [
        // With a lock on the table.
        "ALTER TABLE schema_migrations ADD COLUMN more int",
        "ALTER TABLE schema_migrations_seal RENAME TO other",
        "ALTER TABLE schema_migrations ENABLE ROW LEVEL SECURITY",
        "CREATE TRIGGER t BEFORE INSERT ON schema_migrations FOR EACH ROW EXECUTE FUNCTION nothing()",
        "CREATE RULE r AS ON INSERT TO schema_migrations_progress DO INSTEAD NOTHING",
        "CREATE POLICY p ON schema_migrations USING (false)",
        "CREATE INDEX ON schema_migrations (filename)",
        "CREATE TABLE second () INHERITS (schema_migrations)",
        "ALTER TABLE schema_migrations_journal DISABLE TRIGGER ALL",
        "TRUNCATE schema_migrations",
        "DROP TABLE schema_migrations_seal",
        // With none.
        "GRANT DELETE ON schema_migrations TO PUBLIC",
        "GRANT UPDATE (checksum) ON schema_migrations TO PUBLIC",
        "ALTER TABLE child NO INHERIT schema_migrations",
        "ALTER FUNCTION schema_migrations_journal_is_append_only() RESET ALL",
        "ALTER SCHEMA public RENAME TO elsewhere",
        // By hand.
        "UPDATE pg_catalog.pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'schema_migrations_journal'::regclass",
        "DELETE FROM pg_catalog.pg_trigger WHERE tgrelid = 'schema_migrations_journal'::regclass",
        "UPDATE pg_catalog.pg_constraint SET conname = conname || 'x' WHERE conrelid = 'schema_migrations'::regclass AND contype = 'c'",
    ];
    // In one message; and step by step, where the tables have more than the host has made.
    for more in ["SELECT 1", "CREATE TABLE child () INHERITS (schema_migrations); GRANT ALL ON child TO PUBLIC"] {
        superuser.lines(more).await;
        let before = superuser.lines(what_they_are).await;
        for change in changes.iter().filter(|change| more.contains("child") || !change.contains("child")) {
            let caught = format!(
                "DO $e$ BEGIN BEGIN PERFORM by_hand($q${change}$q$); EXCEPTION WHEN division_by_zero THEN NULL; END; END $e$"
            );
            for change in [dynamic(change), caught] {
                scenario.write("migrations/002_b.up.sql", format!("-- lockgate: irreversible\n{change};"));
                let told = "it changed the tables in which the host keeps what is applied";
                scenario.run("up --no-backup").await.fails_with(1).says(told).says("rolled back");
                assert_eq!(superuser.lines(what_they_are).await, before, "{change}");
            }
        }
    }
    // What only looks so is done.
    let innocent = [
        "LOCK TABLE schema_migrations IN SHARE MODE",
        "ANALYZE schema_migrations",
        "UPDATE pg_catalog.pg_class SET reltuples = reltuples WHERE relname = 'a'",
        "GRANT DELETE ON a TO PUBLIC",
    ];
    for (i, sql) in innocent.into_iter().enumerate() {
        let up = format!("-- lockgate: irreversible\nCREATE TABLE innocent_{i} (); {};", dynamic(sql));
        scenario.write(&format!("migrations/00{}_b.up.sql", i + 2), up);
        scenario.run("up --no-backup").await.succeeds().prints("1 migration applied");
    }
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn what_somebody_else_has_on_the_history_runs_nothing_of_the_migrations_unseen() {
    let scenario = Scenario::new("audited").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let audited = "CREATE TABLE audit (version text);
        CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (NEW.version); RETURN NEW; END $$;
        CREATE TRIGGER audited AFTER INSERT ON schema_migrations FOR EACH ROW EXECUTE FUNCTION audited()";
    scenario.lines(audited).await;
    let forge = "CREATE FUNCTION forge() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN UPDATE schema_migrations SET checksum = 'forged' WHERE version = '001'; RETURN NEW; END $$;
        CREATE TRIGGER forge AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION forge();";
    scenario.write("migrations/002_b.up.sql", format!("-- lockgate: irreversible\n{forge}"));
    for command in ["up --no-backup", "up --atomic --no-backup"] {
        scenario
            .run(command)
            .await
            .fails_with(1)
            .says("the tables in which the host keeps what is applied")
            .says("rolled back");
        assert_eq!(scenario.lines("SELECT count(*) FROM schema_migrations WHERE checksum = 'forged'").await, ["0"]);
    }
    // What is told of an innocent one is what the history has of it in the end.
    scenario.write("migrations/002_b.up.sql", "-- lockgate: irreversible\nCREATE TABLE b ();");
    scenario.run("up --no-backup").await.succeeds();
    assert_eq!(scenario.lines("SELECT version FROM audit").await, ["002"]);
    let renamed = "CREATE FUNCTION renamed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.version := '9' || NEW.version; RETURN NEW; END $$;
        CREATE TRIGGER renamed BEFORE INSERT ON schema_migrations FOR EACH ROW EXECUTE FUNCTION renamed()";
    scenario.lines(renamed).await;
    scenario.write("migrations/003_c.up.sql", "-- lockgate: irreversible\nCREATE TABLE c ();");
    let told = "it changed what the host had written into the history";
    scenario.run("up --no-backup").await.fails_with(1).says(told).says("rolled back");
    assert_eq!(scenario.lines("SELECT to_regclass('c') IS NULL").await, ["t"]);
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn what_somebody_else_has_made_of_the_history_runs_nothing_of_the_migrations_unseen() {
    let functions = "CREATE FUNCTION actor() RETURNS text LANGUAGE sql AS 'SELECT session_user::text';
        CREATE FUNCTION is_fine(text) RETURNS bool LANGUAGE sql AS 'SELECT true'; CREATE DOMAIN fine AS text CHECK (is_fine(VALUE));";
    let forge = |function: &str, result: &str| {
        format!(
            "-- lockgate: irreversible
             CREATE OR REPLACE FUNCTION {function} LANGUAGE plpgsql AS
             $$ BEGIN UPDATE schema_migrations SET checksum = 'forged' WHERE version = '001' AND checksum <> 'forged'; RETURN {result}; END $$;"
        )
    };
    let (actor, is_fine) = (forge("actor() RETURNS text", "'me'"), forge("is_fine(text) RETURNS bool", "true"));
    // As many of each as the host has made.
    for (made, forged) in [
        ("ALTER TABLE schema_migrations ALTER applied_by SET DEFAULT actor()", &actor),
        (
            "ALTER TABLE schema_migrations DROP CONSTRAINT schema_migrations_kind_check, ADD CONSTRAINT other CHECK (is_fine(kind))",
            &is_fine,
        ),
        ("ALTER TABLE schema_migrations ALTER description TYPE fine", &is_fine),
    ] {
        let scenario = Scenario::new("made_of").await.tables(&["a"]);
        scenario.up().await.succeeds();
        scenario.lines(&format!("{functions} {made}")).await;
        scenario.write("migrations/002_b.up.sql", forged);
        for command in ["up --no-backup", "up --atomic --no-backup"] {
            scenario.run(command).await.fails_with(1).says("rolled back");
            assert_eq!(
                scenario.lines("SELECT count(*) FROM schema_migrations WHERE checksum = 'forged'").await,
                ["0"],
                "{made}"
            );
        }
        scenario.is_at_rest().await;
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_over_what_is_put_off_is_told_as_lost() {
    let up = "-- lockgate: irreversible
        CREATE TABLE c (i int);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER x AFTER INSERT ON c DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f();
        INSERT INTO c VALUES (1);";
    for command in ["up --no-backup --retries 0", "up --atomic --no-backup --retries 0"] {
        let scenario = Scenario::new("lost_put_off").await.tables(&["a"]);
        scenario.up().await.succeeds();
        scenario.write("migrations/002_b.up.sql", up);
        let ran = scenario.run(command).await.fails_with(1);
        assert!(!ran.stderr.contains("part of it was committed"), "{}", ran.stderr);
        assert_eq!(scenario.lines("SELECT to_regclass('c') IS NULL").await, ["t"]);
    }
}

#[tokio::test]
async fn what_puts_itself_off_again_and_again_writes_nothing_behind_the_last_look() {
    let up = "CREATE TABLE c (i int);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.i < 3 THEN
                SET CONSTRAINTS ALL DEFERRED; INSERT INTO c VALUES (NEW.i + 1);
            ELSIF current_setting('transaction_read_only') = 'off' THEN
                UPDATE schema_migrations SET down_script = 'DROP TABLE a CASCADE' WHERE version = '001';
                INSERT INTO a VALUES (42);
            END IF;
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER x AFTER INSERT ON c DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION f();
        SET CONSTRAINTS ALL DEFERRED;";
    let state = "SELECT (SELECT count(*) FROM a)::text || down_script FROM schema_migrations WHERE version = '001'";
    for before in ["", "CREATE TEMP TABLE t AS SELECT 1;"] {
        for level in [1, 2, 3] {
            for (command, verified, data) in [
                ("up --atomic --no-backup", true, ""),
                ("up --atomic --no-backup", false, ""),
                ("up --no-backup", true, ""),
                ("up --no-backup", false, ""),
                ("up --no-backup", false, NO_DATA),
            ] {
                let scenario = Scenario::new("put_off_again").await;
                let scenario = scenario.migration("001_a", "CREATE TABLE a (i int)", "DROP TABLE a");
                scenario.up().await.succeeds();
                let up = format!("-- lockgate: irreversible\n{up} {before} INSERT INTO c VALUES ({level});{data}");
                scenario.write("migrations/002_b.up.sql", &up);
                if verified {
                    scenario.write("migrations/002_b.verify.sql", "SELECT NOT EXISTS (SELECT FROM a);");
                }
                scenario.write("migrations/003_c.up.sql", "-- lockgate: irreversible\nCREATE TABLE d ();");
                let ran = scenario.run(command).await;
                // That of the second level sees that it must not write.
                if level == 2 {
                    ran.succeeds()
                } else {
                    ran.fails_with(1)
                };
                assert_eq!(scenario.value(state).await, "0DROP TABLE a", "{command} {level}");
                scenario.is_at_rest().await;
            }
        }
    }
}

#[tokio::test]
async fn what_fails_when_it_is_put_off_is_told_so_whatever_was_deallocated() {
    let up = "-- lockgate: irreversible
        CREATE TABLE c (i int REFERENCES a DEFERRABLE INITIALLY DEFERRED); DEALLOCATE ALL; INSERT INTO c VALUES (5);";
    let scenario =
        Scenario::new("put_off_gone").await.migration("001_a", "CREATE TABLE a (i int PRIMARY KEY)", "DROP TABLE a");
    scenario.up().await.succeeds();
    scenario.write("migrations/002_b.up.sql", up);
    for command in ["up --no-backup", "up --atomic --no-backup"] {
        scenario.run(command).await.fails_with(1).says("step deferred constraints").says("rolled back").says("23503");
    }
    scenario.is_at_rest().await;
}
