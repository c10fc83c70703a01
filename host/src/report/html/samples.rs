//! Made-up rehearsals and runs, for tests and for a browser to look at.

use uuid::Uuid;

use crate::{
    backup::WayBack,
    error::{Cause, DbError, Error, Finding, ProgramError, Severity},
    locks::{Blocks, Mode},
    migration::{Checksum, Direction, Version},
    postgres::How,
    rehearsal::{
        Copy, Extent, FORMAT, Fault, FaultCode, Felt, FeltError, Hazard, HazardCode, Migration, Phase, Place,
        Rehearsal, Reversibility, Stage, StageName, StageOutcome, Target, Together, Verdict, Workload,
        measure::{Basis, Estimate, Known, LockHeld, Measured, Step, TableWork},
    },
    runner::{Begun, Done, Outcome, Passed, Progressed},
    schema::{Change, Changed},
};

const RUN: Uuid = Uuid::from_u128(0x0194_0000_0000_7000_8000_0000_0000_0007);

fn when() -> jiff::Timestamp {
    "2026-03-14T09:26:53Z".parse().unwrap()
}

fn same(ms: f64) -> Estimate {
    Estimate { low_ms: ms, high_ms: ms, basis: Basis::Constant }
}

fn scaled(ms: f64, relation: &str, factor: f64) -> Estimate {
    let basis = Basis::Scaled { relation: relation.into(), factor };
    Estimate { low_ms: ms * factor * 0.7, high_ms: ms * factor * 2.5, basis }
}

fn step(number: usize, text: &str, began_ms: f64, duration_ms: f64, estimate: Estimate) -> Step {
    Step {
        number,
        text: text.into(),
        sql: text.into(),
        how: How::Sql,
        transaction: Some(1),
        began_ms,
        duration_ms,
        rows: None,
        batches: None,
        wal_bytes: Some(1_280),
        tables: vec![],
        estimate,
    }
}

fn held(relation: &str, mode: Mode, step: usize, from_ms: f64, held_ms: f64, estimate: Estimate) -> LockHeld {
    LockHeld {
        relation: relation.into(),
        mode,
        blocks: mode.blocks(),
        step,
        from_ms,
        held_ms,
        estimate,
        known: if held_ms < 5.0 { Known::Parsed } else { Known::Seen },
    }
}

fn measured(steps: Vec<Step>, locks: Vec<LockHeld>) -> Measured {
    let duration_ms = steps.iter().map(|step| step.began_ms + step.duration_ms).fold(0.0, f64::max) + 0.6;
    let all = |end: fn(&Estimate) -> f64| steps.iter().map(|step| end(&step.estimate)).sum::<f64>();
    let estimate =
        Estimate { low_ms: all(|e| e.low_ms) + 0.6, high_ms: all(|e| e.high_ms) + 1.2, basis: Basis::SameSize };
    Measured {
        duration_ms,
        wal_bytes: 48_640,
        temp_bytes: Some(4_096),
        steps,
        locks,
        invalid_indexes: vec![],
        estimate,
    }
}

fn stages(outcomes: [StageOutcome; 5]) -> Vec<Stage> {
    use StageName::{CompareDown, CompareUp, Down, Up, UpAgain};
    let why = |outcome| match outcome {
        StageOutcome::LeftOut => Some("its way down is faulty".to_owned()),
        StageOutcome::Failed => Some("the schema is not what it was before".to_owned()),
        _ => None,
    };
    let stage = |(i, name): (usize, StageName)| Stage {
        name,
        outcome: outcomes[i],
        duration_ms: 17 + 211 * i as u64,
        why: why(outcomes[i]),
    };
    [Up, Down, CompareDown, UpAgain, CompareUp].into_iter().enumerate().map(stage).collect()
}

fn migration(version: &str, description: &str, up: Measured) -> Migration {
    Migration {
        version: Version::parse(version).unwrap(),
        name: format!("{version}_{description}"),
        filename: format!("{version}_{description}.up.sql"),
        kind: "sql".into(),
        checksum: Checksum::of_bytes(description.as_bytes()),
        companions: Checksum::of_bytes(b"companions"),
        stages: stages([StageOutcome::Passed; 5]),
        reversibility: Reversibility::Reversible,
        verdict: Verdict::OnlineSafe,
        faults: vec![],
        hazards: vec![],
        down: Some(measured(vec![step(1, "ALTER TABLE customers DROP COLUMN notes", 0.2, 1.9, same(1.9))], vec![])),
        up: Some(up),
        changes: vec![],
    }
}

fn change(kind: &'static str, name: &str, before: Option<&str>, after: Option<&str>) -> Change {
    let how = match (before, after) {
        (Some(_), None) => Changed::Gone,
        (None, _) => Changed::New,
        _ => Changed::Altered,
    };
    Change { kind, name: name.into(), how, before: before.map(Into::into), after: after.map(Into::into) }
}

fn rehearsed(migrations: Vec<Migration>) -> Rehearsal {
    Rehearsal {
        format: FORMAT,
        run_id: RUN,
        lockgate: env!("CARGO_PKG_VERSION"),
        started_at: when(),
        duration_ms: 48_310,
        passed: true,
        target: Target {
            database: "shop".into(),
            server_version: "15.18".into(),
            schema_fingerprint: "sha256:5b1f6c0a9d6d".into(),
            version: Version::parse("000"),
        },
        copy: Copy {
            on: Place::Scratch,
            database: "lockgate_rehearsal_0194".into(),
            server_version: "15.18".into(),
            backup: "20260314T020000Z-shop".into(),
            taken_at: when(),
            extent: Extent::Data,
            masked: Some("mask/customers.sql".into()),
            ignored: vec!["audit_log".into()],
            bytes: 1_288_490_188,
            unlike_target: vec![],
        },
        migrations,
        not_reached: vec![],
        together: Some(Together { duration_ms: 5_120, faults: vec![] }),
        workload: None,
        globals: vec![],
        findings: vec![],
        phases: vec![
            Phase { name: "copy", duration_ms: 31_400 },
            Phase { name: "migrations", duration_ms: 15_800 },
            Phase { name: "clean-up", duration_ms: 210 },
        ],
    }
}

fn add_notes() -> Migration {
    let sql = "ALTER TABLE customers ADD COLUMN notes text";
    let up = measured(
        vec![
            step(1, sql, 0.2, 2.25, same(2.25)),
            step(2, "COMMENT ON COLUMN customers.notes IS 'What support should know'", 2.6, 0.31, same(0.31)),
        ],
        vec![held("customers", Mode::AccessExclusive, 1, 0.2, 3.4, same(3.4))],
    );
    let column = change("column", "customers.notes", None, Some("ALTER TABLE customers ADD COLUMN notes text;"));
    let comment = change(
        "comment",
        "customers.notes",
        None,
        Some("COMMENT ON COLUMN customers.notes IS 'What support should know';"),
    );
    Migration {
        verdict: Verdict::BriefLock,
        changes: vec![column, comment],
        ..migration("001", "add_customer_notes", up)
    }
}

fn backfill() -> Migration {
    let mut batches = step(1, "normalize e-mail addresses", 0.4, 1_830.0, scaled(1_830.0, "customers", 12.4));
    batches.how = How::Batched;
    (batches.batches, batches.rows) = (Some(48), Some(240_000));
    batches.wal_bytes = Some(61_000_000);
    batches.tables = vec![TableWork {
        relation: "customers".into(),
        rewritten: false,
        scans: 1,
        rows_read: 240_000,
        rows_written: 240_000,
        rows_changed: 240_000,
        indexes_built: 0,
        copy_bytes: 88_000_000,
        target_bytes: Some(1_091_200_000),
        target_rows: Some(2_976_000),
    }];
    let mut index = step(
        2,
        "CREATE UNIQUE INDEX CONCURRENTLY customers_email_key ON customers (lower(email))",
        1_834.0,
        412.0,
        scaled(412.0, "customers", 12.4),
    );
    index.how = How::Outside;
    index.transaction = None;
    let up = measured(
        vec![batches, index],
        vec![
            held("customers", Mode::RowExclusive, 1, 0.4, 1_830.0, scaled(1_830.0, "customers", 12.4)),
            held("customers", Mode::ShareUpdateExclusive, 2, 1_834.0, 412.0, scaled(412.0, "customers", 12.4)),
        ],
    );
    use StageOutcome::{Passed, Resumed};
    let index = change(
        "index",
        "customers_email_key",
        None,
        Some("CREATE UNIQUE INDEX customers_email_key ON customers USING btree (lower(email));"),
    );
    Migration {
        kind: "component".into(),
        filename: "002_unique_emails.wasm".into(),
        stages: stages([Passed, Passed, Passed, Resumed, Passed]),
        changes: vec![index],
        ..migration("002", "unique_emails", up)
    }
}

fn rewrite() -> Migration {
    let sql = "ALTER TABLE orders ALTER COLUMN amount TYPE bigint USING (amount * 100)::bigint";
    let mut alter = step(2, sql, 3.1, 2_410.0, scaled(2_410.0, "orders", 38.0));
    alter.tables = vec![TableWork {
        relation: "orders".into(),
        rewritten: true,
        scans: 2,
        rows_read: 1_600_000,
        rows_written: 0,
        rows_changed: 0,
        indexes_built: 1,
        copy_bytes: 410_000_000,
        target_bytes: Some(15_580_000_000),
        target_rows: Some(60_800_000),
    }];
    alter.wal_bytes = Some(398_000_000);
    let mut update =
        step(3, "UPDATE customers SET spent = spent * 100", 2_414.0, 380.0, scaled(380.0, "customers", 12.4));
    update.rows = Some(240_000);
    let assumed = Estimate {
        low_ms: 800.0,
        high_ms: 6_500.0,
        basis: Basis::Assumed { relation: "refunds".into(), target_bytes: 812_000_000 },
    };
    let up = measured(
        vec![
            step(1, "ALTER TABLE orders DROP CONSTRAINT orders_amount_check", 0.3, 2.5, same(2.5)),
            alter,
            update,
            step(
                4,
                "ALTER TABLE refunds ADD CONSTRAINT refunds_order_fkey FOREIGN KEY (order_id) REFERENCES orders (id)",
                2_797.0,
                96.0,
                assumed.clone(),
            ),
        ],
        vec![
            held("orders", Mode::AccessExclusive, 1, 0.3, 2_893.0, scaled(2_893.0, "orders", 38.0)),
            held("customers", Mode::RowExclusive, 3, 2_414.0, 479.0, scaled(479.0, "customers", 12.4)),
            held("refunds", Mode::ShareRowExclusive, 4, 2_797.0, 96.4, assumed),
        ],
    );
    let type_of = change(
        "column",
        "orders.amount",
        Some("ALTER TABLE orders ALTER COLUMN amount TYPE numeric(12,2);"),
        Some("ALTER TABLE orders ALTER COLUMN amount TYPE bigint;"),
    );
    let check = change(
        "constraint",
        "orders.orders_amount_check",
        Some("ALTER TABLE orders ADD CONSTRAINT orders_amount_check CHECK (amount >= 0);"),
        None,
    );
    let hazard = |code, step, relation: &str, blocks, what: &str, advice: &str| Hazard {
        code,
        step,
        relation: relation.into(),
        blocks,
        what: what.into(),
        advice: advice.into(),
    };
    use StageOutcome::{LeftOut, Passed};
    Migration {
        stages: stages([Passed, LeftOut, LeftOut, LeftOut, LeftOut]),
        reversibility: Reversibility::Irreversible("cents that are rounded do not come back".into()),
        verdict: Verdict::NeedsWindow,
        hazards: vec![
            hazard(
                HazardCode::ForeignKeyScan,
                4,
                "refunds",
                Blocks::Writes,
                "Every row of refunds is looked up in orders.",
                "Add it NOT VALID, then VALIDATE CONSTRAINT in a migration of its own.",
            ),
            hazard(
                HazardCode::Rewrite,
                2,
                "orders",
                Blocks::ReadsAndWrites,
                "The type changes, so the whole table is written anew.",
                "Add a column, fill it in batches, and swap the names.",
            ),
            hazard(
                HazardCode::LockHeld,
                3,
                "orders",
                Blocks::ReadsAndWrites,
                "The lock on orders is held while 240,000 rows of customers are written.",
                "Do it before, in a migration of its own.",
            ),
        ],
        down: None,
        changes: vec![type_of, check],
        ..migration("003", "amounts_in_cents", up)
    }
}

fn faulty() -> Migration {
    let up = measured(
        vec![
            step(1, "CREATE TABLE invoices (…)", 0.2, 7.75, same(7.75)),
            step(2, "CREATE INDEX invoices_customer_idx ON invoices (customer_id)", 8.3, 1.05, same(1.05)),
        ],
        vec![held("customers", Mode::ShareRowExclusive, 1, 0.2, 9.6, same(9.6))],
    );
    let index = change(
        "index",
        "invoices_customer_idx",
        None,
        Some("CREATE INDEX invoices_customer_idx ON archive.invoices\n  USING btree (customer_id);"),
    );
    let default = change(
        "default",
        "customers.state",
        Some("ALTER TABLE customers ALTER COLUMN state SET DEFAULT 'new';"),
        Some("ALTER TABLE customers ALTER COLUMN state DROP DEFAULT;"),
    );
    use StageOutcome::{Failed, LeftOut, Passed};
    Migration {
        stages: stages([Passed, Passed, Failed, LeftOut, LeftOut]),
        reversibility: Reversibility::Faulty,
        verdict: Verdict::BlocksWrites,
        faults: vec![
            Fault {
                code: FaultCode::LeftBehind,
                what: "its way down leaves the index invoices_customer_idx".into(),
                change: Some(index.clone()),
                relation: None,
                advice: "drop it in 004_add_invoices.down.sql".into(),
            },
            Fault {
                code: FaultCode::NotRestored,
                what: "its way down brings the default of customers.state back as another".into(),
                change: Some(default.clone()),
                relation: None,
                advice: "set the default to 'new' in 004_add_invoices.down.sql".into(),
            },
        ],
        changes: vec![index, default],
        ..migration("004", "add_invoices", up)
    }
}

fn felt(phase: &str, done: u64, failed: u64, [p50_ms, p95_ms, max_ms]: [f64; 3]) -> Felt {
    let errors = (failed > 0).then(|| FeltError {
        message: "canceling statement due to lock timeout".into(),
        statement: "UPDATE orders SET state = $1".into(),
        times: failed,
    });
    Felt {
        phase: phase.into(),
        duration_ms: 4_000,
        done,
        failed,
        p50_ms,
        p95_ms,
        max_ms,
        errors: errors.into_iter().collect(),
    }
}

/// One with everything in it: faults, hazards, each verdict but one, a workload, a migration that was not reached.
pub fn rich() -> Rehearsal {
    let mut rehearsal = rehearsed(vec![add_notes(), backfill(), rewrite(), faulty()]);
    rehearsal.passed = false;
    rehearsal.not_reached = vec!["005_drop_legacy".into()];
    rehearsal.together = None;
    rehearsal.workload = Some(Workload {
        file: "workload/checkout.sql".into(),
        clients: 8,
        phases: vec![
            felt("before", 18_240, 0, [1.15, 3.25, 12.8]),
            felt("001_add_customer_notes", 1_020, 0, [1.2, 3.4, 14.0]),
            felt("002_unique_emails", 8_411, 0, [1.9, 6.05, 41.0]),
            felt("003_amounts_in_cents", 312, 17, [4.4, 2_950.0, 3_004.5]),
            felt("after", 18_102, 0, [1.2, 3.3, 13.1]),
        ],
    });
    rehearsal.globals = vec!["003_amounts_in_cents: GRANT on the role reporting, which belongs to the server".into()];
    rehearsal.findings = vec![
        Finding::new(Severity::Warn, "backup-old", "the newest backup is 7 hours old")
            .hint("take one with `lockgate backup`"),
    ];
    rehearsal.copy.unlike_target = vec![change(
        "index",
        "orders_state_idx",
        None,
        Some("CREATE INDEX orders_state_idx ON orders USING btree (state);"),
    )];
    rehearsal
}

/// One that passed.
pub fn passing() -> Rehearsal {
    rehearsed(vec![add_notes(), backfill()])
}

/// One in which everything that others choose tries to be more than text.
pub fn hostile() -> Rehearsal {
    let evil = "</style></title><script>throw 1</script><img src=x onerror=alert(1)>\"'&\u{202e}\u{1b}[31m\r\npassed: all is well";
    let mut rehearsal = rich();
    rehearsal.target.database = evil.into();
    rehearsal.target.server_version = evil.into();
    rehearsal.target.schema_fingerprint = evil.into();
    rehearsal.copy.database = evil.into();
    rehearsal.copy.backup = evil.into();
    rehearsal.copy.masked = Some(evil.into());
    rehearsal.copy.unlike_target = vec![change("index", evil, Some(evil), Some(evil))];
    rehearsal.not_reached = vec![evil.into()];
    rehearsal.globals = vec![evil.into()];
    rehearsal.findings = vec![Finding::new(Severity::Warn, evil, evil).hint(evil)];
    for migration in &mut rehearsal.migrations {
        migration.name = format!("{}_{evil}{}", migration.version, "漢".repeat(500));
        migration.filename = evil.into();
        migration.kind = evil.into();
        for stage in &mut migration.stages {
            stage.why = Some(evil.into());
        }
        for fault in &mut migration.faults {
            (fault.what, fault.advice) = (evil.into(), evil.into());
            fault.change = Some(change("index", evil, Some(evil), Some(&"x".repeat(20_000))));
        }
        for hazard in &mut migration.hazards {
            (hazard.relation, hazard.what, hazard.advice) = (evil.into(), evil.into(), evil.into());
        }
        for measured in [&mut migration.up, &mut migration.down].into_iter().flatten() {
            measured.invalid_indexes = vec![evil.into()];
            for step in &mut measured.steps {
                step.text = evil.into();
                step.estimate.basis = Basis::Scaled { relation: evil.into(), factor: 2.0 };
                step.tables.iter_mut().for_each(|work| work.relation = evil.into());
            }
            measured.locks.iter_mut().for_each(|lock| lock.relation = format!("{evil}{}", lock.relation));
        }
        migration.changes = vec![change("table", evil, Some(evil), Some(evil))];
    }
    if let Some(workload) = &mut rehearsal.workload {
        workload.file = evil.into();
        for felt in &mut workload.phases {
            felt.phase = evil.into();
            felt.errors.iter_mut().for_each(|error| (error.message, error.statement) = (evil.into(), evil.into()));
        }
    }
    rehearsal
}

/// One of so many migrations, each of so many steps.
pub fn large(migrations: usize, steps: usize) -> Rehearsal {
    let all = (1..=migrations).map(|i| {
        let step_of = |k: usize| {
            let (began, took) = (k as f64 * 3.1, 0.4 + ((i * 7 + k * 13) % 29) as f64 / 10.0);
            step(
                k + 1,
                &format!("ALTER TABLE table_{k} ADD COLUMN column_{i} bigint NOT NULL DEFAULT 0"),
                began,
                took,
                scaled(took, "table_1", 3.0),
            )
        };
        let lock_of = |k: usize| {
            held(&format!("table_{k}"), Mode::AccessExclusive, k + 1, k as f64 * 3.1, 5.0 + k as f64, same(5.0))
        };
        let up = measured((0..steps).map(step_of).collect(), (0..steps).map(lock_of).collect());
        let changes = (0..steps).map(|k| {
            change("column", &format!("table_{k}.column_{i}"), None, Some("ALTER TABLE t ADD COLUMN c bigint;"))
        });
        Migration { changes: changes.collect(), ..migration(&format!("{i:04}"), "add_columns", up) }
    });
    rehearsed(all.collect())
}

/// What a run had done that applied two migrations and began a third.
pub fn progressed() -> Progressed {
    let passed = |version: &str, name: &str, from_ms: f64, to_ms: f64| Passed {
        done: Done {
            version: Version::parse(version).unwrap(),
            name: name.into(),
            kind: "sql".into(),
            execution_time_ms: (to_ms - from_ms) as u128 - 3,
        },
        from_ms,
        to_ms,
    };
    Progressed {
        backup: Some(crate::backup::sample_manifest("20260314T092653Z-shop")),
        backup_ms: Some((41.0, 1_960.0)),
        done: vec![
            passed("001", "001_add_customer_notes", 1_990.0, 2_031.0),
            passed("002", "002_unique_emails", 2_034.0, 5_340.0),
        ],
        underway: Some(Begun { name: "003_amounts_in_cents".into(), kind: "sql".into(), from_ms: 5_344.0 }),
        findings: vec![
            Finding::new(Severity::Warn, "long-transaction", "a transaction is open for 42 s: pid 81, `reporting`")
                .hint("end it"),
        ],
        ended_ms: 8_120.0,
    }
}

/// The outcome of one that did only those two.
pub fn outcome(progressed: &Progressed) -> Outcome {
    Outcome {
        run_id: RUN,
        direction: Direction::Up,
        done: progressed.done.iter().map(|passed| passed.done.clone()).collect(),
        backup: progressed.backup.clone(),
        way_back: Some(WayBack { command: "lockgate restore 20260314T092653Z-shop".into(), mind: None }),
        findings: progressed.findings.clone(),
        version: Version::parse("002"),
        journal_head: Some("9f2c".repeat(16)),
        duration_ms: 8_120,
    }
}

/// What stopped the third.
pub fn failure() -> Error {
    let server = DbError {
        sqlstate: Some("22003".into()),
        severity: "ERROR".into(),
        message: "bigint out of range </pre><script>throw 1</script>".into(),
        ..DbError::default()
    };
    let error = Error::Migration {
        name: "003_amounts_in_cents".into(),
        direction: Direction::Up,
        step: Some("2 of 4".into()),
        error: Box::new(ProgramError {
            at: Some("migrations/003_amounts_in_cents.up.sql:4:1".into()),
            cause: Cause::Database(Box::new(server)),
        }),
        state: "rolled back; the database is at version 002; the lock is released".into(),
    };
    let way_back = WayBack {
        command: "lockgate restore 20260314T092653Z-shop".into(),
        mind: Some("with the same `--database-url`".into()),
    };
    Error::AfterBackup { error: Box::new(error), way_back }
}

/// The identity of the run.
pub fn run_id() -> Uuid {
    RUN
}

/// When it began.
pub fn started_at() -> jiff::Timestamp {
    when()
}
