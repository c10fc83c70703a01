//! What clients felt that ran the old application's statements beside the migrations.

use maud::{Markup, html};

use crate::{
    printable::printable,
    rehearsal::{Felt, Workload},
    report::{
        html::{
            chart::{Bar, Chart, Fill, Group, ROWS_MAX, Row, Scale, legend},
            name, numbers, soft, table,
        },
        thousands, words,
    },
};

/// So many errors of a phase are told.
const ERRORS_MAX: usize = 10;

/// All of it.
pub fn body(workload: &Workload) -> Markup {
    let head = [
        ("Phase", "name"),
        ("Lasted", "r"),
        ("Done", "r"),
        ("Failed", "r"),
        ("Half took at most", "r"),
        ("95 of 100 took at most", "r"),
        ("The longest", "r"),
    ];
    let rows = html! {
        @for (k, felt) in workload.phases.iter().enumerate() {
            tr data-at={ "workload.phases." (k) } {
                th.name scope="row" { (soft(&felt.phase)) }
                td.r { (numbers::whole_ms("duration_ms", felt.duration_ms)) }
                td.r { (numbers::n("done", felt.done)) }
                td.r { (numbers::n("failed", felt.failed)) }
                td.r { (numbers::ms("p50_ms", felt.p50_ms)) }
                td.r { (numbers::ms("p95_ms", felt.p95_ms)) }
                td.r { (numbers::ms("max_ms", felt.max_ms)) }
            }
        }
    };
    html! {
        p {
            (thousands(u64::from(workload.clients))) " clients ran " code { (name(&workload.file)) }
            " before, during and after the migrations, as an application of the old version would."
        }
        @if !workload.phases.is_empty() {
            (chart(workload).draw())
            (legend(&[(Fill::Work, "from half to 95 of 100"), (Fill::Free, "up to the longest")]))
            @if workload.phases.len() > ROWS_MAX { p.quiet { "Only the first " (ROWS_MAX) " phases are drawn; the table has all." } }
            (table("Latency, one row a phase", "workload", &head, rows))
        }
        @for (k, felt) in workload.phases.iter().enumerate().filter(|(_, felt)| !felt.errors.is_empty()) { (errors(k, felt)) }
    }
}

fn chart(workload: &Workload) -> Chart {
    let row = |felt: &Felt| {
        let mut note = format!("{} · {}", words::duration(felt.p95_ms), words::duration(felt.max_ms));
        if felt.failed > 0 {
            note += &format!(" · {} failed", thousands(felt.failed));
        }
        let bars = vec![
            Bar { from: felt.p50_ms, to: felt.max_ms, fill: Fill::Free },
            Bar { from: felt.p50_ms, to: felt.p95_ms, fill: Fill::Work },
        ];
        Row { label: felt.phase.clone(), bars, note }
    };
    let worst = workload.phases.iter().max_by(|a, b| a.max_ms.total_cmp(&b.max_ms));
    let worst = worst.map_or(String::new(), |felt| {
        format!(" The longest of all took {}, in the phase {}.", words::duration(felt.max_ms), name(&felt.phase))
    });
    Chart {
        id: "c-workload".into(),
        title: "Latency of the clients by phase".into(),
        description: format!(
            "Each ten times as long is as far to the right. A bar goes from what half took at most over what 95 of 100 took at most to the longest.{worst} The table below has the numbers."
        ),
        groups: vec![Group {
            title: "Phases · 95 of 100, the longest",
            rows: workload.phases.iter().map(row).collect(),
        }],
        scale: Scale::Logarithmic,
    }
}

fn errors(phase: usize, felt: &Felt) -> Markup {
    html! {
        h3 { "Errors in the phase " (name(&felt.phase)) }
        ul.plain {
            @for (k, error) in felt.errors.iter().take(ERRORS_MAX).enumerate() {
                li data-at={ "workload.phases." (phase) ".errors." (k) } {
                    (numbers::n("times", error.times)) (if error.times == 1 { " time: " } else { " times: " })
                    (printable(&error.message)) span.why { code { (printable(&error.statement)) } }
                }
            }
        }
        @if felt.errors.len() > ERRORS_MAX { p.quiet { (words::count(felt.errors.len() - ERRORS_MAX, "more error")) " in the JSON." } }
    }
}
