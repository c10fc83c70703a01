//! What the server reports of a command that takes long, in its views `pg_stat_progress_*` (PostgreSQL manual, "Progress Reporting").

use tokio_postgres::Row;

use crate::bar::{self, Picture, Speed};

/// The question of what the process whose pid is `$1` is at, for a server of this major version: a row where it is at something that is
/// reported. The last columns are pairs, of what is done and of the whole: lockers, blocks, tuples, bytes, partitions.
pub(super) fn sql(major: u32) -> String {
    let of = |view: &str, index: &str, command: &str, phase: &str, numbers: &str| {
        format!(
            "SELECT {command}, {phase}, c.relname::text, {index}, {numbers}
             FROM pg_catalog.pg_stat_progress_{view} p LEFT JOIN pg_catalog.pg_class c ON c.oid = p.relid WHERE p.pid = $1"
        )
    };
    let none = "NULL::bigint, NULL::bigint";
    let mut views = vec![
        of(
            "create_index",
            "(SELECT i.relname::text FROM pg_catalog.pg_class i WHERE i.oid = p.index_relid)",
            "p.command",
            "p.phase",
            "lockers_done, lockers_total, blocks_done, blocks_total, tuples_done, tuples_total, NULL::bigint, NULL::bigint,
             partitions_done, partitions_total",
        ),
        of(
            "vacuum",
            "NULL::text",
            "'VACUUM'",
            "p.phase",
            &format!(
                "{none}, CASE p.phase WHEN 'scanning heap' THEN heap_blks_scanned WHEN 'vacuuming heap' THEN heap_blks_vacuumed END,
                 heap_blks_total, {none}, {none}, {none}"
            ),
        ),
    ];
    // Later versions may do it in other words; what is lost then is a bar.
    if major < 19 {
        views.push(of(
            "cluster",
            "NULL::text",
            "p.command",
            "p.phase",
            &format!(
                "{none}, heap_blks_scanned, heap_blks_total, heap_tuples_written, heap_tuples_scanned, {none}, {none}"
            ),
        ));
    }
    if major >= 13 {
        let blocks = format!("{none}, sample_blks_scanned, sample_blks_total, {none}, {none}, {none}");
        views.push(of("analyze", "NULL::text", "'ANALYZE'", "p.phase", &blocks));
    }
    if major >= 14 {
        let tuples = format!("{none}, {none}, tuples_processed, NULL::bigint, bytes_processed, bytes_total, {none}");
        views.push(of("copy", "NULL::text", "p.command", "''", &tuples));
    }
    views.join("\nUNION ALL\n")
}

/// What it reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reported {
    /// `CREATE INDEX CONCURRENTLY`
    command: String,
    /// In the server's words; COPY has none.
    phase: String,
    /// Missing where this session does not see it yet.
    relation: Option<String>,
    index: Option<String>,
    lockers: Pair,
    blocks: Pair,
    tuples: Pair,
    bytes: Pair,
    partitions: Pair,
}

/// What is done, and the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Pair(u64, u64);

impl Reported {
    /// A row of the answer.
    pub(super) fn of(row: &Row) -> Self {
        let number = |at: usize| row.get::<_, Option<i64>>(at).and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
        let pair = |at: usize| Pair(number(at), number(at + 1));
        Self {
            command: row.get(0),
            phase: row.get(1),
            relation: row.get(2),
            index: row.get(3),
            lockers: pair(4),
            blocks: pair(6),
            tuples: pair(8),
            bytes: pair(10),
            partitions: pair(12),
        }
    }

    /// How far it is: what is done of the phase under way, since nobody knows how long the others take.
    pub(super) fn picture(&self, speed: &mut Speed) -> Picture {
        let object = match (&self.index, &self.relation) {
            (Some(index), _) => format!(" {index}"),
            (None, Some(relation)) => format!(" on {relation}"),
            (None, None) => String::new(),
        };
        let what = format!("{}{object}", self.command);
        let phase = self.phase.replace("building index: ", "").replace("index validation: ", "validation: ");
        let (amount, share) = match self.amount() {
            Some((Pair(done, of), unit)) => {
                let of = Some(of).filter(|of| *of > 0);
                let left = match of {
                    // Who is waited for ends when they like.
                    Some(of) if unit != "transactions" => speed.left(&format!("{what} {phase}"), done, of),
                    _ => None,
                };
                let amount = if unit == "bytes" { of_bytes(done, of) } else { bar::amount(done, of, unit) };
                (Some(amount + &bar::left(left)), of.map(|of| (done, of)))
            }
            None => (None, None),
        };
        let partitions = match self.partitions {
            Pair(_, 0) => None,
            Pair(done, of) => Some(format!("partition {} of {of}", (done + 1).min(of))),
        };
        let told = [amount, Some(phase).filter(|phase| !phase.is_empty()), partitions];
        Picture { what, share, told: told.into_iter().flatten().collect::<Vec<_>>().join(", ") }
    }

    /// The pair that moves in this phase; the others stand where an earlier one left them.
    fn amount(&self) -> Option<(Pair, &'static str)> {
        let phase = self.phase.as_str();
        if phase.starts_with("waiting") {
            return Some((self.lockers, "transactions")).filter(|(pair, _)| pair.1 > 0);
        }
        let pairs = match phase {
            "" => [(self.bytes, "bytes"), (self.tuples, "rows")],
            _ if ["loading", "sorting", "writing"].iter().any(|word| phase.contains(word)) => {
                [(self.tuples, "rows"), (Pair::default(), "")]
            }
            _ if phase.starts_with("building")
                || ["scanning", "acquiring", "vacuuming heap"].iter().any(|word| phase.contains(word)) =>
            {
                [(self.blocks, "blocks"), (self.tuples, "rows")]
            }
            _ => return None,
        };
        let whole = pairs.iter().find(|(pair, _)| pair.1 > 0);
        whole.or_else(|| pairs.iter().rev().find(|(pair, _)| pair.0 > 0)).copied()
    }
}

fn of_bytes(done: u64, of: Option<u64>) -> String {
    let of = of.map(|of| format!(" of {}", crate::report::bytes(of))).unwrap_or_default();
    crate::report::bytes(done) + &of
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(phase: &str) -> Reported {
        Reported {
            command: "CREATE INDEX".into(),
            phase: phase.into(),
            relation: Some("orders".into()),
            lockers: Pair(1, 2),
            blocks: Pair(400, 1_600),
            tuples: Pair(30, 120),
            ..Reported::default()
        }
    }

    fn told(reported: &Reported) -> String {
        let Picture { what, told, .. } = reported.picture(&mut Speed::default());
        format!("{what}: {told}")
    }

    #[test]
    fn the_number_that_moves_in_a_phase_is_told() {
        for (phase, words) in [
            ("initializing", "initializing"),
            ("waiting for writers before build", "1 of 2 transactions (50 %), waiting for writers before build"),
            ("building index: scanning table", "400 of 1,600 blocks (25 %), scanning table"),
            ("building index: loading tuples in tree", "30 of 120 rows (25 %), loading tuples in tree"),
            ("index validation: scanning table", "400 of 1,600 blocks (25 %), validation: scanning table"),
            ("rebuilding index", "rebuilding index"),
            ("index validation: sorting tuples", "30 of 120 rows (25 %), validation: sorting tuples"),
        ] {
            assert_eq!(told(&index(phase)), format!("CREATE INDEX on orders: {words}"));
        }
        assert_eq!(index("building index: scanning table").picture(&mut Speed::default()).share, Some((400, 1_600)));
    }

    #[test]
    fn what_nobody_knows_is_not_told() {
        let empty = Reported {
            lockers: Pair(0, 0),
            blocks: Pair(0, 0),
            tuples: Pair(0, 0),
            ..index("waiting for old snapshots")
        };
        assert_eq!(told(&empty), "CREATE INDEX on orders: waiting for old snapshots");
        let unseen = Reported { relation: None, blocks: Pair(0, 0), tuples: Pair(7, 0), ..index("building index") };
        assert_eq!(told(&unseen), "CREATE INDEX: 7 rows, building index");
        assert_eq!(unseen.picture(&mut Speed::default()).share, None);
    }

    #[test]
    fn partitions_are_counted_and_an_index_has_its_name() {
        let reported = Reported {
            index: Some("orders_at".into()),
            partitions: Pair(2, 12),
            ..index("building index: scanning table")
        };
        assert_eq!(
            told(&reported),
            "CREATE INDEX orders_at: 400 of 1,600 blocks (25 %), scanning table, partition 3 of 12"
        );
    }

    #[test]
    fn a_copy_counts_bytes_where_their_number_is_known_and_rows_elsewhere() {
        let copy = Reported {
            command: "COPY FROM".into(),
            tuples: Pair(5_000, 0),
            bytes: Pair(1_024, 2_048),
            ..Reported::default()
        };
        assert_eq!(told(&copy), "COPY FROM: 1.0 KiB of 2.0 KiB");
        assert_eq!(told(&Reported { bytes: Pair(1_024, 0), ..copy }), "COPY FROM: 5,000 rows");
    }

    #[test]
    fn only_what_a_version_has_is_asked() {
        let asked = |major: u32, view: &str| sql(major).contains(&format!("pg_stat_progress_{view} "));
        assert!(asked(12, "create_index") && !asked(12, "analyze") && !asked(12, "copy"));
        assert!(asked(15, "analyze") && asked(15, "copy") && asked(15, "cluster") && !asked(19, "cluster"));
    }
}
