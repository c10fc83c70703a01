//! The journal as people read it.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{
    View, age,
    layout::{BAD, Cell, Column, FAINT, GOOD, Laid, laid, table},
    words,
};
use crate::{
    postgres::journal::{Recorded, Verification},
    printable::printable,
};

/// The text of the journal. On a terminal the entries of a run stand together, below who ran it and when; elsewhere each entry is one line
/// that holds everything, so that it can be searched.
pub fn history(entries: &[Recorded], now: Timestamp, view: View) -> String {
    if entries.is_empty() {
        return "nothing in the journal\n".into();
    }
    if view.width.is_some() { by_run(entries, now, view) } else { by_line(entries, view) }
}

fn by_line(entries: &[Recorded], view: View) -> String {
    let columns = ["id", "at (UTC)", "run", "event", "version", "by", "took", "detail"].map(Column::new);
    let columns: Vec<Column> =
        columns.into_iter().enumerate().map(|(i, column)| if i == 6 { column.right() } else { column }).collect();
    let rows: Vec<Vec<Cell>> = entries
        .iter()
        .map(|entry| {
            vec![
                entry.id.to_string().into(),
                entry.at.clone().into(),
                short_run(entry).to_owned().into(),
                event(entry),
                what(entry).into(),
                who(entry).into(),
                took(entry).into(),
                detail(entry).into(),
            ]
        })
        .collect();
    table(&columns, &rows, 4, view)
}

fn by_run(entries: &[Recorded], now: Timestamp, view: View) -> String {
    const COLUMNS: [Column; 5] = [
        Column::new("id").right(),
        Column::new("event"),
        Column::new("version"),
        Column::new("took").right(),
        Column::new("time (UTC)").spare(1),
    ];
    let rows: Vec<Vec<Cell>> = entries
        .iter()
        .map(|entry| {
            let time = entry.at.get(11..19).unwrap_or_default();
            vec![
                Cell::styled(entry.id.to_string(), FAINT),
                event(entry),
                what(entry).into(),
                took(entry).into(),
                Cell::styled(time, FAINT),
            ]
        })
        .collect();
    let indented = View { width: view.width.map(|width| width.saturating_sub(2)), ..view };
    let Laid { titles, rows } = laid(&COLUMNS, &rows, 3, indented);
    let mut text = titles.map(|titles| format!("  {titles}")).unwrap_or_default();
    let mut run = None;
    for (entry, row) in entries.iter().zip(rows) {
        if run != Some(&entry.run_id) {
            run = Some(&entry.run_id);
            let at = entry.at.parse::<Timestamp>().ok();
            let age = at.map(|at| format!(" ({} ago)", age(at, now))).unwrap_or_default();
            let day = entry.at.get(..10).unwrap_or_default();
            let _ = writeln!(text, "run {} of {day}{age} by {}", short_run(entry), who(entry));
        }
        text += &row.lines().map(|line| format!("  {line}\n")).collect::<String>();
        let detail = detail(entry);
        if !detail.is_empty() {
            let _ = writeln!(text, "      {detail}");
        }
    }
    text
}

/// The end of the id tells runs apart: its begin is the time.
fn short_run(entry: &Recorded) -> &str {
    &entry.run_id[entry.run_id.len().saturating_sub(12)..]
}

fn event(entry: &Recorded) -> Cell {
    let text = match entry.attempt {
        Some(attempt) if attempt > 1 => format!("{}, attempt {attempt}", entry.event),
        _ => entry.event.clone(),
    };
    match entry.event.as_str() {
        "failed" => Cell::styled(text, BAD),
        "applied" | "reverted" => Cell::styled(text, GOOD),
        _ => text.into(),
    }
}

fn what(entry: &Recorded) -> String {
    let way = [&entry.version, &entry.direction].map(|part| part.clone().unwrap_or_default());
    way.join(" ").trim().to_owned()
}

fn who(entry: &Recorded) -> String {
    printable(&format!("{} ({}@{})", entry.db_user, entry.os_user, entry.host))
}

fn took(entry: &Recorded) -> String {
    entry.duration_ms.map(|ms| words::whole(ms.try_into().unwrap_or_default())).unwrap_or_default()
}

/// In one line, whatever the server or a component said.
fn detail(entry: &Recorded) -> String {
    let detail = match (&entry.step, &entry.detail) {
        (Some(step), Some(detail)) => format!("step {step}: {detail}"),
        (Some(step), None) => format!("step {step}"),
        (None, detail) => detail.clone().unwrap_or_default(),
    };
    printable(&detail).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text of a journal that was verified and found sound.
pub fn verification(verification: &Verification) -> String {
    let mut text = String::new();
    if verification.unchained > 0 {
        let n = verification.unchained;
        let _ = writeln!(text, "{n} entries are from before the chain: nothing vouches for them");
    }
    let _ = writeln!(text, "{} entries are as they were written", verification.chained);
    if let Some(head) = &verification.head {
        let _ = writeln!(text, "head: {head}");
    }
    text
}
