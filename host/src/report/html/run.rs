//! The report of a run, whether it came to its end or not.

use maud::{Markup, html};
use uuid::Uuid;

use super::{
    chart::{Bar, Chart, Fill, Group, Row, Scale, legend},
    findings, lines, name,
    page::{Conclusion, Page, Part},
    prose, soft, table, when,
};
use crate::{
    error::Error,
    printable::printable,
    report::{bytes, thousands, words},
    runner::{Outcome, Progressed},
};

/// What a report of a run tells.
#[derive(Debug)]
pub struct Told<'a> {
    /// The correlation id of its logs and journal entries.
    pub run_id: Uuid,
    /// The database, the server and the role.
    pub target: String,
    /// Who ran it, and on which machine.
    pub who: String,
    /// When it began, UTC.
    pub started_at: jiff::Timestamp,
    /// What it had done when it ended.
    pub progressed: &'a Progressed,
    /// How it ended.
    pub result: Result<&'a Outcome, &'a Error>,
}

/// All of it.
pub fn page(told: &Told) -> String {
    let Told { run_id, progressed, result, .. } = told;
    let done = &progressed.done;
    let mut parts = Vec::new();
    if let Err(error) = result {
        parts.push(Part::new("error", "What failed, and what to do", failure(error)));
    }
    parts.push(Part::new("applied", "Applied migrations", applied(told)));
    if !done.is_empty() || progressed.underway.is_some() {
        parts.push(Part::new("timeline", "Timeline", timeline(progressed)));
    }
    let found = result.map_or(&progressed.findings, |outcome| &outcome.findings);
    if !found.is_empty() {
        parts.push(Part::new("findings", "Findings", findings(found)));
    }
    parts.push(Part::new("back", "Backup and the way back", way_back(told)));
    Page {
        title: format!("Run on {}: {}", printable(&told.target), if result.is_ok() { "done" } else { "failed" }),
        kind: "Run",
        subject: match (done.len(), &progressed.underway, result) {
            (0, _, _) => "No migration was applied".to_owned(),
            (n, Some(_), Err(error)) => format!("{} applied, one {}", words::count(n, "migration"), ending(error)),
            (n, _, _) => format!("{} applied", words::count(n, "migration")),
        },
        conclusion: conclusion(told),
        facts: facts(told),
        parts,
        colophon: html! {
            "Made by Lockgate " (env!("CARGO_PKG_VERSION")) " for run " code { (run_id) }
            ". " code { "lockgate history" } " shows what the journal of the database keeps of it."
        },
    }
    .into_html()
}

fn conclusion(told: &Told) -> Conclusion {
    match told.result {
        Ok(outcome) if outcome.done.is_empty() => {
            Conclusion { good: true, word: "Done.", sentence: "Nothing was pending; nothing was changed.".into() }
        }
        Ok(outcome) => {
            let at = outcome
                .version
                .as_ref()
                .map_or(String::new(), |v| format!(" The database is at version {}.", name(v.as_str())));
            Conclusion {
                good: true,
                word: "Done.",
                sentence: format!("All that was pending is applied and committed.{at}"),
            }
        }
        Err(error) => {
            Conclusion { good: false, word: "Failed.", sentence: format!("{}.", printable(&error.report().what)) }
        }
    }
}

fn facts(told: &Told) -> Vec<(&'static str, Markup)> {
    let progressed = told.progressed;
    #[allow(clippy::cast_precision_loss)]
    let took = told.result.map_or(progressed.ended_ms, |outcome| outcome.duration_ms as f64);
    vec![
        ("Target", html! { (prose(&told.target)) }),
        ("Applied", html! { span data-key="applied" { (thousands(progressed.done.len() as u64)) } }),
        ("Took", html! { span data-key="took" { (words::duration(took)) } }),
        ("When", html! { (when(told.started_at)) }),
        ("By", html! { (printable(&told.who)) }),
        ("Run", html! { code { (told.run_id) } }),
    ]
}

/// The error as people read it on the terminal.
fn failure(error: &Error) -> Markup {
    let report = error.report();
    html! {
        pre.block tabindex="0" role="region" aria-label="The error" { (lines(&report.to_string())) }
        dl.pairs {
            @if let Some(state) = &report.state { div { dt { "The database now" } dd { (prose(state)) } } }
            @if let Some(next) = &report.next { div { dt { "Next" } dd { (prose(next)) } } }
            div { dt { "Exit code" } dd { (report.exit_code) } }
        }
    }
}

fn applied(told: &Told) -> Markup {
    let progressed = told.progressed;
    let rows = html! {
        @for (k, passed) in progressed.done.iter().enumerate() {
            tr data-at={ "done." (k) } {
                th.name scope="row" { (soft(&passed.done.name)) }
                td { (name(&passed.done.kind)) }
                td { span.badge.good { "applied" } }
                td.r { span.num data-ms="execution_time_ms" { (words::whole(u64::try_from(passed.done.execution_time_ms).unwrap_or(u64::MAX))) } }
            }
        }
        @if let (Some(underway), Err(error)) = (&progressed.underway, &told.result) {
            tr {
                th.name scope="row" { (name(&underway.name)) }
                td { (name(&underway.kind)) }
                td { span.badge.bad { (ending(error)) } }
                td.r { span.none { "–" } }
            }
        }
    };
    let any = !progressed.done.is_empty() || progressed.underway.is_some();
    html! {
        @if any {
            (table("Migrations of this run, in order", "applied", &[("Migration", "name"), ("Kind", ""), ("Outcome", ""), ("Its steps took", "r")], rows))
        } @else {
            p { "None." }
        }
        @if !progressed.done.is_empty() { p.quiet { "Each that is applied is committed, with its row in the history and its verification." } }
    }
}

/// What became of the migration that was under way.
fn ending(error: &Error) -> &'static str {
    match error {
        Error::AfterBackup { error, .. } => ending(error),
        Error::OutcomeUnknown { .. } => "not known",
        Error::Interrupted { .. } => "stopped",
        _ => "failed",
    }
}

/// The backup and the migrations along time.
fn timeline(progressed: &Progressed) -> Markup {
    let row = |label: &str, from: f64, to: f64, fill: Fill, note: String| Row {
        label: label.to_owned(),
        bars: vec![Bar { from, to, fill }],
        note,
    };
    let mut groups = Vec::new();
    if let Some((from, to)) = progressed.backup_ms {
        groups.push(Group {
            title: "Before",
            rows: vec![row("backup", from, to, Fill::Work, words::duration(to - from))],
        });
    }
    let mut rows: Vec<Row> = progressed
        .done
        .iter()
        .map(|passed| {
            row(
                &passed.done.name,
                passed.from_ms,
                passed.to_ms,
                Fill::Work,
                words::duration(passed.to_ms - passed.from_ms),
            )
        })
        .collect();
    if let Some(underway) = &progressed.underway {
        let took = words::duration(progressed.ended_ms - underway.from_ms);
        rows.push(row(
            &underway.name,
            underway.from_ms,
            progressed.ended_ms,
            Fill::Failed,
            format!("failed after {took}"),
        ));
    }
    let n = rows.len();
    groups.push(Group { title: "Migrations", rows });
    let chart = Chart {
        id: "c-run".into(),
        title: "The run along time".into(),
        description: format!(
            "{} in {}. The table above has the numbers.",
            words::count(n, "migration"),
            words::duration(progressed.ended_ms)
        ),
        groups,
        scale: Scale::Linear,
    };
    let left_out = chart.left_out();
    html! {
        p { "Each from its beginning to its commit, with checks, retries and pauses." }
        (legend(&[(Fill::Work, "went well"), (Fill::Failed, "failed")]))
        (chart.draw())
        @if left_out > 0 { p.quiet { (words::count(left_out, "more migration")) " are not drawn." } }
        details {
            summary { "The timeline in numbers" }
            (table("When each migration began and ended, since the run began", "times", &[("Migration", "name"), ("From", "r"), ("To", "r")], html! {
                @for passed in &progressed.done {
                    tr {
                        th.name scope="row" { (name(&passed.done.name)) }
                        td.r.num { (words::duration(passed.from_ms)) }
                        td.r.num { (words::duration(passed.to_ms)) }
                    }
                }
                @if let Some(underway) = &progressed.underway {
                    tr {
                        th.name scope="row" { (name(&underway.name)) " (failed)" }
                        td.r.num { (words::duration(underway.from_ms)) }
                        td.r.num { (words::duration(progressed.ended_ms)) }
                    }
                }
            }))
        }
    }
}

fn way_back(told: &Told) -> Markup {
    let way_back = match told.result {
        Ok(outcome) => outcome.way_back.as_ref(),
        Err(Error::AfterBackup { way_back, .. }) => Some(way_back),
        Err(_) => None,
    };
    html! {
        @match &told.progressed.backup {
            Some(manifest) => {
                dl.pairs {
                    div { dt { "Backup" } dd { code { (name(&manifest.id)) } } }
                    div { dt { "Taken" } dd { (when(manifest.created_at)) @if manifest.run_id != told.run_id.to_string() { span.why { "by an earlier run; recent enough to serve" } } } }
                    div { dt { "Size" } dd { (bytes(manifest.bytes())) @if manifest.is_encrypted() { ", encrypted" } } }
                    div { dt { "Proved" } dd { (manifest.verified.as_str()) } }
                }
            }
            None => p { "No backup was taken in this run." },
        }
        @if let Some(way_back) = way_back {
            p { "To take all of it back:" }
            pre.block tabindex="0" role="region" aria-label="The command that takes it back" { (lines(&way_back.command)) }
            @if let Some(mind) = &way_back.mind { p { (prose(mind)) } }
        }
        @if let Ok(outcome) = told.result && let Some(head) = &outcome.journal_head {
            p { "The journal’s head: " code { (name(head)) } }
            p.quiet { "Kept elsewhere, it proves later that nothing before it was changed: " code { "lockgate history --verify --head …" } }
        }
    }
}
