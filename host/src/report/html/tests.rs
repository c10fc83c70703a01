//! What a report says, and that it is nothing but a report.

use std::{fs, path::Path, time::Instant};

use super::*;
use crate::{report, runner::Progressed};

/// The text of a page without its tags.
fn text(html: &str) -> String {
    let body = html[html.find("<body").unwrap()..].replace("<wbr>", "");
    let mut text = String::new();
    let mut inside = false;
    for c in body.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                text.push(' ');
            }
            _ if !inside => text.push(c),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn run_of<'a>(
    progressed: &'a Progressed,
    result: Result<&'a crate::runner::Outcome, &'a crate::error::Error>,
) -> String {
    let target = "`shop` at db.example:5432 as `deploy`".to_owned();
    let (run_id, started_at) = (samples::run_id(), samples::started_at());
    run(&Told { run_id, target, who: "deploy on build-7".into(), started_at, progressed, result })
}

fn finished() -> (Progressed, crate::runner::Outcome) {
    let mut progressed = samples::progressed();
    progressed.underway = None;
    let outcome = samples::outcome(&progressed);
    (progressed, outcome)
}

/// All pages, by name, with the JSON of each.
fn pages() -> Vec<(&'static str, String, String)> {
    let mut pages: Vec<(&str, String, String)> = [
        ("rich", samples::rich()),
        ("passing", samples::passing()),
        ("hostile", samples::hostile()),
        ("large", samples::large(70, 6)),
        ("nothing", Rehearsal { migrations: vec![], ..samples::passing() }),
    ]
    .into_iter()
    .map(|(name, sample)| (name, rehearsal(&sample), report::json::object("rehearse", &sample).unwrap()))
    .collect();
    let (progressed, outcome) = finished();
    pages.push(("run", run_of(&progressed, Ok(&outcome)), report::json::object("up", &outcome).unwrap()));
    let (progressed, error) = (samples::progressed(), samples::failure());
    // The JSON of an error has no migrations that were done before it.
    let outcome = samples::outcome(&progressed);
    pages.push(("failed-run", run_of(&progressed, Err(&error)), report::json::object("up", &outcome).unwrap()));
    pages
}

/// `.ci/browser` looks at what this leaves in the folder that it names.
#[test]
fn pages_and_their_json_are_written_for_a_browser() {
    let own = tempfile::tempdir().unwrap();
    let named = std::env::var_os("LOCKGATE_REPORT_SAMPLES");
    let folder = named.as_deref().map_or(own.path(), Path::new);
    for (name, html, json) in pages() {
        write(&folder.join(format!("{name}.html")), &html).unwrap();
        fs::write(folder.join(format!("{name}.json")), json).unwrap();
    }
    // Whether a browser opens it is all that is asked; its JSON is far longer.
    write(&folder.join("huge.html"), &rehearsal(&samples::large(1_000, 100))).unwrap();
    let rich = fs::read_to_string(folder.join("rich.html")).unwrap();
    assert!(rich.starts_with("<!DOCTYPE html><html lang=\"en\">") && rich.ends_with("</html>"));
}

#[test]
fn a_page_fetches_and_runs_nothing() {
    for (name, html, _) in pages() {
        assert!(!html.to_lowercase().contains("<script"), "{name}");
        assert!(html.contains("default-src 'none'"), "{name}");
        // The title is text; what is after it is ours.
        let head = &html[html.find("</title>").unwrap()..html.find("<body").unwrap()];
        for fetched in ["src=", "@import", "url(http", "//"] {
            assert!(!head.contains(fetched), "{name}: {fetched}");
        }
        for (at, _) in html.match_indices("href=\"") {
            let target = &html[at + 6..];
            assert!(target.starts_with('#') || target.starts_with("data:,\""), "{name}: {}", &target[..20]);
        }
    }
}

#[test]
fn what_others_chose_is_text_and_nothing_else() {
    let html = rehearsal(&samples::hostile());
    assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("</style></title>"));
    assert!(html.contains("&lt;script&gt;throw 1&lt;/script&gt;"), "it is shown as it is");
    assert_eq!(html.matches("</style>").count(), 1);
    assert!(!html.contains(['\u{1b}', '\u{202e}', '\r']), "nobody turns the order of what is shown");
    assert!(!html.contains(&"x".repeat(BLOCK_MAX_CHARS + 1)), "nor makes it long");
    let (progressed, error) = (samples::progressed(), samples::failure());
    assert!(!run_of(&progressed, Err(&error)).contains("<script"));
}

#[test]
fn every_part_of_a_rehearsal_is_told() {
    let told = text(&rehearsal(&samples::rich()));
    for said in [
        "Not passed: 2 faults in 1 migration; 1 migration not reached; the copy differs from the target in 1 object.",
        "1 index built;",
        "left-behind in 004_add_invoices",
        "drop it in 004_add_invoices.down.sql",
        "rewrite in 003_amounts_in_cents , step 2 : orders",
        "005_drop_legacy",
        "needs a window",
        "cents that are rounded do not come back",
        "2.9 s on orders ACCESS EXCLUSIVE in 003_amounts_in_cents",
        "measured here; orders is 38 times as large on the target",
        "not measured: usual rates, and the 774.4 MiB that refunds has on the target",
        "column orders.amount : altered before: ALTER TABLE orders ALTER COLUMN amount TYPE numeric(12,2);",
        "17 times: canceling statement due to lock timeout",
        "masked by mask/customers.sql",
        "index orders_state_idx : new",
        "GRANT on the role reporting, which belongs to the server",
        "the newest backup is 7 hours old",
        "48 of them",
    ] {
        assert!(told.contains(said), "{said}\nin\n{told}");
    }
    let faults = told.find("Faults: mend these first").unwrap();
    let hazards = told.find("Hazards: what keeps others waiting").unwrap();
    assert!(
        faults < hazards
            && told[hazards..].find("rewrite").unwrap() < told[hazards..].find("foreign-key-scan").unwrap()
    );
}

#[test]
fn what_stands_between_backquotes_is_code() {
    assert_eq!(prose("run `a<b`, then c").into_string(), "run <code>a&lt;b</code>, then c");
    assert_eq!(prose("a ` b").into_string(), "a ` b");
}

#[test]
fn a_rehearsal_of_nothing_and_one_that_passed_read_well() {
    let nothing = text(&rehearsal(&Rehearsal { migrations: vec![], ..samples::passing() }));
    assert!(nothing.contains("Passed: nothing is pending.") && !nothing.contains("Timeline"), "{nothing}");
    let passing = text(&rehearsal(&samples::passing()));
    assert!(passing.contains("Nothing: no fault was found"), "{passing}");
}

#[test]
fn a_run_tells_what_it_did_and_how_to_take_it_back() {
    let (progressed, outcome) = finished();
    let told = text(&run_of(&progressed, Ok(&outcome)));
    for said in [
        "Done. All that was pending is applied and committed. The database is at version 002.",
        "002_unique_emails sql applied 3.3 s",
        "By deploy on build-7",
        "lockgate restore 20260314T092653Z-shop",
        "a transaction is open for 42 s",
    ] {
        assert!(told.contains(said), "{said}\nin\n{told}");
    }
    assert!(!told.contains("What failed"), "{told}");
}

#[test]
fn a_failed_run_tells_what_was_applied_before_what_failed_and_what_to_do() {
    let (progressed, error) = (samples::progressed(), samples::failure());
    let told = text(&run_of(&progressed, Err(&error)));
    for said in [
        "Failed. migration 003_amounts_in_cents failed in up, step 2 of 4.",
        "at migrations/003_amounts_in_cents.up.sql:4:1",
        "cause: bigint out of range",
        "rolled back; the database is at version 002; the lock is released",
        "002_unique_emails sql applied",
        "003_amounts_in_cents sql failed",
        "2 migrations applied, one failed",
        "with the same --database-url",
    ] {
        assert!(told.contains(said), "{said}\nin\n{told}");
    }
}

#[test]
fn ids_are_unique_and_every_link_leads_somewhere() {
    for (name, html, _) in pages() {
        let mut ids: Vec<&str> =
            html.match_indices(" id=\"").map(|(at, _)| html[at + 5..].split('"').next().unwrap()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{name}");
        for (at, _) in html.match_indices("href=\"#") {
            let target = html[at + 7..].split('"').next().unwrap();
            assert!(ids.binary_search(&target).is_ok(), "{name}: #{target}");
        }
    }
}

#[test]
fn a_thousand_migrations_of_a_hundred_steps_are_a_file_that_a_browser_opens() {
    for (migrations, mib_max) in [(100, 8), (1_000, 20)] {
        let sample = samples::large(migrations, 100);
        let begin = Instant::now();
        let html = rehearsal(&sample);
        println!("{migrations} migrations: {} in {:?}", report::bytes(html.len() as u64), begin.elapsed());
        assert!(html.len() < mib_max << 20, "{migrations}: {} bytes", html.len());
        let told = text(&html);
        assert!(told.contains("shorter steps in the JSON."), "what is left out is said");
        assert!(told.contains(&format!("{migrations:04}_add_columns")), "all are named");
        // A hundred relations are not a picture.
        assert!(
            html.matches("<rect").count() < 40 * (rehearsal::TIMELINES_MAX + 3),
            "{}",
            html.matches("<rect").count()
        );
    }
}
