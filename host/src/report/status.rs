//! The state of every migration as people read it.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{
    View, age,
    history::short_run,
    layout::{BAD, Cell, Column, FAINT, GOOD, MIND, table},
    words,
};
use crate::{
    migration::Direction,
    plan::State,
    postgres::journal::FailedAttempt,
    printable::printable,
    runner::{Status, StatusRow, Underway},
};

const COLUMNS: [Column; 8] = [
    Column::new("version"),
    Column::new("description"),
    Column::new("state"),
    Column::new("kind").spare(4),
    Column::new("applied at (UTC)").spare(5),
    Column::new("age").right().spare(1),
    Column::new("took").right().spare(2),
    Column::new("by").spare(3),
];

/// The text of the status: a line for each migration, their number, and what to do next.
pub fn status(status: &Status, now: Timestamp, view: View) -> String {
    let rows: Vec<Vec<Cell>> = status.migrations.iter().map(|row| cells(row, now)).collect();
    let mut text = if rows.is_empty() { String::new() } else { table(&COLUMNS, &rows, 3, view) };
    let count = |state: State| status.migrations.iter().filter(|m| m.state == state).count();
    let database = printable(&status.database);
    let _ = write!(text, "{database}: {} applied, {} pending", count(State::Applied), count(State::Pending));
    for (state, word) in [
        (State::Started, "started"),
        (State::Drifted, "drifted"),
        (State::Refused, "refused"),
        (State::Missing, "missing"),
    ] {
        if count(state) > 0 {
            let _ = write!(text, ", {} {word}", count(state));
        }
    }
    text.push('\n');
    for row in &status.migrations {
        if let Some(failure) = &row.failure {
            text += &attempt(row, failure, now);
        }
    }
    if let Some(next) = next(status) {
        let _ = writeln!(text, "next: {next}");
    }
    text
}

/// `failed: 003 orders in up, step 2 (SQL), 3 h ago at 2026-01-01 10:00:00 UTC, in run 4d2f8f1d3f10 (deploy@ci-7)`, and why below it.
fn attempt(row: &StatusRow, failure: &FailedAttempt, now: Timestamp) -> String {
    let mut text = format!("{}: {}", failure.event, name(row));
    if let Some(direction) = &failure.direction {
        let _ = write!(text, " in {direction}");
    }
    if let Some(step) = &failure.step {
        let _ = write!(text, ", step {}", printable(step));
    }
    if let Ok(at) = failure.at.parse::<Timestamp>() {
        let _ = write!(text, ", {} ago at {} UTC", age(at, now), at.strftime("%Y-%m-%d %H:%M:%S"));
    }
    let _ = writeln!(text, ", in run {} ({})", short_run(&failure.run_id), printable(&failure.by));
    if let Some(why) = &failure.why {
        let why = printable(why);
        let _ = writeln!(text, "  cause: {}", why.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    text
}

fn cells(row: &StatusRow, now: Timestamp) -> Vec<Cell> {
    let state = match row.state {
        State::Applied => Cell::styled("applied", GOOD),
        State::Pending => match &row.failure {
            Some(failure) => Cell::styled(format!("pending, {}", failure.event), BAD),
            None => Cell::styled("pending", MIND),
        },
        State::Started => Cell::styled(row.progress.as_ref().map_or("started".into(), underway), MIND),
        State::Drifted => Cell::styled("drifted: the file has changed", BAD),
        State::Refused => Cell::styled("applied; the file is refused", BAD),
        State::Missing => Cell::styled("missing: the file is gone", BAD),
    };
    let applied = row.applied.as_ref();
    let at = applied.and_then(|applied| applied.applied_at.parse::<Timestamp>().ok());
    let took = applied.map(|applied| words::whole(applied.execution_time_ms.try_into().unwrap_or_default()));
    vec![
        row.version.to_string().into(),
        printable(&row.description).into(),
        state,
        Cell::styled(row.kind.clone(), FAINT),
        // Of what another tool has noted without a time that can be read, as it was noted.
        Cell::styled(
            match (at, applied) {
                (Some(at), _) => at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
                (None, Some(applied)) => printable(&applied.applied_at),
                (None, None) => String::new(),
            },
            FAINT,
        ),
        at.map(|at| age(at, now)).unwrap_or_default().into(),
        took.unwrap_or_default().into(),
        applied.map(|applied| printable(&applied.applied_by)).unwrap_or_default().into(),
    ]
}

fn name(row: &StatusRow) -> String {
    format!("{} {}", row.version, printable(&row.description))
}

/// The most urgent thing to do, and the command that does it.
fn next(status: &Status) -> Option<String> {
    let first = |state: State| status.migrations.iter().find(|row| row.state == state);
    if let Some(row) = first(State::Drifted) {
        let version = &row.version;
        return Some(format!(
            "put the file of {} back as it was applied; where the change is harmless, `lockgate repair {version}` takes it as it is",
            name(row)
        ));
    }
    if let Some(row) = first(State::Started) {
        let Some(progress) = &row.progress else { return Some("`lockgate up` goes on".into()) };
        if progress.blocked {
            let step = progress.step.split(' ').next().unwrap_or_default();
            return Some(format!(
                "look whether step {step} of {} took effect, then say so: `lockgate resolve {step} --applied` or `--not-applied`",
                name(row)
            ));
        }
        if progress.paused.is_some() {
            return Some(format!("`lockgate pause --off` lets {} go on", name(row)));
        }
        return Some(match progress.direction {
            Direction::Up => format!("`lockgate up` goes on with {}", name(row)),
            Direction::Down => format!("`lockgate down {}` goes on", row.version),
        });
    }
    if let Some(row) = first(State::Refused) {
        return Some(format!("mend the file of {}, as the error says", name(row)));
    }
    if let Some((row, failure)) = status.migrations.iter().find_map(|row| Some((row, row.failure.as_ref()?))) {
        let first = match failure.event.as_str() {
            "interrupted" => String::new(),
            "refused" => format!("see to what the checks of {} found, then ", name(row)),
            _ => format!("mend {}, then ", name(row)),
        };
        return Some(format!(
            "{first}`lockgate up` tries it again; `lockgate history --version {}` shows every attempt",
            row.version
        ));
    }
    if let Some(row) = first(State::Missing) {
        return Some(format!("bring the file of {} back: without it there is no way down", name(row)));
    }
    let pending = status.migrations.iter().filter(|row| row.state == State::Pending).count();
    match pending {
        0 => None,
        1 => Some("`lockgate plan` shows what it would do, `lockgate up` applies it".into()),
        _ => Some(format!("`lockgate plan` shows what the {pending} would do, `lockgate up` applies them")),
    }
}

/// How far a migration is: `half applied: at step 2 of 5, 3000 of 12000 done (25 %)`.
fn underway(underway: &Underway) -> String {
    let way = match underway.direction {
        Direction::Up => "applied",
        Direction::Down => "reverted",
    };
    let at = if underway.blocked { "blocked at" } else { "at" };
    let mut text = format!("half {way}: {at} step {}", underway.step);
    if underway.done > 0 {
        let _ = write!(text, ", {}", underway.done);
        if let Some(total) = underway.total {
            let _ = write!(text, " of {total}");
        }
        text += " done";
        if let Some(percent) = underway.done_percent {
            let _ = write!(text, " ({percent} %)");
        }
    }
    if let Some(paused) = &underway.paused {
        let _ = write!(text, ", paused by {} at {}", printable(&paused.by), paused.at);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        migration::{Checksum, Version},
        postgres::history::Applied,
    };

    fn row(version: &str, description: &str, state: State) -> StatusRow {
        let version = Version::parse(version).unwrap();
        StatusRow {
            version,
            description: description.into(),
            kind: "sql".into(),
            state,
            progress: None,
            failure: None,
            applied: None,
        }
    }

    fn applied(version: &str, description: &str, applied_at: &str, execution_time_ms: i64) -> StatusRow {
        let row = row(version, description, State::Applied);
        let applied = Applied {
            version: row.version.clone(),
            filename: format!("{version}_{description}.up.sql"),
            description: description.into(),
            kind: "sql".into(),
            checksum: Checksum::of_bytes(b"a"),
            applied_at: applied_at.into(),
            execution_time_ms,
            applied_by: "migrator".into(),
            run_id: "019ac054-6a3f-7c2e-9c59-4d2f8f1d3f10".into(),
            backup_id: None,
            up_script: None,
            down_script: None,
        };
        StatusRow { applied: Some(applied), ..row }
    }

    fn failed(row: StatusRow, event: &str, step: Option<&str>, why: &str) -> StatusRow {
        let failure = FailedAttempt {
            at: "2026-01-10T09:00:00.000Z".into(),
            run_id: "019ac054-6a3f-7c2e-9c59-4d2f8f1d3f10".into(),
            event: event.into(),
            direction: Some("up".into()),
            step: step.map(str::to_owned),
            why: Some(why.into()),
            by: "deploy@ci-7".into(),
        };
        StatusRow { failure: Some(failure), ..row }
    }

    fn of(migrations: Vec<StatusRow>) -> Status {
        Status { database: "auth_service".into(), migrations, problems: Vec::new() }
    }

    /// The text at a terminal of so many columns, or elsewhere, as it is printed there.
    fn text(status: &Status, width: Option<usize>) -> String {
        let now = "2026-01-10T12:00:00Z".parse().unwrap();
        let text = super::status(status, now, View { width, color: false });
        width.map_or(text.clone(), |width| crate::report::wrap(&text, width))
    }

    #[track_caller]
    fn is_as_ever(name: &str, status: &Status) {
        let [wide, eighty, forty] = [None, Some(80), Some(40)].map(|width| text(status, width));
        let all = format!("{wide}\n-- 80 columns\n{eighty}\n-- 40 columns\n{forty}");
        let mut settings = insta::Settings::clone_current();
        settings.set_omit_expression(true);
        settings.set_prepend_module_to_snapshot(false);
        settings.bind(|| insta::assert_snapshot!(name, all));
    }

    fn two() -> Vec<StatusRow> {
        vec![
            applied("001", "initial_schema", "2025-12-01T08:30:00.123Z", 1_834),
            applied("002", "add_user_preferences", "2026-01-10T11:15:00.000Z", 96),
        ]
    }

    #[test]
    fn what_is_applied_and_what_is_pending() {
        let mut rows = two();
        is_as_ever("status-applied", &of(rows.clone()));
        rows.push(row("003", "normalize_phone_numbers", State::Pending));
        rows.push(row("004", "hash_session_tokens", State::Pending));
        is_as_ever("status-pending", &of(rows));
        is_as_ever("status-empty", &of(Vec::new()));
    }

    #[test]
    fn an_attempt_that_failed_says_when_where_why_and_what_to_do() {
        let pending = || row("003", "add_orders", State::Pending);
        let why = "column \"total\" of relation \"orders\" contains null values (SQLSTATE 23502)";
        let with = |last: StatusRow| of(two().into_iter().chain([last]).collect());
        is_as_ever("status-failed", &with(failed(pending(), "failed", Some("2 (SQL)"), why)));
        let refused = text(&with(failed(pending(), "refused", None, "two users share a name")), None);
        assert!(refused.contains("\nrefused: 003 add_orders in up, 3 h ago at 2026-01-10 09:00:00 UTC, in run 4d2f8f1d3f10 (deploy@ci-7)\n"), "{refused}");
        assert!(
            refused.contains("next: see to what the checks of 003 add_orders found, then `lockgate up` tries it again"),
            "{refused}"
        );
        let interrupted = text(&with(failed(pending(), "interrupted", None, "SIGTERM")), None);
        assert!(
            interrupted.contains("next: `lockgate up` tries it again; `lockgate history --version 003`"),
            "{interrupted}"
        );
    }

    #[test]
    fn a_migration_that_is_half_applied_says_how_far_and_why_it_stopped() {
        let progress = Underway {
            direction: Direction::Up,
            step: "2 of 5".into(),
            blocked: false,
            paused: None,
            done: 3_000,
            total: Some(12_000),
            done_percent: Some(25),
            started_at: "2026-01-10T08:00:00.000Z".into(),
            run_id: "019ac054-6a3f-7c2e-9c59-4d2f8f1d3f10".into(),
        };
        let started = StatusRow { progress: Some(progress), ..row("003", "fill", State::Started) };
        let started = failed(started, "interrupted", None, "SIGTERM");
        is_as_ever("status-started", &of(two().into_iter().chain([started]).collect()));
    }

    #[test]
    fn what_has_drifted_or_is_missing() {
        let [first, second]: [StatusRow; 2] = two().try_into().unwrap();
        let first = StatusRow { state: State::Drifted, ..first };
        let second = StatusRow { state: State::Missing, ..second };
        is_as_ever("status-drifted", &of(vec![first, second]));
    }

    #[test]
    fn wide_letters_stand_in_line_and_fit() {
        let rows = vec![
            applied("001", "注文を追加する", "2025-12-01T08:30:00.123Z", 1_834),
            failed(row("002", "🚀_launch", State::Pending), "failed", None, "列\u{1b}[31m「合計」がありません"),
        ];
        is_as_ever("status-wide", &of(rows));
    }
}
