//! What the rules found: for people, and for GitHub's workflows.

use std::fmt::Write as _;

use crate::{
    lint::{Finding, Level, PgVersion, Report, Rule, VersionSource},
    printable::printable,
};

/// The text of the findings, one a line, and a summary.
pub fn lint(report: &Report) -> String {
    let mut text = findings(&report.findings);
    for skipped in &report.skipped {
        let _ = writeln!(text, "not asked: {} ({})", skipped.rule, skipped.why);
    }
    let (found, errors) = (report.findings.len(), report.errors);
    let PgVersion { major, from } = report.pg_version;
    let from = match from {
        VersionSource::Server => "the connected server",
        VersionSource::Configuration => "lockgate.toml",
        VersionSource::OldestSupported => "the oldest supported",
    };
    let _ = writeln!(
        text,
        "{found} finding{}, {errors} error{} in {} script{} (PostgreSQL {major}, {from})",
        super::plural(found),
        super::plural(errors),
        report.files,
        super::plural(report.files),
    );
    text
}

/// `file:line:column: warn: what [rule]`, as editors and terminals make links of.
pub(super) fn findings(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { rule, level, file, line, column, message, help } in findings {
        let (file, message) = (printable(file), printable(message));
        let _ = writeln!(text, "{file}:{line}:{column}: {}: {message} [{rule}]", level.as_str());
        if let Some(help) = help {
            let _ = writeln!(text, "  next: {}", printable(help));
        }
    }
    text
}

/// Workflow commands, which GitHub shows at the lines of a pull request.
///
/// Source: GitHub's documentation, "Workflow commands for GitHub Actions", "Setting an error message"; what must be escaped is in the
/// toolkit's `command.ts`.
pub fn lint_for_github(report: &Report) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut text = String::new();
    for Finding { rule, level, file, line, column, message, help } in &report.findings {
        let command = if *level == Level::Error { "error" } else { "warning" };
        let help = help.as_ref().map(|help| format!("\nnext: {}", printable(help))).unwrap_or_default();
        let message = data(&format!("{}{help}", printable(message)));
        let (file, rule) = (property(file), property(&rule.to_string()));
        let _ = writeln!(text, "::{command} file={file},line={line},col={column},title={rule}::{message}");
    }
    for skipped in &report.skipped {
        let _ =
            writeln!(text, "::notice title={}::not asked: {}", property(&skipped.rule.to_string()), data(skipped.why));
    }
    text
}

/// The text of the list of rules.
pub fn rules(rules: &[(Rule, Level)]) -> String {
    rules.iter().map(|(rule, level)| format!("{:<5} {rule}\n", level.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let finding = Finding {
            rule: Rule::MissingDown,
            level: Level::Error,
            file: "m/a,b.sql".into(),
            line: 3,
            column: 7,
            message: "50 % of it".into(),
            help: Some("mend it".into()),
        };
        Report {
            pg_version: PgVersion { major: 16, from: VersionSource::Configuration },
            files: 2,
            errors: 1,
            findings: vec![finding],
            skipped: vec![],
        }
    }

    #[test]
    fn people_read_a_line_a_finding() {
        assert_eq!(
            lint(&report()),
            "m/a,b.sql:3:7: error: 50 % of it [missing-down]\n  next: mend it\n\
             1 finding, 1 error in 2 scripts (PostgreSQL 16, lockgate.toml)\n"
        );
    }

    #[test]
    fn github_reads_commands_in_which_its_own_signs_are_escaped() {
        assert_eq!(
            lint_for_github(&report()),
            "::error file=m/a%2Cb.sql,line=3,col=7,title=missing-down::50 %25 of it%0Anext: mend it\n"
        );
    }
}
