//! `down-leaves-behind`: the way up makes what the way down never removes, so that the migration cannot be applied again.

use super::super::{
    Found, View,
    objects::{Kind, Object},
    subject::Part,
};

pub(in super::super) fn check<'a>(view: &View<'a>) -> Vec<Found<'a>> {
    let (Some(up), Some(down)) = (&view.subject.up, &view.subject.down) else { return Vec::new() };
    // What code removes cannot be read.
    if down.statements().iter().any(|statement| statement.objects.unknown) {
        return Vec::new();
    }
    let gone_again: Vec<(usize, &Object)> = dropped(up).collect();
    let removed: Vec<&Object> = dropped(down).map(|(_, object)| object).collect();
    let cascades = down.statements().iter().any(|statement| statement.objects.cascades);
    let mut found = Vec::new();
    for (i, statement) in up.statements().iter().enumerate() {
        for object in &statement.objects.made {
            // What may have been there before need not go; nor what has a name that nobody gave it.
            let stays = object.if_need_be || object.name.is_none();
            // By the way up itself, later: it was a help on the way.
            let is_dropped = || gone_again.iter().any(|(at, gone)| *at > i && is_same(object, gone));
            if stays || is_dropped() || is_removed(object, &removed, cascades) || is_made_again(object, down) {
                continue;
            }
            found.push(Found {
                part: up,
                offset: statement.start,
                message: format!("it makes the {object}, which the way down does not remove"),
                help: Some(
                    "drop it in the way down; until then the migration cannot be applied a second time".to_owned(),
                ),
            });
        }
    }
    found
}

/// What a script drops, each with the number of its statement.
fn dropped(part: &Part) -> impl Iterator<Item = (usize, &Object)> {
    let statements = part.statements().iter().enumerate();
    statements.flat_map(|(i, statement)| statement.objects.dropped.iter().map(move |object| (i, object)))
}

fn is_removed(object: &Object, removed: &[&Object], cascades: bool) -> bool {
    removed.iter().any(|gone| {
        is_same(object, gone)
            || goes_with(object, gone)
            || (cascades && object.kind != Kind::Relation && gone.kind != Kind::Column)
    })
}

/// A routine whose former body the way down puts back is no longer the one that the way up made.
fn is_made_again(object: &Object, down: &Part) -> bool {
    let made = down.statements().iter().flat_map(|statement| &statement.objects.made);
    object.kind == Kind::Routine && made.into_iter().any(|again| is_same(object, again))
}

fn is_same(object: &Object, other: &Object) -> bool {
    let (Some(a), Some(b)) = (&object.name, &other.name) else { return false };
    let same_table = match (&object.of, &other.of) {
        (Some(a), Some(b)) => a.fits(b),
        _ => true,
    };
    object.kind == other.kind && a.fits(b) && same_table
}

/// Whether a thing goes where another is dropped.
fn goes_with(object: &Object, gone: &Object) -> bool {
    let Some(name) = &gone.name else { return false };
    match gone.kind {
        Kind::Relation => object.of.as_ref().is_some_and(|of| of.fits(name)),
        // An index, a constraint or statistics go with a column that they are about.
        Kind::Column => {
            matches!(object.kind, Kind::Index | Kind::Constraint | Kind::Statistics)
                && object.of.as_ref().zip(gone.of.as_ref()).is_some_and(|(of, table)| of.fits(table))
        }
        // The constraint and its index are one.
        Kind::Constraint => {
            object.kind == Kind::Index && object.name.as_ref().is_some_and(|index| index.name == name.name)
        }
        Kind::Schema => {
            let schema = object.name.as_ref().and_then(|object| object.schema.as_ref());
            schema.or(object.of.as_ref().and_then(|of| of.schema.as_ref())) == Some(&name.name)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests_of::found;

    fn left(up: &str, down: &str) -> Vec<String> {
        found("down-leaves-behind", up, Some(down), None)
    }

    #[test]
    fn what_stays_is_told_where_it_is_made() {
        for (up, down) in [
            ("CREATE TABLE a ()", "SELECT 1"),
            ("CREATE TABLE a ()", "DROP TABLE b"),
            ("ALTER TABLE a ADD COLUMN x int", "ALTER TABLE a DROP COLUMN y"),
            ("CREATE INDEX i ON a (x)", "DROP INDEX j"),
            ("CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1)", "DROP TABLE q"),
            ("CREATE TYPE t AS ENUM ('a')", "SELECT 1"),
            ("ALTER TABLE a ADD CONSTRAINT c CHECK (x > 0)", ""),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION g()"),
            ("CREATE POLICY p ON a USING (true)", "DROP POLICY q ON a"),
        ] {
            assert_eq!(left(up, down), ["1:1"], "{up} / {down}");
        }
    }

    #[test]
    fn what_goes_with_something_else_is_gone() {
        for (up, down) in [
            ("CREATE TABLE a (); CREATE INDEX i ON a (x); CREATE POLICY p ON a USING (true)", "DROP TABLE a"),
            ("ALTER TABLE a ADD COLUMN x int; CREATE INDEX i ON a (x)", "ALTER TABLE a DROP COLUMN x"),
            ("CREATE SCHEMA s; CREATE TABLE s.a ()", "DROP SCHEMA s CASCADE"),
            (
                "CREATE FUNCTION f() RETURNS trigger LANGUAGE sql AS ''; CREATE TRIGGER g AFTER INSERT ON a EXECUTE FUNCTION f()",
                "DROP FUNCTION f() CASCADE",
            ),
            ("CREATE TABLE IF NOT EXISTS a ()", "SELECT 1"),
            ("CREATE OR REPLACE VIEW v AS SELECT 1", "SELECT 1"),
            ("CREATE TABLE old (); DROP TABLE old", "SELECT 1"),
            ("CREATE INDEX ON a (x)", "SELECT 1"),
            (
                "CREATE TABLE p (n int) PARTITION BY LIST (n); CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1)",
                "DROP TABLE p",
            ),
            (
                "CREATE UNIQUE INDEX CONCURRENTLY i ON a (x); ALTER TABLE a ADD CONSTRAINT c PRIMARY KEY USING INDEX i",
                "ALTER TABLE a DROP CONSTRAINT c",
            ),
            ("ALTER TABLE a ADD CONSTRAINT c UNIQUE (x)", "ALTER TABLE a DROP CONSTRAINT c"),
            ("CREATE TABLE a ()", "DO $$ BEGIN EXECUTE 'DROP TABLE a'; END $$"),
            (
                "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
                "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            ),
        ] {
            assert!(left(up, down).is_empty(), "{up} / {down}");
        }
    }
}
