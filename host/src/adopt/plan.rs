//! What is to be written into the history: a pure function of the tool's table, the files, the history and the journal.

use std::collections::BTreeSet;

use super::{Comparison, File, Foreign, Ledger, Past, Tool};
use crate::{
    error::{Finding, Problem, Severity},
    postgres::history::{self, Applied},
};

/// One migration to be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) file: File,
    /// When the other tool applied it, if that is known.
    pub(crate) applied_at: Option<String>,
    pub(crate) duration_ms: i64,
    /// What is to be told of it in the journal and in the report, beside where it comes from.
    pub(crate) note: Option<String>,
}

/// What came of comparing the three.
#[derive(Debug, Default)]
pub(crate) struct Agreement {
    /// What the history lacks, in order.
    pub(crate) taken: Vec<Taken>,
    /// What it has already.
    pub(crate) present: Vec<File>,
    /// What of that the present run has written, before it lost its connection.
    pub(crate) written: Vec<File>,
    /// Worth telling.
    pub(crate) findings: Vec<Finding>,
}

/// Compares what the tool tells with the files, the history and the journal. What Lockgate has reverted since it took it over stays reverted.
///
/// # Errors
/// Everything that keeps it from being taken over, all at once.
pub(crate) fn plan(
    tool: &dyn Tool,
    ledger: &Ledger,
    files: &[File],
    applied: &[Applied],
    past: &Past,
    accept_changed: bool,
) -> Result<Agreement, Vec<Problem>> {
    let mut problems = ledger.refused.clone();
    let mut agreement = Agreement::default();
    let mut told: Vec<(&File, Option<&Foreign>, Option<String>)> = Vec::new();
    let is_present = |file: &File| applied.iter().any(|row| row.version == file.version);
    let reverted_at = |file: &File, row| past.reverted_at(&file.version, row).filter(|_| !is_present(file));
    let mut reverted: Vec<(&File, &str)> = Vec::new();
    for row in &ledger.rows {
        let matching: Vec<&File> = files.iter().filter(|file| tool.is(row, file)).collect();
        match matching.as_slice() {
            [] => problems.push(Problem::new(
                &row.name,
                format!("applied by {}, but no file is of it", tool.name()),
                "put its file back",
            )),
            [file] => match reverted_at(file, Some(row)) {
                Some(at) => reverted.push((file, at)),
                None => match compared(tool, row, file, files, accept_changed) {
                    Ok(note) => told.push((file, Some(row), note)),
                    Err(problem) => problems.push(problem),
                },
            },
            several => {
                let names: Vec<&str> = several.iter().map(|file| file.filename.as_str()).collect();
                let what = format!("several files could be of it: {}", names.join(", "));
                problems.push(Problem::new(&row.name, what, "leave the one that was applied"));
            }
        }
    }
    if let Some(implied) = &ledger.implied {
        let named = told.iter().map(|(file, ..)| *file).chain(reverted.iter().map(|(file, _)| *file));
        let named: BTreeSet<&str> = named.map(|file| file.filename.as_str()).collect();
        let below =
            files.iter().filter(|file| file.version <= implied.up_to && !named.contains(file.filename.as_str()));
        for file in below {
            match reverted_at(file, None) {
                Some(at) => reverted.push((file, at)),
                None if is_present(file) || past.may_imply(&file.version) => {
                    told.push((file, None, Some(implied.why.to_owned())));
                }
                None => {}
            }
        }
    }
    told.sort_by(|(a, ..), (b, ..)| a.version.cmp(&b.version));
    for pair in told.windows(2).filter(|pair| pair[0].0.filename == pair[1].0.filename) {
        let what = format!("{} tells of it more than once", tool.name());
        problems.push(Problem::new(
            &pair[0].0.filename,
            what,
            "find out which row is the right one, and remove the other",
        ));
    }
    for (file, row, note) in &told {
        match applied.iter().find(|row| row.version == file.version) {
            None => agreement.taken.push(Taken {
                file: (*file).clone(),
                applied_at: row.and_then(|row| row.applied_at.clone()),
                duration_ms: row.and_then(|row| row.duration_ms).unwrap_or(0).max(0),
                note: note.clone(),
            }),
            Some(ours) if ours.checksum == file.checksum => agreement.present.push((*file).clone()),
            Some(ours) if ours.kind != file.kind => problems.push(Problem::new(
                &file.filename,
                format!("the history has version {} already, as `{}`", ours.version, ours.filename),
                "give the migration of the folder a number above those that are taken over",
            )),
            Some(ours) => problems.push(Problem::new(
                &file.filename,
                format!(
                    "Lockgate's own history has it already, with the digest {}…, which is not the file's ({}…)",
                    ours.checksum.short(),
                    file.checksum.short()
                ),
                "put the file back that was applied",
            )),
        }
    }
    agreement.findings.extend(late(tool, files, &told, &reverted));
    agreement.findings.extend(still_reverted(reverted));
    if problems.is_empty() { Ok(agreement) } else { Err(problems) }
}

/// A row beside its file; a note where something about that is to be told.
fn compared(
    tool: &dyn Tool,
    row: &Foreign,
    file: &File,
    files: &[File],
    accept_changed: bool,
) -> Result<Option<String>, Problem> {
    match tool.compare(row, file, files) {
        Comparison::Same | Comparison::NotKept => Ok(None),
        Comparison::NotCompared => Ok(Some("its checksum could not be compared".into())),
        Comparison::Changed { noted, is } if accept_changed => Ok(Some(format!(
            "taken over as it is now, though it has changed: {} noted {noted}, it is {is}",
            tool.name()
        ))),
        Comparison::Changed { noted, is } => Err(Problem::new(
            &file.filename,
            format!("it has changed since {} applied it: its checksum is {is}, {noted} was noted", tool.name()),
            "put the applied file back; or take it over as it is now with `--accept-changed`",
        )),
    }
}

/// Files that the tool has not applied, though it has applied later ones.
fn late(
    tool: &dyn Tool,
    files: &[File],
    told: &[(&File, Option<&Foreign>, Option<String>)],
    reverted: &[(&File, &str)],
) -> Option<Finding> {
    // Repeatable ones have no place in the order.
    let newest = told.iter().map(|(file, ..)| &file.version).filter(|version| !version.is_repeatable()).max()?;
    let left = |file: &&File| {
        // Nobody but the tool can run its scripts, so that none of them may be left.
        (file.version < *newest || file.kind == history::EXTERNAL)
            && !told.iter().any(|(told, ..)| told.filename == file.filename)
            && !reverted.iter().any(|(reverted, _)| reverted.filename == file.filename)
    };
    let left: Vec<&str> = files.iter().filter(left).map(|file| file.filename.as_str()).collect();
    if left.is_empty() {
        return None;
    }
    let message = format!("{} has not applied {}", tool.name(), left.join(", "));
    let finding = Finding::new(Severity::Warn, "not-applied", message);
    Some(finding.hint(if tool.has_own_scripts() {
        format!("apply it with {} and adopt again, or make a migration of it", tool.name())
    } else {
        "it comes late: `lockgate up` applies it with `--out-of-order apply`".to_owned()
    }))
}

/// What the tool tells as applied, and Lockgate has reverted.
fn still_reverted(mut reverted: Vec<(&File, &str)>) -> Option<Finding> {
    reverted.sort_by(|(a, _), (b, _)| a.version.cmp(&b.version));
    let reverted: Vec<String> = reverted.iter().map(|(file, at)| format!("{} (at {at})", file.filename)).collect();
    if reverted.is_empty() {
        return None;
    }
    let message = format!("Lockgate has reverted since, and does not take over again: {}", reverted.join(", "));
    Some(Finding::new(Severity::Warn, "reverted", message).hint("`lockgate up` applies what is pending"))
}

#[cfg(test)]
mod tests {
    use super::{super::files::file, *};
    use crate::{
        adopt::{Implied, tool},
        migration::{Checksum, Version},
    };

    fn files() -> Vec<File> {
        vec![file("1", "1_a.up.sql", b"a"), file("2", "2_b.up.sql", b"b"), file("3", "3_c.up.sql", b"c")]
    }

    fn rows(versions: &[&str]) -> Ledger {
        Ledger { rows: versions.iter().map(|v| Foreign::of_version(v)).collect(), ..Ledger::default() }
    }

    fn history(version: &str, bytes: &[u8]) -> Applied {
        Applied {
            version: Version::parse(version).unwrap(),
            filename: String::new(),
            description: String::new(),
            kind: "sql".into(),
            checksum: Checksum::of_bytes(bytes),
            applied_at: String::new(),
            execution_time_ms: 0,
            applied_by: String::new(),
            run_id: String::new(),
            backup_id: None,
            up_script: None,
            down_script: None,
        }
    }

    fn versions(agreement: &Agreement) -> Vec<&str> {
        agreement.taken.iter().map(|taken| taken.file.version.as_str()).collect()
    }

    #[test]
    fn what_is_told_and_not_in_the_history_is_taken_in_order() {
        let dbmate = tool("dbmate").unwrap();
        let agreement = plan(dbmate, &rows(&["2", "1"]), &files(), &[], &Past::default(), false).unwrap();
        assert_eq!(versions(&agreement), ["1", "2"]);
        let agreement =
            plan(dbmate, &rows(&["2", "1"]), &files(), &[history("1", b"a")], &Past::default(), false).unwrap();
        assert_eq!((versions(&agreement), agreement.present.len()), (vec!["2"], 1));
    }

    #[test]
    fn one_version_may_imply_all_below() {
        let up_to = Version::parse("2").unwrap();
        let ledger = Ledger { implied: Some(Implied { up_to, why: "why" }), ..rows(&["2"]) };
        let agreement = plan(tool("golang-migrate").unwrap(), &ledger, &files(), &[], &Past::default(), false).unwrap();
        assert_eq!(versions(&agreement), ["1", "2"]);
        assert_eq!(agreement.taken[0].note.as_deref(), Some("why"));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let problems = plan(
            tool("dbmate").unwrap(),
            &rows(&["1", "9", "3"]),
            &files(),
            &[history("3", b"x")],
            &Past::default(),
            false,
        );
        let problems: Vec<String> = problems.unwrap_err().into_iter().map(|p| p.what).collect();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("no file is of it") && problems[1].contains("own history"), "{problems:?}");
    }

    #[test]
    fn what_was_left_out_below_the_newest_is_told() {
        let agreement =
            plan(tool("dbmate").unwrap(), &rows(&["1", "3"]), &files(), &[], &Past::default(), false).unwrap();
        assert_eq!(agreement.findings[0].message, "dbmate has not applied 2_b.up.sql");
    }
}
