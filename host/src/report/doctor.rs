//! An examination as people read it: what is wrong first, then what is well, in a line each.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};
use serde_json::Value;

use super::{View, bytes, thousands, words};
use crate::{
    doctor::{Checked, Examination, Finding, Involved, Node, Rows, Severity, Unit, Verdict},
    printable::{printable, printable_in},
};

/// The width that every terminal has.
const WIDTH: usize = 80;

/// How long a line may be. What is no terminal is read by programs, which would have to put lines together again.
fn width(view: View) -> usize {
    view.width.map_or(usize::MAX, |_| WIDTH)
}

/// What a table has of it.
const TABLE_WIDTH: u16 = 76;

/// The text of an examination; with the queries that were run, where they are asked for.
pub fn doctor(found: &Examination, queries: bool, view: View) -> String {
    let mut text = String::new();
    let sums = match (found.critical, found.warnings) {
        (0, 0) => "nothing is wrong".to_owned(),
        (0, warnings) => words::count(warnings, "warning"),
        (critical, 0) => format!("{critical} critical"),
        (critical, warnings) => format!("{critical} critical, {}", words::count(warnings, "warning")),
    };
    let version = found.server_version.split(' ').next().unwrap_or_default();
    let role = if found.target.ends_with(&format!("`{}`", found.role)) {
        String::new()
    } else {
        format!(", role {}", found.role)
    };
    text += &wrapped(&format!("{} (PostgreSQL {version}{role}): {sums}", found.target), "", "  ", width(view));
    for severity in [Severity::Critical, Severity::Warn, Severity::Info] {
        for checked in &found.checks {
            for finding in checked.findings.iter().filter(|finding| finding.severity == severity) {
                text.push('\n');
                text += &of_finding(checked, finding, view);
            }
        }
    }
    text += &in_a_line(found, "well", view, |checked| {
        // Where that was said above, it is not said again.
        let said = checked.findings.iter().any(|finding| finding.message == checked.summary);
        let well = matches!(checked.verdict, Verdict::Well | Verdict::Info) && !said;
        if well { vec![checked.summary.clone()] } else { Vec::new() }
    });
    text += &in_a_line(found, "not looked at", view, |checked| checked.not_looked_at.clone());
    if queries {
        text += &asked(found);
    }
    text
}

/// What a check found, what to do about it, and the statements that do it.
fn of_finding(checked: &Checked, finding: &Finding, view: View) -> String {
    let severity = match finding.severity {
        Severity::Critical => "CRITICAL",
        Severity::Warn => "warn",
        Severity::Info => "info",
    };
    let head = format!("{severity} {}: {} [{}]", checked.check, printable(&finding.message), finding.code);
    let mut text = wrapped(&head, "", "  ", width(view));
    for root in &finding.tree {
        text += &drawn(root, "  ", "  ", width(view));
    }
    let narrow = view.width.is_some_and(|width| width < WIDTH);
    text += &if narrow { list(&finding.rows) } else { table(&finding.rows, width(view)) };
    if !finding.advice.is_empty() {
        text += &wrapped(&format!("next: {}", printable(&finding.advice)), "  ", "    ", width(view));
    }
    for statement in &finding.statements {
        // Never broken: it is there to be copied. A command of Lockgate's own, or a setting, is none of SQL.
        let end = if statement.starts_with("lockgate ") || statement.starts_with("DB_") { "" } else { ";" };
        let _ = writeln!(text, "    {}{end}", printable(statement));
    }
    text
}

fn in_a_line(found: &Examination, title: &str, view: View, lines: impl Fn(&Checked) -> Vec<String>) -> String {
    let mut text = String::new();
    for checked in &found.checks {
        for line in lines(checked) {
            let name = format!("  {:<18}", checked.check);
            text += &wrapped(&printable(&line), &name, &" ".repeat(20), width(view));
        }
    }
    if text.is_empty() { text } else { format!("\n{title}\n{text}") }
}

fn asked(found: &Examination) -> String {
    let mut text = "\nqueries, each in a READ ONLY transaction of its own\n".to_owned();
    for checked in found.checks.iter().filter(|checked| !checked.queries.is_empty()) {
        let _ = writeln!(text, "  -- {}: {}", checked.check, checked.about);
        for query in &checked.queries {
            for line in query.lines() {
                let _ = writeln!(text, "  {line}");
            }
            text.truncate(text.trim_end().len());
            text += ";\n";
        }
    }
    text
}

/// A session and, below it, those that wait for it.
fn drawn(node: &Node, first: &str, rest: &str, width: usize) -> String {
    let mut text = wrapped(
        &of_session(&node.session),
        first,
        &format!("{rest}{}", if node.waiting.is_empty() { "  " } else { "│ " }),
        width,
    );
    for (i, waiting) in node.waiting.iter().enumerate() {
        let last = i + 1 == node.waiting.len();
        let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        text += &drawn(waiting, &format!("{rest}{branch}"), &format!("{rest}{below}"), width);
    }
    text
}

/// How much of a query is shown beside a session.
const QUERY_MAX_CHARS: usize = 100;

fn of_session(session: &Involved) -> String {
    let spoken = |seconds: i64| match seconds.max(0).unsigned_abs() {
        0 => "0 s".to_owned(),
        seconds => words::whole(seconds.saturating_mul(1_000)),
    };
    let mut text = match session.pid {
        0 => "a prepared transaction".to_owned(),
        pid => format!("pid {pid}"),
    };
    let application = session.application.as_deref().unwrap_or("unnamed");
    if let Some(role) = &session.role {
        let _ = write!(text, " ({application}, role {role})");
    }
    if let Some(database) = &session.database {
        let _ = write!(text, " in database {database}");
    }
    match (session.waits_s, &session.mode, &session.on) {
        (waits, Some(mode), Some(on)) if !session.waits_for.is_empty() => {
            let _ = write!(text, " waits {} for {} on {on}", spoken(waits.unwrap_or(0)), mode);
        }
        _ => {
            let _ = write!(text, " {}", session.state.as_deref().unwrap_or("in a state that this role may not see"));
            if let Some(open) = session.open_s {
                let _ = write!(text, ", transaction open {}", spoken(open));
            }
        }
    }
    if let Some(query) = &session.query {
        let _ = write!(text, ": {}", printable_in(QUERY_MAX_CHARS, query));
    }
    printable(&text)
}

/// A table; where there are queries, which need a line of their own, a list.
fn table(rows: &Rows, width: usize) -> String {
    // A column without any value tells nothing.
    let shown: Vec<usize> =
        (0..rows.columns.len()).filter(|i| rows.rows.iter().any(|row| !row[*i].is_null())).collect();
    let is_query = |i: &usize| rows.columns[*i].unit == Unit::Query;
    if let Some(query) = shown.iter().copied().find(is_query) {
        let others: Vec<usize> = shown.into_iter().filter(|i| *i != query).collect();
        return rows.rows.iter().map(|row| listed(rows, row, &others, query, width)).collect();
    }
    if shown.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if width == WIDTH {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(TABLE_WIDTH);
    }
    table.set_header(shown.iter().map(|i| rows.columns[*i].name));
    for row in &rows.rows {
        table.add_row(shown.iter().map(|i| cell(rows.columns[*i].unit, &row[*i])));
    }
    // A name stays whole: it is there to be copied.
    if let Some(first) = table.column_mut(0) {
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
    for (at, i) in shown.iter().enumerate() {
        if let Some(column) = table.column_mut(at).filter(|_| rows.columns[*i].unit != Unit::Text) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("   {}\n", line.trim_end())).collect()
}

/// The same where a table would not fit.
fn list(rows: &Rows) -> String {
    let line = |row: &Vec<Value>| {
        let cells = rows.columns.iter().zip(row).filter(|(_, value)| !value.is_null());
        let cells = cells.map(|(column, value)| format!("{} {}", column.name, cell(column.unit, value)));
        format!("    {}\n", cells.collect::<Vec<_>>().join(", "))
    };
    rows.rows.iter().map(line).collect()
}

/// `pid 12, role app, state active`, and the query below.
fn listed(rows: &Rows, row: &[Value], others: &[usize], query: usize, width: usize) -> String {
    let told = others.iter().filter(|i| !row[**i].is_null());
    let told = told.map(|i| format!("{} {}", rows.columns[*i].name, cell(rows.columns[*i].unit, &row[*i])));
    let told = wrapped(&told.collect::<Vec<_>>().join(", "), "    ", "    ", width);
    match cell(Unit::Query, &row[query]) {
        query if query.is_empty() => told,
        query => told + &wrapped(&query, "      ", "      ", width),
    }
}

fn cell(unit: Unit, value: &Value) -> String {
    let whole = || value.as_i64().unwrap_or(0);
    let unsigned = || whole().max(0).unsigned_abs();
    if value.is_null() {
        return String::new();
    }
    match unit {
        Unit::Text => printable(value.as_str().unwrap_or_default()),
        Unit::Query => printable_in(QUERY_MAX_CHARS, value.as_str().unwrap_or_default()),
        Unit::Id => whole().to_string(),
        Unit::Count if whole() < 0 => whole().to_string(),
        Unit::Count => thousands(unsigned()),
        Unit::Bytes => bytes(unsigned()),
        Unit::Seconds => words::duration(value.as_f64().unwrap_or(0.0) * 1_000.0),
        Unit::Milliseconds => words::duration(value.as_f64().unwrap_or(0.0)),
        Unit::Percent => format!("{} %", whole()),
    }
}

/// Text in lines of this width; a word that is longer stays whole.
fn wrapped(text: &str, first: &str, rest: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > width {
            lines += line.trim_end();
            lines.push('\n');
            rest.clone_into(&mut line);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line += word;
        empty = false;
    }
    lines + line.trim_end() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Column;

    #[test]
    fn text_keeps_to_the_width_and_words_stay_whole() {
        let text = wrapped(&"word ".repeat(40), "a: ", "   ", WIDTH);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("   word")), "{text}");
        let unbroken = wrapped(&"word ".repeat(40), "", "", width(View::default()));
        assert_eq!(unbroken.lines().count(), 1);
        assert_eq!(wrapped(&"x".repeat(100), "", "  ", WIDTH), format!("{}\n", "x".repeat(100)));
    }

    fn checked(check: &'static str, verdict: Verdict, findings: Vec<Finding>) -> Checked {
        Checked {
            check,
            about: "something",
            verdict,
            summary: format!("the summary of {check}"),
            findings,
            facts: Rows::default(),
            not_looked_at: Vec::new(),
            queries: vec!["SELECT 1\nFROM t".into()],
            duration_ms: 1,
        }
    }

    #[test]
    fn what_is_wrong_comes_first_and_what_is_well_in_a_line_each() {
        let finding = |severity, message: &str| Finding::new(severity, "code", message);
        let grave = finding(Severity::Critical, "it \u{1b}fails")
            .advice("mend it")
            .statements(["SELECT 1".to_owned(), "lockgate status".into()]);
        let mut checks = vec![
            checked("locks", Verdict::Well, vec![]),
            checked("server", Verdict::Warn, vec![finding(Severity::Warn, "it may fail").advice("look")]),
            checked("disk", Verdict::Critical, vec![grave]),
            checked("statements", Verdict::NotLookedAt, vec![]),
        ];
        checks[3].not_looked_at = vec!["it is not there".into()];
        let mut found = Examination {
            target: "`auth` at db:5432 as `app`".into(),
            database: "auth".into(),
            server_version: "18.6 (Debian)".into(),
            role: "owner".into(),
            examined_at: jiff::Timestamp::UNIX_EPOCH,
            long_s: 300,
            verdict: Verdict::Critical,
            critical: 1,
            warnings: 1,
            checks,
        };
        let expected = "\
`auth` at db:5432 as `app` (PostgreSQL 18.6, role owner): 1 critical, 1 warning

CRITICAL disk: it fails [code]
  next: mend it
    SELECT 1;
    lockgate status

warn server: it may fail [code]
  next: look

well
  locks             the summary of locks

not looked at
  statements        it is not there
";
        assert_eq!(doctor(&found, false, View::default()), expected);
        found.checks.truncate(1);
        let asked =
            "\nqueries, each in a READ ONLY transaction of its own\n  -- locks: something\n  SELECT 1\n  FROM t;\n";
        assert!(doctor(&found, true, View::default()).ends_with(asked), "{}", doctor(&found, true, View::default()));
    }

    #[test]
    fn a_table_fits_and_queries_have_lines_of_their_own() {
        let columns = |last| [Column { name: "pid", unit: Unit::Id }, Column { name: "size", unit: Unit::Bytes }, last];
        let row = vec![Value::from(4711), Value::from(2048), Value::from("SELECT 1")];
        let listed =
            Rows { columns: columns(Column { name: "query", unit: Unit::Query }).to_vec(), rows: vec![row.clone()] };
        assert_eq!(table(&listed, WIDTH), "    pid 4711, size 2.0 KiB\n      SELECT 1\n");
        let tabled = Rows { columns: columns(Column { name: "table", unit: Unit::Text }).to_vec(), rows: vec![row] };
        assert_eq!(table(&tabled, WIDTH), "     pid     size  table\n    4711  2.0 KiB  SELECT 1\n");
        let nothing = Rows {
            columns: columns(Column { name: "table", unit: Unit::Text }).to_vec(),
            rows: vec![vec![Value::Null; 3]],
        };
        assert_eq!(table(&nothing, WIDTH), "");
        assert_eq!(list(&tabled), "    pid 4711, size 2.0 KiB, table SELECT 1\n");
    }

    #[test]
    fn those_that_wait_stand_below_whom_they_wait_for() {
        let session = |pid, waits_for: &[i32]| Involved {
            pid,
            state: Some("active".into()),
            waits_s: Some(2),
            mode: Some("ACCESS EXCLUSIVE".into()).filter(|_| !waits_for.is_empty()),
            on: Some("users".into()).filter(|_| !waits_for.is_empty()),
            waits_for: waits_for.to_vec(),
            ..Involved::default()
        };
        let leaf = |pid| Node { session: session(pid, &[2]), waiting: vec![] };
        let middle = Node { session: session(2, &[1]), waiting: vec![leaf(3), leaf(4)] };
        let root = Node { session: session(1, &[]), waiting: vec![middle] };
        assert_eq!(
            drawn(&root, "  ", "  ", WIDTH),
            "  pid 1 active\n  \u{2514}\u{2500} pid 2 waits 2.0 s for ACCESS EXCLUSIVE on users\n     \u{251c}\u{2500} pid 3 waits 2.0 s for \
             ACCESS EXCLUSIVE on users\n     \u{2514}\u{2500} pid 4 waits 2.0 s for ACCESS EXCLUSIVE on users\n"
        );
    }
}
