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
    locks::{Blocks, Placed, Relations},
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
    ByALaterStatement(usize),
}

fn all<'a>(view: &View<'a>, long: bool) -> Vec<Found<'a>> {
    let Some(relations) = view.relations else { return Vec::new() };
    let is_large = |placed: &Placed| {
        placed.table.as_ref().is_some_and(|table| {
            table.bytes >= view.settings.large_bytes || table.rows.is_some_and(|rows| rows >= view.settings.large_rows)
        })
    };
    let mut found = Vec::new();
    for part in view.subject.parts().filter(|part| long || part.side == Side::Up) {
        for (i, statement) in part.statements().iter().enumerate() {
            let blocking = relations.place(&statement.locks);
            for placed in
                blocking.iter().filter(|placed| placed.lock.mode.blocks() > Blocks::Neither && is_large(placed))
            {
                let held = if placed.lock.work.grows() {
                    Some(Held::ByItself)
                } else {
                    later(part, i, relations, &is_large).map(Held::ByALaterStatement)
                };
                if held.is_some() == long {
                    found.push(told(part, statement, placed, held));
                }
            }
        }
    }
    found
}

/// The first statement after this one in its transaction that may take long.
fn later(part: &Part, i: usize, relations: &Relations, is_large: &dyn Fn(&Placed) -> bool) -> Option<usize> {
    let transaction = part.statements()[i].transaction;
    let mut rest = part.statements()[i + 1..].iter().take_while(|statement| statement.transaction == transaction);
    let takes_long = |statement: &&Statement| {
        statement.locks.unknown.is_some()
            || relations.place(&statement.locks).iter().any(|placed| placed.lock.work.grows() && is_large(placed))
    };
    rest.find(takes_long).map(|statement| statement.start)
}

fn told<'a>(part: &'a Part, statement: &Statement, placed: &Placed, held: Option<Held>) -> Found<'a> {
    let (lock, size) = (&placed.lock, placed.table.as_ref());
    let rows = size.and_then(|table| table.rows).map(|rows| format!(", about {} rows", report::thousands(rows)));
    let size = format!("{}{}", report::bytes(size.map_or(0, |table| table.bytes)), rows.unwrap_or_default());
    let table = placed.table.as_ref().map_or_else(|| lock.relation.clone(), |table| table.relation());
    let how_long = match held {
        Some(Held::ByItself) => lock.work.in_words().to_owned(),
        Some(Held::ByALaterStatement(offset)) => {
            let (line, _) = part.locate(offset);
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
    use crate::locks::Relations;

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
        assert!(long(&format!("{add}UPDATE small SET n = 1")).is_empty());
        assert!(long(&format!("UPDATE many SET n = 1;\n{add}")).is_empty(), "it is taken afterwards");
        assert!(
            long(&format!("-- lockgate: no-transaction\n{add}UPDATE many SET n = 1")).is_empty(),
            "it is over by then"
        );
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
