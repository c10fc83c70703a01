//! The journal as people read it.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{
    View, age,
    layout::{BAD, Cell, Column, FAINT, GOOD, Laid, MIND, laid, table},
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
                short_run(&entry.run_id).to_owned().into(),
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
            let _ = writeln!(text, "run {} of {day}{age} by {}", short_run(&entry.run_id), who(entry));
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
pub(super) fn short_run(run_id: &str) -> &str {
    &run_id[run_id.len().saturating_sub(12)..]
}

fn event(entry: &Recorded) -> Cell {
    let text = match entry.attempt {
        Some(attempt) if attempt > 1 => format!("{}, attempt {attempt}", entry.event),
        _ => entry.event.clone(),
    };
    match entry.event.as_str() {
        "failed" | "refused" | "backup_failed" => Cell::styled(text, BAD),
        "interrupted" | "retried" => Cell::styled(text, MIND),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: i64, at: &str, run: &str, event: &str) -> Recorded {
        Recorded {
            id,
            at: format!("2026-01-10T{at}.000Z"),
            run_id: format!("019ac054-6a3f-7c2e-9c59-{run}"),
            event: event.into(),
            version: None,
            direction: None,
            attempt: None,
            step: None,
            duration_ms: None,
            detail: None,
            db_user: "migrator".into(),
            os_user: "deploy".into(),
            host: "ci-7".into(),
            client_address: None,
            application: "lockgate 0.1.0".into(),
            hash: None,
        }
    }

    fn of(entry: Recorded, version: &str) -> Recorded {
        Recorded { version: Some(version.into()), direction: Some("up".into()), attempt: Some(1), ..entry }
    }

    fn entries() -> Vec<Recorded> {
        let (first, second) = ("4d2f8f1d3f10", "5e3a9b2c4d21");
        let detail = |entry: Recorded, detail: &str| Recorded { detail: Some(detail.into()), ..entry };
        let took = |entry: Recorded, ms| Recorded { duration_ms: Some(ms), ..entry };
        vec![
            detail(entry(1, "08:00:00", first, "run_started"), "waited 3 ms for the lock"),
            detail(entry(2, "08:00:01", first, "backed_up"), "20260110T080000Z-8f1d3f10"),
            took(of(entry(3, "08:00:04", first, "applied"), "001"), 1_834),
            Recorded {
                step: Some("2 (SQL)".into()),
                attempt: Some(2),
                ..detail(
                    of(entry(4, "08:00:05", first, "failed"), "002"),
                    "column \"total\" of relation \"orders\"\ncontains null values (SQLSTATE 23502)",
                )
            },
            detail(entry(5, "11:00:00", second, "run_started"), "waited 0 ms for the lock"),
            entry(6, "11:00:00", second, "backup_skipped"),
            took(of(entry(7, "11:00:01", second, "applied"), "002"), 96),
            took(entry(8, "11:00:01", second, "run_finished"), 1_204),
        ]
    }

    fn text(entries: &[Recorded], width: Option<usize>) -> String {
        let now = "2026-01-10T12:00:00Z".parse().unwrap();
        let text = history(entries, now, View { width, color: false });
        width.map_or(text.clone(), |width| crate::report::wrap(&text, width))
    }

    #[track_caller]
    fn is_as_ever(name: &str, entries: &[Recorded]) {
        let [wide, eighty, forty] = [None, Some(80), Some(40)].map(|width| text(entries, width));
        let all = format!("{wide}\n-- 80 columns\n{eighty}\n-- 40 columns\n{forty}");
        let mut settings = insta::Settings::clone_current();
        settings.set_omit_expression(true);
        settings.set_prepend_module_to_snapshot(false);
        settings.bind(|| insta::assert_snapshot!(name, all));
    }

    #[test]
    fn runs_stand_together_at_a_terminal_and_every_entry_is_a_line_elsewhere() {
        is_as_ever("history", &entries());
        let plain = text(&entries(), None);
        assert_eq!(plain.lines().count(), 1 + entries().len(), "{plain}");
        assert_eq!(text(&[], Some(80)), "nothing in the journal\n");
    }

    #[test]
    fn wide_letters_stand_in_line_and_fit() {
        let repeatable = of(entry(1, "08:00:04", "4d2f8f1d3f10", "applied"), "R__注文");
        let failed = of(entry(2, "08:00:05", "4d2f8f1d3f10", "failed"), "002");
        let failed = Recorded { detail: Some("列「合計」がありません 🚀".into()), ..failed };
        is_as_ever("history-wide", &[repeatable, failed]);
    }
}
