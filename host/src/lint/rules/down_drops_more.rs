//! `down-drops-more`: the way down drops what the way up did not make, and with it what was there before.

use super::super::{
    Found, View,
    objects::{Kind, Object},
    subject::Part,
};
use crate::locks::RelationName;

pub(in super::super) fn check<'a>(view: &View<'a>) -> Vec<Found<'a>> {
    let (Some(up), Some(down)) = (&view.subject.up, &view.subject.down) else { return Vec::new() };
    // What code makes cannot be read, and an extension makes what it likes.
    let is_opaque = |object: &Object| object.kind == Kind::Extension;
    if up.statements().iter().any(|s| s.objects.unknown || s.objects.made.iter().any(is_opaque)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (i, statement) in down.statements().iter().enumerate() {
        for object in &statement.objects.dropped {
            let here = down.statements()[..i].iter().flat_map(|s| &s.objects.made);
            if !here.chain(made(up)).any(|made| is_of(object, made)) {
                found.push(Found {
                    part: down,
                    offset: statement.start,
                    message: format!(
                        "it drops the {object}, which the way up does not make: what was there before is lost"
                    ),
                    help: Some("leave it, or make it in the way up".to_owned()),
                });
            }
        }
    }
    found
}

fn made(part: &Part) -> impl Iterator<Item = &Object> {
    part.statements().iter().flat_map(|statement| &statement.objects.made)
}

/// Whether what is dropped is what was made, or a part of it.
fn is_of(dropped: &Object, made: &Object) -> bool {
    let same = |a: &Option<_>, b: &Option<_>| match (a, b) {
        (Some(a), Some(b)) => RelationName::fits(a, b),
        _ => false,
    };
    // A name that the server chose may be this one.
    let same_name = made.name.is_none() || same(&dropped.name, &made.name);
    let same_table = dropped.of.is_none() || made.of.is_none() || same(&dropped.of, &made.of);
    if dropped.kind == made.kind && same_name && same_table {
        return true;
    }
    match made.kind {
        // All that belongs to a table goes with it; its sequences and indexes come with it.
        Kind::Relation => same(&dropped.of, &made.name) || is_named_after(dropped, made.name.as_ref()),
        Kind::Column => is_named_after(dropped, made.of.as_ref()),
        Kind::Schema => {
            let schema = |name: &Option<RelationName>| name.as_ref().and_then(|name| name.schema.clone());
            let schema = schema(&dropped.name).or_else(|| schema(&dropped.of));
            schema.is_some() && schema == made.name.as_ref().map(|name| name.name.clone())
        }
        _ => false,
    }
}

/// `t_id_seq` of `t`: the names that the server chooses begin with that of the table, and end with what it is.
fn is_named_after(dropped: &Object, table: Option<&RelationName>) -> bool {
    let endings: &[&str] = match dropped.kind {
        Kind::Relation => &["_seq"],
        Kind::Index => &["_pkey", "_key", "_idx", "_excl"],
        _ => return false,
    };
    let (Some(name), Some(table)) = (&dropped.name, table) else { return false };
    let rest = name.name.strip_prefix(table.name.as_str()).filter(|rest| rest.starts_with('_'));
    rest.is_some_and(|rest| {
        endings.iter().any(|ending| rest.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with(ending))
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::tests_of::found;

    fn more(up: &str, down: &str) -> Vec<String> {
        found("down-drops-more", up, Some(down), None)
    }

    #[test]
    fn what_was_there_before_must_stay() {
        for (up, down) in [
            ("CREATE TABLE a ()", "DROP TABLE b"),
            ("CREATE TABLE a ()", "DROP TABLE a_old"),
            ("ALTER TABLE a ADD COLUMN x int", "DROP TABLE a"),
            ("ALTER TABLE a ADD COLUMN x int", "ALTER TABLE a DROP COLUMN y"),
            ("ALTER TABLE a ADD COLUMN x int", "ALTER TABLE b DROP COLUMN x"),
            ("CREATE INDEX i ON a (x)", "DROP INDEX j"),
            ("CREATE TABLE s.a ()", "DROP TABLE other.a"),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION g()"),
            ("CREATE TYPE t AS ENUM ('a')", "DROP TYPE u"),
            ("CREATE TABLE a ()", "DROP SCHEMA s"),
            ("ALTER TABLE a ADD CONSTRAINT c CHECK (x > 0)", "ALTER TABLE a DROP CONSTRAINT d"),
            ("CREATE TABLE a ()", "DROP TRIGGER g ON b"),
            ("CREATE TABLE a ()", "DROP EXTENSION hstore"),
        ] {
            assert_eq!(more(up, down), ["1:1"], "{up} / {down}");
        }
    }

    #[test]
    fn what_the_way_up_made_may_go() {
        for (up, down) in [
            ("CREATE TABLE a ()", "DROP TABLE IF EXISTS a"),
            ("CREATE TABLE a ()", "DROP TABLE public.a CASCADE"),
            (
                "CREATE TABLE a (id serial, CONSTRAINT c UNIQUE (id))",
                "ALTER TABLE a DROP CONSTRAINT c; DROP SEQUENCE a_id_seq",
            ),
            ("ALTER TABLE a ADD COLUMN x int", "ALTER TABLE a DROP COLUMN x"),
            ("ALTER TABLE a ADD COLUMN x int UNIQUE", "ALTER TABLE a DROP CONSTRAINT a_x_key"),
            ("ALTER TABLE a ADD CHECK (x > 0)", "ALTER TABLE a DROP CONSTRAINT a_x_check"),
            ("CREATE INDEX ON a (x)", "DROP INDEX a_x_idx"),
            ("ALTER TABLE a RENAME TO b", "DROP TABLE b"),
            ("CREATE SCHEMA s; CREATE TABLE s.a ()", "DROP TABLE s.a; DROP SCHEMA s"),
            ("CREATE TRIGGER g AFTER INSERT ON a EXECUTE FUNCTION f()", "DROP TRIGGER g ON a"),
            ("CREATE VIEW v AS SELECT 1", "DROP VIEW v"),
            ("CREATE TABLE b AS SELECT 1", "DROP TABLE b"),
            ("SELECT 1", "CREATE TEMP TABLE x (); DROP TABLE x"),
            // Nobody knows.
            ("DO $$ BEGIN EXECUTE 'CREATE TABLE a ()'; END $$", "DROP TABLE a"),
            ("SELECT make_it()", "DROP TABLE a"),
        ] {
            assert!(more(up, down).is_empty(), "{up} / {down}");
        }
    }
}
