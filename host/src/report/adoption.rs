//! The text of a history that was taken over.

use std::fmt::Write as _;

use super::findings;
use crate::{printable::printable, runner::Adoption};

/// What was taken over, or would be.
pub fn adoption(adoption: &Adoption, dry_run: bool) -> String {
    let n = adoption.migrations.len();
    let s = if n == 1 { "" } else { "s" };
    let at = adoption
        .version
        .as_ref()
        .map_or("no migration is applied".into(), |version| format!("the database is at version {version}"));
    let mut text = findings(&adoption.findings);
    if n == 0 {
        let all = match &adoption.tool {
            Some(tool) => {
                let unless = if adoption.findings.iter().any(|finding| finding.code == "reverted") {
                    " and Lockgate has not reverted"
                } else {
                    ""
                };
                format!("all that {tool} has noted{unless} is in the history ({} migrations)", adoption.present)
            }
            None => "they are in the history".to_owned(),
        };
        let _ = writeln!(text, "nothing to take over: {all}; {at}");
        return text;
    }
    let verb = if dry_run { "would take over" } else { "took over" };
    for migration in &adoption.migrations {
        let when = migration.applied_at.as_ref().map_or(String::new(), |at| format!(", applied at {at}"));
        let note = migration.note.as_ref().map_or(String::new(), |note| format!("; {note}"));
        let _ = writeln!(text, "{verb} {} ({}{when}{note})", printable(&migration.filename), migration.kind);
    }
    let from = match (&adoption.tool, &adoption.table) {
        (Some(tool), Some(table)) => {
            format!(" from {tool}")
                + &match &adoption.renamed_to {
                    Some(name) if dry_run => format!("; its table {table} would be renamed to {name}, and kept"),
                    Some(name) => format!("; its table {table} is now {name}, with all its rows"),
                    None => format!("; its table {table} stays as it is"),
                }
        }
        _ => ", without running them".to_owned(),
    };
    let _ = writeln!(text, "{n} migration{s}{}{from}", if dry_run { "" } else { " taken over" });
    if dry_run {
        return text + "nothing was changed\n";
    }
    let _ = writeln!(text, "{at}\nnext: {}", adoption.next);
    text
}
