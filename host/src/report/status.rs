//! The state of every migration as people read it.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{
    View, age,
    layout::{BAD, Cell, Column, FAINT, GOOD, MIND, table},
    words,
};
use crate::{
    migration::Direction,
    plan::State,
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
    let _ = write!(text, "{}: {} applied, {} pending", status.database, count(State::Applied), count(State::Pending));
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
    if let Some(next) = next(status) {
        let _ = writeln!(text, "next: {next}");
    }
    text
}

fn cells(row: &StatusRow, now: Timestamp) -> Vec<Cell> {
    let state = match row.state {
        State::Applied => Cell::styled("applied", GOOD),
        State::Pending => Cell::styled("pending", MIND),
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

/// The most urgent thing to do, and the command that does it.
fn next(status: &Status) -> Option<String> {
    let first = |state: State| status.migrations.iter().find(|row| row.state == state);
    let name = |row: &StatusRow| format!("{} {}", row.version, printable(&row.description));
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
