//! The host's own tables, watched while a migration works: nobody but the host may write to them or change what they are.

use uuid::Uuid;

use super::{history, journal, progress, progress::of_the_run_sql, quote_ident, quote_literal, seal};

/// The names of the host's own tables, in the schema of the history.
pub const TABLES: [&str; 4] = [history::TABLE, journal::TABLE, progress::TABLE, seal::TABLE];

/// The names of the functions of their triggers, which have no arguments.
pub const FUNCTIONS: [&str; 2] = journal::FUNCTIONS;

/// The names of the host's own tables, quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTables {
    /// `schema_migrations`.
    pub history: String,
    /// Its journal.
    pub journal: String,
    /// How far a migration is.
    pub progress: String,
    /// The seal.
    pub seal: String,
}

impl OwnTables {
    /// Expressions of what the server knows them by, looked up whenever it is asked; NULL for one that is gone.
    pub(super) fn oids(&self) -> [String; 4] {
        self.names().map(|name| format!("pg_catalog.to_regclass({})::pg_catalog.oid", quote_literal(name)))
    }

    /// The same, looked up once, when it is prepared, and again when one of them was changed; an error for one that is gone.
    pub(super) fn prepared_oids(&self) -> [String; 4] {
        self.names().map(|name| format!("{}::pg_catalog.regclass::pg_catalog.oid", quote_literal(name)))
    }

    fn names(&self) -> [&str; 4] {
        [&self.history, &self.journal, &self.progress, &self.seal]
    }
}

/// How many rows the host itself has written into its own tables in a transaction.
#[derive(Debug, Clone, Default)]
pub struct OwnWrites {
    /// Into the history.
    pub history_inserted: u8,
    /// From the history.
    pub history_deleted: u8,
    /// Into the journal.
    pub journal: u8,
    /// Into, in and from the progress: inserted, updated, deleted.
    pub progress: [u8; 3],
}

impl OwnWrites {
    /// Writes to the progress alone.
    pub fn of_progress(inserted: u8, updated: u8, deleted: u8) -> Self {
        Self { progress: [inserted, updated, deleted], ..Self::default() }
    }

    /// Of history, journal and progress: inserted, updated, deleted.
    pub(super) fn counted(&self) -> [[u8; 3]; 3] {
        [[self.history_inserted, 0, self.history_deleted], [self.journal, 0, 0], self.progress]
    }
}

/// The rows of the catalog that make a table what it is: the catalog, the column of its table, and which of them are meant. Not the columns that every
/// table has, which nobody can change, nor the constraints that version 18 says `NOT NULL` by, as the columns themselves do in every version.
const CATALOG: [(&str, &str); 9] = [
    ("pg_class", "oid"),
    ("pg_attribute", "attnum OPERATOR(pg_catalog.>) 0 AND attrelid"),
    ("pg_attrdef", "adrelid"),
    ("pg_constraint", "contype OPERATOR(pg_catalog.<>) 'n' AND conrelid"),
    ("pg_index", "indrelid"),
    ("pg_inherits", "inhparent"),
    ("pg_policy", "polrelid"),
    ("pg_rewrite", "ev_class"),
    ("pg_trigger", "tgrelid"),
];

/// So many of each there are, and of the functions of their triggers, where nobody has added anything to what the host makes.
const AS_MADE: [usize; 10] = [4, 53, 10, 9, 5, 0, 0, 0, 6, 2];

/// What tables are: it changes when one of them is emptied, replaced, given away or changed in any way. It has which transaction wrote each row of
/// the catalog that belongs to one, or to the function of one of its triggers.
///
/// Which row was written by which of them tells no more: whatever is changed was written by the transaction that changes it, which has written
/// none of the rows that were there before it began, and whatever is gone is one less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature(String);

impl Signature {
    /// As the server tells it, by [`signature_sql`]: the tables, then a list for each catalog.
    pub(super) fn of(told: &str) -> Self {
        let mut lists = told.split(' ').map(str::to_owned);
        let tables = lists.next();
        let written = lists.map(|list| {
            let mut written: Vec<&str> = list.trim_matches(['{', '}']).split(',').collect();
            written.sort_unstable();
            written.join(",")
        });
        Self(tables.into_iter().chain(written).collect::<Vec<_>>().join(" "))
    }

    /// Whether the tables have no more than the host has made: no trigger, rule, check or default of anybody else's, which would run when the host
    /// writes.
    pub(super) fn is_as_made(&self) -> bool {
        let rows = |list: &str| list.split(',').filter(|row| !row.is_empty()).count();
        self.0.split(' ').skip(1).map(rows).eq(AS_MADE)
    }
}

/// What the host has written of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenRows {
    /// The digest of its row in the history.
    pub history: String,
    /// Which row its entry in the journal is.
    pub journal: String,
}

/// Which row `t` is: another one as soon as it is changed.
const WHICH_ROW_SQL: &str = "pg_catalog.concat(t.ctid, ' ', t.xmin)";

/// Asks which row the last entry of the journal is.
pub(super) fn last_entry_question(journal: &str) -> String {
    format!("SELECT {WHICH_ROW_SQL} FROM {journal} t ORDER BY t.id DESC LIMIT 1")
}

/// What the host's own tables are and hold.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnState {
    signature: Signature,
    rows: String,
}

impl OwnState {
    /// As the server tells it, by [`state_sql`].
    pub(super) fn of(signature: &str, rows: String) -> Self {
        Self { signature: Signature::of(signature), rows }
    }
}

/// An expression of the [`Signature`] of the tables of these numbers (expressions themselves), in whatever order the rows come: to sort them would
/// take the server a third longer.
///
/// Every operator with its schema: the migration may have changed the search path. A list for each catalog, because a union of them takes
/// the server three times as long.
pub(super) fn signature_sql(oids: &[String; 4]) -> String {
    let oids = oids.join(", ");
    let written = CATALOG.map(|(catalog, of_table)| {
        format!("ARRAY(SELECT xmin FROM pg_catalog.{catalog} WHERE {of_table} OPERATOR(pg_catalog.=) ANY (own.oids))")
    });
    format!(
        "(SELECT pg_catalog.concat_ws(' ', own.oids, {},
                 ARRAY(SELECT p.xmin FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_trigger t ON t.tgfoid OPERATOR(pg_catalog.=) p.oid
                       WHERE t.tgrelid OPERATOR(pg_catalog.=) ANY (own.oids) AND NOT t.tgisinternal))
          FROM (SELECT ARRAY[{oids}]) own (oids))",
        written.join(", ")
    )
}

/// An expression that is true where nothing of the tables of these numbers (expressions themselves) uses a function, a type or an operator that is
/// not the server's own, but for the triggers of the journal: no default, check, index or column runs anything of anybody else's. What every
/// server has is in no list of what is used.
pub(super) fn is_plain_sql(oids: &[String; 4], schema: &str) -> String {
    let (oids, schema) = (oids.join(", "), quote_ident(schema));
    let functions = FUNCTIONS.map(|name| quote_literal(&format!("{schema}.{}()", quote_ident(name))));
    let functions = functions.map(|name| format!("{name}::pg_catalog.regprocedure")).join(", ");
    let is = "OPERATOR(pg_catalog.=)";
    let catalogs = ["pg_proc", "pg_type", "pg_operator", "pg_opclass"];
    let catalogs = catalogs.map(|name| format!("'pg_catalog.{name}'::pg_catalog.regclass::pg_catalog.oid")).join(", ");
    let used = format!("uses.refclassid {is} ANY (ARRAY[{catalogs}])");
    format!(
        "NOT EXISTS (SELECT FROM pg_catalog.pg_depend part
                     JOIN pg_catalog.pg_depend uses ON uses.classid {is} part.classid AND uses.objid {is} part.objid
                     WHERE part.refclassid {is} 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
                       AND part.refobjid {is} ANY (ARRAY[{oids}])
                       AND part.deptype {is} ANY (ARRAY['a', 'i']::pg_catalog.\"char\"[]) AND {used}
                       AND NOT uses.refobjid {is} ANY (ARRAY[{functions}]::pg_catalog.oid[]))
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend uses
                         WHERE uses.classid {is} 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
                           AND uses.objid {is} ANY (ARRAY[{oids}]) AND {used})"
    )
}

/// An expression of the rows that this session has inserted, updated and deleted in the table of this number (an expression itself) since it
/// last reported, which it never does within a transaction; those that it took back included. NULL where the server keeps no statistics.
pub(super) fn writes_sql(oid: &str) -> String {
    let count = |what: &str| format!("pg_catalog.pg_stat_get_xact_tuples_{what}({oid})");
    format!(
        "CASE WHEN pg_catalog.current_setting('track_counts') OPERATOR(pg_catalog.=) 'on'
              THEN ARRAY[coalesce({}, 0), coalesce({}, 0), coalesce({}, 0)]::pg_catalog.int8[] END",
        count("inserted"),
        count("updated"),
        count("deleted")
    )
}

/// An expression that is true where the open transaction has written to one of the tables of these numbers, or may have: whoever writes takes such
/// a lock first, keeps it to the end, and cannot hide it. The counts of [`writes_sql`] can be hidden by whoever may set `track_counts`.
///
/// Only where the host has not written yet. It looks through the locks of all sessions (20 µs on a server with little to do), so once a
/// transaction.
pub(super) fn written_sql(oids: &[String; 4]) -> String {
    let [history, journal, progress, _] = oids;
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_lock_status()
                 WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND mode OPERATOR(pg_catalog.=) 'RowExclusiveLock'
                   AND relation OPERATOR(pg_catalog.=) ANY (ARRAY[{history}, {journal}, {progress}]))"
    )
}

/// Expressions of what journal and progress hold: the rows of the progress, which rows the entries of the journal up to this number are, and which
/// those of this run beyond it. An entry that is written anew is another row.
pub(super) fn noted_sql(own: &OwnTables, run_id: Uuid, up_to: &str) -> String {
    let OwnTables { journal, progress, .. } = own;
    format!(
        "(SELECT pg_catalog.string_agg(t::pg_catalog.text, ';' ORDER BY t.version) FROM {progress} t),
         (SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
                     pg_catalog.string_agg({WHICH_ROW_SQL}, ';' ORDER BY t.id), 'UTF8')), 'hex')
          FROM {journal} t WHERE t.id OPERATOR(pg_catalog.<=) {up_to}),
         (SELECT pg_catalog.string_agg({WHICH_ROW_SQL}, ';' ORDER BY t.id) FROM {journal} t
          WHERE t.id OPERATOR(pg_catalog.>) {up_to} AND t.run_id::pg_catalog.uuid OPERATOR(pg_catalog.=) '{run_id}'::pg_catalog.uuid)"
    )
}

/// Two expressions of what the tables are and hold, for where no transaction can take it back; without a pause, which an operator may
/// begin or end at any time.
pub(super) fn state_sql(own: &OwnTables) -> String {
    let OwnTables { history, journal, progress, seal } = own;
    let rows = |table: &str, row: &str| {
        format!("(SELECT pg_catalog.string_agg({row}, ';' ORDER BY t.version) FROM {table} t)")
    };
    format!(
        "{}, pg_catalog.concat_ws('|', {}, {}, (SELECT pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.max(id)) FROM {journal}
                               WHERE event OPERATOR(pg_catalog.<>) ALL (ARRAY['paused', 'unpaused'])),
                              (SELECT pg_catalog.count(*) FROM {seal}))",
        signature_sql(&own.oids()),
        rows(history, "t::pg_catalog.text"),
        rows(progress, &of_the_run_sql("t")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_has_no_order_of_rows_and_all_else() {
        let told = "{16,17,18,19} {7,7,7,9} {3,10} {}";
        let same = |other: &str| Signature::of(told) == Signature::of(other);
        assert!(same("{16,17,18,19} {9,7,7,7} {10,3} {}"));
        for other in [
            "{17,16,18,19} {7,7,7,9} {3,10} {}",
            "{16,17,18,NULL} {7,7,7,9} {3,10} {}",
            "{16,17,18,19} {7,7,9} {3,10} {}",
            "{16,17,18,19} {7,7,9,9} {3,10} {}",
            "{16,17,18,19} {7,7,7,3} {9,10} {}",
            "{16,17,18,19} {7,7,7,9} {3,10} {11}",
            "{16,17,18,19} {7,7,7,9} {3,11} {}",
            "",
        ] {
            assert!(!same(other), "{other}");
        }
    }
}
