//! Outcomes as people and programs read them.

mod adoption;
mod doctor;
mod history;
pub mod html;
pub mod json;
mod layout;
mod lint;
mod plan;
mod rehearsal;
mod settings;
mod status;
pub(crate) mod words;

use std::fmt::Write as _;

use self::layout::{Cell, Column};
use crate::{
    backup::{
        Backup, Damaged, Drill, Level, Listing, Manifest, Phase, Proof, Restored, Since, WayBack, retention::Pruned,
    },
    error::Finding,
    migration::Direction,
    printable::printable,
    runner::{Health, Outcome, Pause, Realigned, Repair, Resolution},
};

pub use adoption::adoption;
pub use doctor::doctor;
pub use history::{history, verification};
pub use layout::{View, paint, wrap};
pub use lint::{lint, lint_for_github, rules};
pub use plan::{plan, tryout};
pub use rehearsal::rehearsal;
pub use settings::settings;
pub use status::status;

/// A size as people read it: `1.5 MiB`.
pub fn bytes(n: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let mut size = n as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return if unit == "bytes" { format!("{n} bytes") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// A number as people read it: `1,000,000`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The text of a run.
pub fn outcome(outcome: &Outcome) -> String {
    let mut text = String::new();
    let at = outcome
        .version
        .as_ref()
        .map_or("no migration is applied".into(), |v| format!("the database is at version {v}"));
    if outcome.done.is_empty() {
        let what = match outcome.direction {
            Direction::Up => "nothing is pending",
            Direction::Down => "nothing to revert",
        };
        return format!("{what}; {at}\n");
    }
    match &outcome.backup {
        // Of an earlier run, recent enough to serve.
        Some(manifest) if manifest.run_id != outcome.run_id.to_string() => {
            let _ = writeln!(text, "backup {} of {:.0} serves", manifest.id, manifest.created_at);
        }
        Some(manifest) => text += &backup(manifest),
        None => text += "no backup was taken\n",
    }
    text += &findings(&outcome.findings);
    let verb = match outcome.direction {
        Direction::Up => "applied",
        Direction::Down => "reverted",
    };
    for done in &outcome.done {
        let _ = writeln!(text, "{verb} {} ({}, {} ms)", done.name, done.kind, done.execution_time_ms);
    }
    let n = outcome.done.len();
    let _ = writeln!(text, "{n} migration{} {verb} in {} ms; {at}", if n == 1 { "" } else { "s" }, outcome.duration_ms);
    if let Some(WayBack { command, mind }) = &outcome.way_back {
        let mind = mind.as_ref().map(|mind| format!(" ({mind})")).unwrap_or_default();
        let _ = writeln!(text, "to take it all back: {command}{mind}");
    }
    text
}

/// The text of the health check.
pub fn health(health: &Health) -> String {
    let mut text = format!("connected to {}\n", printable(&health.target));
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<8} {value}");
    };
    line(
        "server",
        format!("PostgreSQL {}{}", health.server_version, if health.in_recovery { ", a standby" } else { "" }),
    );
    line("TLS", health.tls.clone().unwrap_or_else(|| "none".into()));
    line("role", format!("{}{}", health.role, if health.superuser { ", a superuser" } else { "" }));
    line("clock", format!("{:+} ms against ours", health.clock_skew_ms));
    #[allow(clippy::cast_precision_loss)]
    line("latency", format!("{:.2} ms", health.latency_us as f64 / 1000.0));
    text
}

/// The text of one backup.
pub fn backup(manifest: &Manifest) -> String {
    let encrypted = if manifest.is_encrypted() { ", encrypted" } else { "" };
    format!("backed up as {} ({}{encrypted}, read back)\n", manifest.id, bytes(manifest.bytes()))
}

/// The text of the list of backups.
pub fn backups(listing: &Listing, now: jiff::Timestamp, view: View) -> String {
    let mut text = match listing.backups.is_empty() {
        true => "no backups\n".to_owned(),
        false => whole_backups(&listing.backups, now, view),
    };
    for Damaged { id, cause } in &listing.damaged {
        let _ = writeln!(text, "DAMAGED: the manifest of {id}: {cause}");
    }
    text
}

fn whole_backups(backups: &[Backup], now: jiff::Timestamp, view: View) -> String {
    const COLUMNS: [Column; 8] = [
        Column::new("backup"),
        Column::new("taken at (UTC)").spare(4),
        Column::new("age"),
        Column::new("size"),
        Column::new("proved").spare(1),
        Column::new("database").spare(2),
        Column::new("applied then"),
        Column::new("taken before").spare(3),
    ];
    let mut rows = Vec::new();
    let server = |backup: &Backup| backup.manifest.system_identifier;
    let several_servers = backups.windows(2).any(|pair| server(&pair[0]) != server(&pair[1]));
    for Backup { manifest, level, .. } in backups {
        let mut holds = Vec::new();
        if manifest.is_encrypted() {
            holds.push("encrypted");
        }
        if !manifest.scope.is_whole() {
            holds.push(if manifest.scope.schema_only { "schema only" } else { "without some rows" });
        }
        let holds = if holds.is_empty() { String::new() } else { format!(" ({})", holds.join(", ")) };
        let cells = [
            manifest.id.clone(),
            format!("{:.0}", manifest.created_at),
            age(manifest.created_at, now),
            format!("{}{holds}", bytes(manifest.bytes())),
            format!("{} {}", *level as u8, level.as_str()),
            match several_servers {
                true => format!("{} at {} ({})", manifest.database, manifest.server, manifest.system_identifier),
                false => manifest.database.clone(),
            },
            manifest.applied.last().cloned().unwrap_or_else(|| "none".into()),
            manifest.precedes.join(", "),
        ];
        rows.push(cells.map(Cell::from).to_vec());
    }
    layout::indented_table(" ", &COLUMNS, &rows, 1, view)
}

/// The text of a clean-up.
pub fn pruned(pruned: &Pruned, dry_run: bool) -> String {
    let mut text = String::new();
    for kept in &pruned.kept {
        let _ = writeln!(text, "keep   {} ({})", kept.id, kept.because.join(", "));
    }
    for id in &pruned.removed {
        let _ = writeln!(text, "remove {id}");
    }
    for name in &pruned.leftovers {
        let _ = writeln!(text, "remove {name} (left by a backup that was never finished)");
    }
    if pruned.of_other_servers > 0 {
        let n = pruned.of_other_servers;
        let _ =
            writeln!(text, "{n} backup{} of other servers {} left alone", plural(n), if n == 1 { "is" } else { "are" });
    }
    let size = bytes(pruned.bytes);
    text + &match (pruned.removed.is_empty() && pruned.leftovers.is_empty(), dry_run) {
        (true, _) => "nothing to remove\n".to_owned(),
        (false, true) => format!("{size} would be freed; nothing was removed\n"),
        (false, false) => format!("{size} freed\n"),
    }
}

/// How long ago something was, in the largest unit that it fills: `3 h`.
fn age(then: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let s = now.duration_since(then).as_secs().max(0);
    match s {
        ..60 => format!("{s} s"),
        60..3_600 => format!("{} min", s / 60),
        3_600..86_400 => format!("{} h", s / 3_600),
        _ => format!("{} d", s / 86_400),
    }
}

/// The text of a step for which the operator's word was taken, or would be.
pub fn resolution(resolution: &Resolution, dry_run: bool) -> String {
    let (is, not) = if dry_run { ("would be", "nothing was changed\n") } else { ("is", "") };
    let Resolution { migration, step, statement, verdict, next } = resolution;
    format!("step {step} of {migration} {is} taken as {verdict}: {statement}\nnext: {next}\n{not}")
}

/// The text of a repair.
pub fn repair(repair: &Repair, dry_run: bool) -> String {
    if repair.migrations.is_empty() {
        return "nothing has drifted: there is nothing to repair\n".to_owned();
    }
    let is = if dry_run { "would be" } else { "is" };
    let mut text = String::new();
    for Realigned { name, applied, file, changes, .. } in &repair.migrations {
        let (name, applied, file) = (printable(name), applied.short(), file.short());
        let _ = writeln!(text, "{name}: the file {file}… {is} taken for what was applied, {applied}…");
        if let Some(changes) = changes {
            let _ = writeln!(text, "  {changes}");
        }
    }
    text + if dry_run { "nothing was changed\n" } else { "" }
}

/// The text of a pause, or of its end.
pub fn pause(pause: &Pause) -> String {
    let Pause { migration, step, paused } = pause;
    if *paused {
        format!(
            "{migration} is paused before step {step}, or its next batch; what is under way is finished\nnext: `lockgate pause --off` lets it go on\n"
        )
    } else {
        format!(
            "{migration} is no longer paused; where no run waits for that, `lockgate up` or `down` goes on at step {step}\n"
        )
    }
}

/// The text of a restore.
pub fn restored(restored: &Restored) -> String {
    let mut text = format!("restored `{}` from backup {}\n", restored.database, restored.backup);
    text += &compared(restored.tables_counted, restored.tables_hashed);
    let _ = writeln!(text, "{}", restored.journal);
    text += &phases(&restored.phases);
    if let Some(ms) = restored.outage_ms {
        let _ = writeln!(text, "nobody could connect for {ms} ms");
    }
    if let Some(kept) = &restored.kept_as {
        let _ = writeln!(text, "the former database is kept as `{kept}`; drop it when you no longer need it");
    }
    text
}

fn compared(counted: usize, hashed: usize) -> String {
    format!("{counted} table{} compared by the number of rows, {hashed} by their hashes\n", plural(counted))
}

fn phases(phases: &[Phase]) -> String {
    let parts: Vec<String> = phases.iter().map(|phase| format!("{} {}", phase.name, seconds(phase.ms))).collect();
    format!("took: {}\n", parts.join(", "))
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// The text of a clean-up after restores.
pub fn cleaned_up(done: &[String]) -> String {
    if done.is_empty() {
        return "nothing was left\n".into();
    }
    done.iter().map(|what| format!("{what}\n")).collect()
}

/// The text of a backup that was proved.
pub fn proof(proof: &Proof) -> String {
    let mut text =
        format!("backup {} is proved to level {}: {}\n", proof.backup, proof.level as u8, proof.level.as_str());
    if proof.level == Level::Compared {
        text += &compared(proof.tables_counted, proof.tables_hashed);
    }
    text + &phases(&proof.phases)
}

/// The text of a drill.
pub fn drill(drill: &Drill) -> String {
    let Drill { rto, rpo, .. } = drill;
    let verdict = |met: bool| if met { "met" } else { "MISSED" };
    let since = match rpo.since {
        Since::LastArchived => {
            "since the last segment of the write-ahead log was archived; needs a base backup from before it"
        }
        Since::Backup => "since this backup",
    };
    let why = rpo.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    proof(&drill.proof)
        + &format!(
            "RTO: {} of {} s, {}\nRPO: {} s of {} s, {} ({since}{why})\n",
            seconds(rto.measured_ms),
            rto.target_s,
            verdict(rto.met),
            rpo.measured_s,
            rpo.target_s,
            verdict(rpo.met)
        )
}

fn findings(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let _ = writeln!(text, "{}: {} [{}]", finding.severity, finding.message, finding.code);
        if let Some(hint) = &finding.hint {
            let _ = writeln!(text, "  next: {hint}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_the_largest_unit_that_they_fill() {
        let then = jiff::Timestamp::UNIX_EPOCH;
        let after = |s| age(then, jiff::Timestamp::from_second(s).unwrap());
        assert_eq!([0, 59, 60, 3_600, 86_399, 86_400].map(after), ["0 s", "59 s", "1 min", "1 h", "23 h", "1 d"]);
        assert_eq!(age(jiff::Timestamp::from_second(5).unwrap(), then), "0 s", "clocks differ");
    }

    #[test]
    fn large_numbers_read_well() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1536), bytes(5 << 40)],
            ["0 bytes", "1023 bytes", "1.5 KiB", "5.0 TiB"]
        );
    }
}
