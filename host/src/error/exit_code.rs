//! How the process ends, in one place: the number, the name and the meaning of each code. The help, the manual page and
//! docs/configuration.md say what is written here.

/// How the process ends. The numbers are promised to pipelines and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum ExitCode {
    /// Done, or nothing to do.
    Done = 0,
    /// A migration failed and was rolled back.
    MigrationFailed = 1,
    /// The command line, the configuration or the migrations folder is wrong; nothing was touched.
    Usage = 2,
    /// `status --check` found something pending.
    Pending = 3,
    /// Another run holds the lock.
    LockHeld = 4,
    /// An applied migration has changed, or the history is damaged.
    Drift = 5,
    /// A preflight check or a verification said no.
    CheckFailed = 6,
    /// The backup or the restore failed.
    BackupFailed = 7,
    /// The database cannot be reached.
    Unreachable = 8,
    /// The connection was lost while a commit was under way.
    OutcomeUnknown = 9,
    /// A step is blocked until `lockgate resolve` says what came of it.
    NeedsResolve = 10,
}

impl ExitCode {
    /// All of them, by their numbers.
    pub const ALL: [Self; 11] = [
        Self::Done,
        Self::MigrationFailed,
        Self::Usage,
        Self::Pending,
        Self::LockHeld,
        Self::Drift,
        Self::CheckFailed,
        Self::BackupFailed,
        Self::Unreachable,
        Self::OutcomeUnknown,
        Self::NeedsResolve,
    ];

    /// What a pipeline sees.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// What it is called.
    pub const fn name(self) -> &'static str {
        self.told().0
    }

    /// What it means, in a few words.
    pub const fn meaning(self) -> &'static str {
        self.told().1
    }

    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Done => ("done", "done, or nothing to do"),
            Self::MigrationFailed => ("migration failed", "a migration failed and was rolled back"),
            Self::Usage => ("usage", "command line, configuration or migrations folder: nothing was touched"),
            Self::Pending => ("pending", "`status --check`: something is pending"),
            Self::LockHeld => ("lock held", "another run holds the lock"),
            Self::Drift => ("drift", "an applied migration has changed, or the history is damaged"),
            Self::CheckFailed => ("check failed", "a preflight check, a verification or a rule of `lint` said no"),
            Self::BackupFailed => ("backup failed", "the backup, the restore or the drill failed"),
            Self::Unreachable => ("unreachable", "the database cannot be reached"),
            Self::OutcomeUnknown => ("outcome unknown", "the connection was lost during a commit"),
            Self::NeedsResolve => ("needs resolve", "a step was cut off: nothing goes on until `lockgate resolve`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_codes_are_counted_from_zero_and_told_apart() {
        for (n, code) in ExitCode::ALL.iter().enumerate() {
            assert_eq!(usize::from(code.number()), n);
        }
        let names: BTreeSet<&str> = ExitCode::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), ExitCode::ALL.len());
    }

    #[test]
    fn the_table_in_docs_is_of_these_codes() {
        let page = include_str!("../../../docs/configuration.md");
        let (_, section) = page.split_once("## Exit codes").unwrap();
        let rows: Vec<(&str, &str, &str)> = section
            .split("\n## ")
            .next()
            .unwrap()
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.splitn(3, " | ");
                let (number, name, meaning) = (cells.next()?, cells.next()?, cells.next()?);
                number.parse::<u8>().is_ok().then_some((number, name, meaning))
            })
            .collect();
        assert_eq!(rows.len(), ExitCode::ALL.len(), "{rows:?}");
        for (code, (number, name, meaning)) in ExitCode::ALL.iter().zip(rows) {
            assert_eq!((number, name), (code.number().to_string().as_str(), code.name()));
            // The page may say more.
            assert!(meaning.starts_with(code.meaning()), "{number}: {meaning}");
        }
    }
}
