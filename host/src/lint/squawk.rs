//! squawk's rules.

use squawk_linter::Linter;

use super::{
    Asked, Level, Rule,
    defaults::{About, SQUAWK},
    subject::Side,
    whole::Whole,
};

/// What a rule of squawk's has to say, and where: as the offset of a byte in the script.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) rule: Rule,
    pub(super) offset: usize,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// What squawk's rules have to say of a script.
pub(super) fn ask(whole: &Whole, side: Side, in_transaction: bool, asked: Asked<'_>) -> Vec<Said> {
    let rules = SQUAWK.iter().filter(|(rule, _, about)| {
        asked.settings.level(Rule::Squawk(*rule)) != Level::Off && (side == Side::Up || *about == About::Locks)
    });
    let rules: Vec<squawk_linter::Rule> = rules.map(|(rule, ..)| *rule).collect();
    if rules.is_empty() {
        return Vec::new();
    }
    let mut linter = Linter::from(rules.iter().copied());
    // A number that a server gave is one that squawk reads.
    linter.settings.pg_version = asked.pg_version.major.to_string().parse().unwrap_or_default();
    linter.settings.assume_in_transaction = in_transaction;
    let violations = linter.lint(&whole.parsed, &whole.text);
    let said = violations.into_iter().filter(|violation| rules.contains(&violation.code)).map(|violation| {
        let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        Said {
            rule: Rule::Squawk(violation.code),
            offset: whole.in_script(usize::from(violation.text_range.start())),
            message: one_line(violation.message),
            help: violation.help.map(one_line),
        }
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, PgVersion, Settings, Subject, VersionSource};
    use super::*;

    /// `rule line:column` of what is found.
    fn found(up: &str, down: Option<&str>, settings: &Settings, major: u32) -> Vec<String> {
        let asked = Asked { settings, pg_version: PgVersion { major, from: VersionSource::Configuration } };
        let report = super::super::check(&[Subject::for_tests(up, down, asked)], asked, None);
        let line = |f: &super::super::Finding| format!("{} {}:{}", f.rule, f.line, f.column);
        report.findings.iter().filter(|f| matches!(f.rule, Rule::Squawk(_))).map(line).collect()
    }

    #[test]
    fn what_is_found_has_its_place() {
        let up = "-- é ü\nSELECT 'é'; ALTER TABLE t\n    DROP COLUMN a;";
        assert_eq!(found(up, None, &Settings::default(), 15), ["ban-drop-column 3:5"]);
        let beside = "INSERT INTO t VALUES ('é;'); /* x */ DROP TABLE a";
        assert_eq!(found(beside, None, &Settings::default(), 15), ["ban-drop-table 1:38"]);
    }

    #[test]
    fn the_version_counts() {
        let up = "ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL) NOT VALID;";
        let set = "ALTER TABLE t ALTER COLUMN a SET NOT NULL;";
        assert_eq!(found(set, None, &Settings::default(), 15), ["adding-not-nullable-field 1:30"]);
        assert!(found(up, None, &Settings::default(), 15).is_empty());
        let repack = Settings::for_tests(&[("prefer-repack", Level::Warn)]);
        assert_eq!(found("VACUUM FULL t", None, &repack, 19), ["prefer-repack 1:1"]);
        assert!(found("VACUUM FULL t", None, &repack, 18).is_empty());
    }

    #[test]
    fn a_way_down_may_drop_what_it_likes_but_not_block_for_long() {
        let up = "CREATE TABLE t (id int)";
        assert!(found(up, Some("DROP TABLE t"), &Settings::default(), 15).is_empty());
        let down = "DROP TABLE t; CREATE INDEX i ON u (a)";
        assert_eq!(found(up, Some(down), &Settings::default(), 15), ["require-concurrent-index-creation 1:15"]);
    }

    #[test]
    fn an_index_outside_of_a_transaction_is_what_is_asked_for() {
        assert!(found("CREATE INDEX CONCURRENTLY i ON t (a)", None, &Settings::default(), 15).is_empty());
        let alone = "CREATE TABLE t (a int); CREATE INDEX i ON t (a);";
        assert!(found(alone, None, &Settings::default(), 15).is_empty(), "the table is new");
        let parted = format!("-- lockgate: no-transaction\n{alone}");
        assert_eq!(found(&parted, None, &Settings::default(), 15).len(), 1, "others may have it by then");
    }

    #[test]
    fn a_comment_of_squawks_holds_for_its_line_and_the_next() {
        let up = "ALTER TABLE t /* squawk-ignore ban-drop-column */ DROP COLUMN a;\n\n\nALTER TABLE u DROP COLUMN b;";
        assert_eq!(found(up, None, &Settings::default(), 15), ["ban-drop-column 4:15"]);
        let beside = up.replace("\n\n\n", "\n");
        assert_eq!(found(&beside, None, &Settings::default(), 15), [""; 0]);
    }

    #[test]
    fn taste_is_nobodys_business_unless_asked() {
        let up = "CREATE TABLE t (id serial PRIMARY KEY, name varchar(10), n int, at timestamp)";
        assert!(found(up, None, &Settings::default(), 15).is_empty());
        let asked = Settings::for_tests(&[("prefer-text-field", Level::Error)]);
        assert_eq!(found(up, None, &asked, 15).len(), 1);
    }

    #[test]
    fn a_statement_that_cannot_be_read_spoils_no_other() {
        let up = "DROP TABLE t; FROBNICATE x y z; DROP TABLE u";
        assert_eq!(found(up, None, &Settings::default(), 15), ["ban-drop-table 1:1", "ban-drop-table 1:33"]);
    }
}
