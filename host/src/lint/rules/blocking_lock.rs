//! `blocking-lock` and `brief-blocking-lock`: a lock that keeps others from a table that is large in the connected database.
//!
//! What counts is for how long: a lock is held until its transaction ends. It is long where its own statement takes the longer, the larger
//! the table is, or where one after it in the same transaction does, on whatever large table; or where nobody knows what one after it
//! does. All others are brief, and told of the way up only: as brief as the time-out for locks is, after which a run tries again.

use super::super::{
    Found, Side, View,
    subject::{Part, Statement},
};
use crate::{
    locks::{Blocks, Neighbour, Placed},
    report,
};

/// Those that are held for long.
pub(in super::super) fn long<'a>(view: &View<'a>) -> Vec<Found<'a>> {
    all(view, true)
}

/// Those that are not.
pub(in super::super) fn brief<'a>(view: &View<'a>) -> Vec<Found<'a>> {
    all(view, false)
}

/// Why a lock is held for long.
enum Held {
    ByItself,
    /// Of the one in this line.
    ByALaterStatement(usize),
}

fn all<'a>(view: &View<'a>, long: bool) -> Vec<Found<'a>> {
    let Some(relations) = view.relations else { return Vec::new() };
    let settings = view.settings;
    let is_large_table = |table: &Neighbour| {
        table.bytes >= settings.large_bytes || table.rows.is_some_and(|rows| rows >= settings.large_rows)
    };
    let is_large = |placed: &Placed| placed.table.as_ref().is_some_and(is_large_table);
    let mut found = Vec::new();
    for part in view.subject.parts().filter(|part| long || part.side == Side::Up) {
        let looked_at = part.statements().iter().map(|statement| {
            let mut placed = relations.place(&statement.locks);
            placed.retain(is_large);
            let takes_long = statement.locks.unknown.is_some()
                || placed.iter().any(|placed| placed.lock.work.grows())
                || relations.read_by(&statement.locks).any(is_large_table);
            placed.retain(|placed| placed.lock.mode.blocks() > Blocks::Neither);
            // Most are on no large table, or let others work.
            placed.shrink_to_fit();
            (placed, takes_long)
        });
        let (blocking, takes_long): (Vec<Vec<Placed>>, Vec<bool>) = looked_at.unzip();
        let later = later(part, takes_long.into_iter());
        let mut walk = part.walk();
        for ((statement, blocking), later) in part.statements().iter().zip(&blocking).zip(later) {
            let later = later.map(|offset| walk.to(offset).1);
            for placed in blocking {
                let held = match placed.lock.work.grows() {
                    true => Some(Held::ByItself),
                    false => later.map(Held::ByALaterStatement),
                };
                if held.is_some() == long {
                    found.push(told(part, statement, placed, held));
                }
            }
        }
    }
    found
}

/// For each statement the first one after it in its transaction that may take long. From the last to the first, so that a script of many
/// statements is gone through once.
fn later(part: &Part, takes_long: impl DoubleEndedIterator<Item = bool> + ExactSizeIterator) -> Vec<Option<usize>> {
    let (mut next, mut transaction) = (None, None);
    let mut later: Vec<Option<usize>> = part
        .statements()
        .iter()
        .zip(takes_long)
        .rev()
        .map(|(statement, takes_long)| {
            if transaction != Some(statement.transaction) {
                (next, transaction) = (None, Some(statement.transaction));
            }
            let later = next;
            if takes_long {
                next = Some(statement.start);
            }
            later
        })
        .collect();
    later.reverse();
    later
}

fn told<'a>(part: &'a Part, statement: &Statement, placed: &Placed, held: Option<Held>) -> Found<'a> {
    let (lock, size) = (&placed.lock, placed.table.as_ref());
    let rows = size.and_then(|table| table.rows).map(|rows| format!(", about {} rows", report::thousands(rows)));
    let size = format!("{}{}", report::bytes(size.map_or(0, |table| table.bytes)), rows.unwrap_or_default());
    let table = placed.table.as_ref().map_or_else(|| lock.relation.clone(), |table| table.relation());
    let how_long = match held {
        Some(Held::ByItself) => lock.work.in_words().to_owned(),
        Some(Held::ByALaterStatement(line)) => {
            format!("until the transaction ends, and the statement of line {line} may take long")
        }
        None => "briefly".to_owned(),
    };
    let message = format!("{} on `{table}` ({size}): {} {how_long}", lock.mode, lock.mode.blocks().in_words());
    let help = match held {
        Some(Held::ByItself) => {
            "a form that lets others go on: CONCURRENTLY for indexes; NOT VALID first and VALIDATE CONSTRAINT in a later migration for \
             constraints; a new column, filled in batches, for a new type"
        }
        Some(Held::ByALaterStatement(_)) => "put what takes long into a migration of its own",
        None => "it waits no longer than `lock-timeout`, and is tried again",
    };
    Found { part, offset: statement.start, message, help: Some(help.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests_of::found;
    use crate::{
        lint::{Asked, Settings, Subject},
        locks::Relations,
    };

    const MB: u64 = 1_000_000;

    fn database() -> Relations {
        Relations::of(&[("big", 200 * MB, 10), ("many", 1, 2_000_000), ("small", MB, 10)]).referring("small", "big")
    }

    fn long(up: &str) -> Vec<String> {
        found("blocking-lock", up, Some("SELECT 1"), Some(&database()))
    }

    fn brief(up: &str) -> Vec<String> {
        found("brief-blocking-lock", up, Some("SELECT 1"), Some(&database()))
    }

    #[test]
    fn work_on_a_large_table_is_told_and_on_a_small_one_not() {
        for table in ["big", "many"] {
            assert_eq!(long(&format!("CREATE INDEX ON {table} (n)")), ["1:1"], "{table}");
        }
        for table in ["small", "new"] {
            assert!(long(&format!("CREATE INDEX ON {table} (n)")).is_empty(), "{table}");
        }
        assert!(long("CREATE INDEX CONCURRENTLY i ON big (n)").is_empty(), "writes go on");
        assert!(long("UPDATE big SET n = 1").is_empty(), "it is no lock on the table that others wait for");
    }

    #[test]
    fn a_table_is_known_by_its_new_name_and_in_another_search_path() {
        assert_eq!(long("ALTER TABLE big RENAME TO big2;\nCREATE INDEX ON big2 (n)"), ["1:1", "2:1"]);
        assert_eq!(
            long("ALTER TABLE big RENAME TO old;\nCREATE TABLE big (n int);\nALTER TABLE big ALTER n TYPE text"),
            [""; 0],
            "it is a new one"
        );
        assert_eq!(brief("SET search_path FROM CURRENT;\nALTER TABLE big ADD COLUMN n int"), [""; 0], "nobody knows");
    }

    #[test]
    fn a_brief_lock_is_told_by_another_rule() {
        let add = "ALTER TABLE big ADD COLUMN n int";
        assert!(long(add).is_empty());
        assert_eq!(brief(add), ["1:1"]);
        assert!(brief("ALTER TABLE small ADD COLUMN n int").is_empty());
        assert!(brief("CREATE INDEX ON big (n)").is_empty(), "it is not brief");
    }

    #[test]
    fn a_brief_lock_is_long_before_something_that_takes_long() {
        let add = "ALTER TABLE big ADD COLUMN n int;\n";
        assert_eq!(long(&format!("{add}UPDATE many SET n = 1")), ["1:1"]);
        assert_eq!(long(&format!("{add}DO $$ BEGIN END $$")), ["1:1"]);
        for read in [
            "CREATE TABLE x AS SELECT * FROM big",
            "INSERT INTO small SELECT n FROM many",
            "UPDATE small SET n = (SELECT n FROM big)",
            "CREATE MATERIALIZED VIEW x AS SELECT * FROM big",
        ] {
            assert_eq!(long(&format!("{add}{read}")), ["1:1"], "{read}");
        }
        assert!(long(&format!("{add}SELECT setval('sq', 5)")).is_empty(), "that is no work");
        assert!(long(&format!("{add}UPDATE small SET n = 1")).is_empty());
        assert!(long(&format!("UPDATE many SET n = 1;\n{add}")).is_empty(), "it is taken afterwards");
        assert!(
            long(&format!("-- lockgate: no-transaction\n{add}UPDATE many SET n = 1")).is_empty(),
            "it is over by then"
        );
    }

    #[test]
    fn the_next_statement_that_takes_long_is_the_one_that_is_told() {
        let script = "ALTER TABLE big ADD COLUMN n int;\nSELECT 1;\nUPDATE many SET n = 1;\nALTER TABLE big ADD COLUMN m int;\n\
                      DO $$ BEGIN END $$;\nALTER TABLE big ADD COLUMN o int";
        let settings = Settings::default();
        let subject = Subject::for_tests(script, Some("SELECT 1"), Asked::of(None, &settings));
        let part = subject.up.as_ref().unwrap();
        let line = |offset: usize| part.walk().to(offset).1;
        let takes_long = [false, false, true, false, true, false].into_iter();
        let later: Vec<Option<usize>> = super::later(part, takes_long).into_iter().map(|at| at.map(line)).collect();
        assert_eq!(later, [Some(3), Some(3), Some(5), Some(5), None, None]);
    }

    #[test]
    fn thousands_of_statements_are_gone_through_once() {
        let pair = "CREATE TABLE t (b int REFERENCES big (id)); CREATE INDEX ON t (b);\n";
        let begin = std::time::Instant::now();
        assert_eq!(brief(&pair.repeat(20)).len(), 20);
        let few = begin.elapsed();
        assert_eq!(brief(&pair.repeat(2000)).len(), 2000);
        let many = begin.elapsed() - few;
        // A hundred times as many; were each compared with all after it, it would be some thousand times as long.
        assert!(many < few * 1000, "{few:?}, then {many:?}");
    }

    #[test]
    fn of_the_way_down_only_what_takes_long_is_told() {
        let told = |rule: &str, down: &str| found(rule, "SELECT 1", Some(down), Some(&database()));
        assert!(told("brief-blocking-lock", "DROP TABLE big").is_empty());
        assert_eq!(told("blocking-lock", "ALTER TABLE big ALTER COLUMN n TYPE int"), ["1:1"]);
    }

    #[test]
    fn the_other_end_of_a_foreign_key_counts() {
        assert_eq!(long("ALTER TABLE new ADD FOREIGN KEY (x) REFERENCES big (id)"), ["1:1"]);
        assert_eq!(brief("DROP TABLE small"), ["1:1"], "its foreign key points at a large one");
        assert!(brief("DROP TABLE new").is_empty());
    }

    #[test]
    fn without_a_database_nothing_is_told() {
        assert!(found("blocking-lock", "CREATE INDEX ON big (n)", Some("SELECT 1"), None).is_empty());
    }

    #[test]
    fn it_can_be_let_pass() {
        assert!(long("-- lockgate: ignore blocking-lock -- at night\nCREATE INDEX ON big (n)").is_empty());
    }
}
