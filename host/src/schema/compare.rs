//! What became of the objects between two moments.

use std::collections::HashMap;

use super::{
    change::{Change, Changed},
    object::{INNER, Key, Object, Schema},
};

impl Schema {
    /// What became of the objects until a later moment: tables and what belongs to them first, then all other kinds, each in order of
    /// their names; nothing when nothing did.
    ///
    /// Where something is gone or new as a whole, what belongs to it is told with it: the columns, constraints, indexes, privileges and
    /// comments of a table that was dropped are in the DDL of that table.
    pub fn until(&self, later: &Self) -> Vec<Change> {
        let (before, after) = (Family::of(self), Family::of(later));
        let gone = self.objects.keys().filter(|key| !later.objects.contains_key(key)).map(|key| (key, Changed::Gone));
        let there = later.objects.keys().filter_map(|key| match self.objects.get(key) {
            None => Some((key, Changed::New)),
            Some(earlier) if differs(key, earlier, &later.objects[key]) => Some((key, Changed::Altered)),
            Some(_) => None,
        });
        let mut changed: Vec<(&Key, Changed)> = gone.chain(there).collect();
        changed.sort();
        let is_told_with = |key: &Key, how: Changed| {
            let (here, there) = match how {
                Changed::Gone => (self, later),
                Changed::New => (later, self),
                Changed::Altered => return false,
            };
            key.kind.is_order()
                || here.objects[key]
                    .parents
                    .iter()
                    .any(|p| here.objects.contains_key(p) && !there.objects.contains_key(p))
        };
        changed.retain(|(key, how)| !is_told_with(key, *how));
        let change = |(key, how): (&Key, Changed)| Change {
            kind: key.kind.as_str(),
            name: key.name.clone(),
            how,
            before: (how != Changed::New).then(|| before.ddl(key, how)),
            after: (how != Changed::Gone).then(|| after.ddl(key, how)),
        };
        changed.into_iter().map(change).collect()
    }
}

/// Whether an object that is there at both moments is another. Of an order only what is there at both moments counts: that something
/// came or went is told by itself.
fn differs(key: &Key, earlier: &Object, later: &Object) -> bool {
    if !key.kind.is_order() {
        return earlier.canonical != later.canonical;
    }
    let common = |a: &Object, b: &Object| -> Vec<String> {
        a.order.iter().filter(|name| b.order.contains(name)).cloned().collect()
    };
    common(earlier, later) != common(later, earlier)
}

/// A schema, and what belongs to each object of it.
struct Family<'a> {
    schema: &'a Schema,
    children: HashMap<&'a Key, Vec<&'a Key>>,
}

impl<'a> Family<'a> {
    fn of(schema: &'a Schema) -> Self {
        let mut children: HashMap<&Key, Vec<&Key>> = HashMap::new();
        for (key, object) in &schema.objects {
            if let Some(parent) = object.parents.first() {
                children.entry(parent).or_default().push(key);
            }
        }
        Self { schema, children }
    }

    /// The DDL of an object; of one that is gone or new, with all that belongs to it.
    fn ddl(&self, key: &Key, how: Changed) -> String {
        if how == Changed::Altered {
            return self.schema.objects[key].shown();
        }
        let mut statements = Vec::new();
        let (object, inner) = (&self.schema.objects[key], self.inner(key, &mut statements));
        let body = format!("{}{inner}", object.body.strip_suffix(INNER).unwrap_or(&object.body));
        statements.insert(0, format!("{}{body}{}", object.lead, object.tail));
        statements.join(";\n")
    }

    /// What stands within an object's DDL, or after its body. What is said about it by statements of their own is added to those.
    fn inner(&self, key: &'a Key, statements: &mut Vec<String>) -> String {
        let object = &self.schema.objects[key];
        let children = self.children.get(key).map(Vec::as_slice).unwrap_or_default();
        let holds = object.body.ends_with(INNER);
        let mut within = Vec::new();
        let mut after = String::new();
        for child in self.ordered(children) {
            let belonging = &self.schema.objects[child];
            match child.kind.as_str() {
                _ if child.kind.is_order() => {}
                "default" if key.kind.as_str() == "column" => after.push_str(&belonging.body),
                _ if holds && child.kind.is_inner() => {
                    let inner = self.inner(child, statements);
                    within.push(format!("{}{inner}{}", belonging.body, belonging.tail));
                }
                _ => {
                    let at = statements.len();
                    let inner = self.inner(child, statements);
                    statements.insert(at, format!("{}{inner}", belonging.shown()));
                }
            }
        }
        match (holds, within.is_empty()) {
            (false, _) => after,
            (true, true) => " ()".to_owned(),
            (true, false) => format!(" (\n    {}\n)", within.join(",\n    ")),
        }
    }

    /// Children in the order of their kinds and names; those that have an order of their own, in that.
    fn ordered(&self, children: &[&'a Key]) -> Vec<&'a Key> {
        let orders = children.iter().filter(|key| key.kind.is_order());
        let order: HashMap<&str, usize> = orders
            .flat_map(|key| self.schema.objects[*key].order.iter().enumerate())
            .map(|(i, name)| (name.as_str(), i))
            .collect();
        let mut ordered = children.to_vec();
        let place = |key: &Key| {
            // A column and an enum value have the last part of their name here.
            let last = self.schema.objects[key].order.first();
            let at = last.filter(|_| !key.kind.is_order()).and_then(|name| order.get(name.as_str()));
            (key.kind, at.copied().unwrap_or(usize::MAX))
        };
        ordered.sort_by_key(|key| place(key));
        ordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kind, name, address, what it belongs to, and the parts of its DDL.
    type Row<'a> = [&'a str; 7];

    fn schema(rows: &[Row<'_>]) -> Schema {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let row = |[kind, name, address, parent, lead, body, last]: &Row<'_>| {
            let target = text(&format!("{kind} {name}")).filter(|_| !address.is_empty());
            [
                Some((*kind).to_owned()),
                text(name),
                target,
                text(address),
                text(parent),
                None,
                None,
                text(lead),
                text(body),
                None,
                text(last),
            ]
        };
        Schema::of(rows.iter().map(|r| row(r).to_vec()).collect()).unwrap()
    }

    const TABLE: Row<'_> = ["table", "t", "c:1:0", "", "CREATE TABLE t", " (...)", ""];
    const COLUMN_A: Row<'_> = ["column", "t.a", "c:1:1", "c:1:0", "ALTER TABLE t ADD COLUMN ", "a int", "a"];
    const COLUMN_B: Row<'_> = ["column", "t.b", "c:1:2", "c:1:0", "ALTER TABLE t ADD COLUMN ", "b int", "b"];
    const DEFAULT: Row<'_> = ["default", "t.b", "", "c:1:2", "ALTER TABLE t ALTER COLUMN b SET", " DEFAULT 1", ""];
    const ORDER: Row<'_> = ["column order", "t", "", "c:1:0", "", r#"["b", "a"]"#, ""];
    const COMMENT: Row<'_> = ["comment", "", "", "c:1:2", "COMMENT ON {} IS ", "'x'", ""];
    const PRIVILEGE: Row<'_> = ["privilege", "table t to x", "", "c:1:0", "", "GRANT SELECT ON TABLE t TO x", ""];

    fn told(before: &Schema, after: &Schema) -> Vec<String> {
        let changes = before.until(after).into_iter();
        changes
            .map(|c| format!("{:?} {} {}: {}", c.how, c.kind, c.name, c.after.or(c.before).unwrap_or_default()))
            .collect()
    }

    #[test]
    fn what_comes_with_an_object_is_told_with_it() {
        let whole = schema(&[TABLE, COLUMN_A, COLUMN_B, DEFAULT, ORDER, COMMENT, PRIVILEGE]);
        let ddl = "CREATE TABLE t (\n    b int DEFAULT 1,\n    a int\n);\nCOMMENT ON column t.b IS 'x';\nGRANT SELECT ON TABLE t TO x";
        assert_eq!(told(&Schema::default(), &whole), [format!("New table t: {ddl}")]);
        assert_eq!(told(&whole, &Schema::default()), [format!("Gone table t: {ddl}")]);
        let less = schema(&[TABLE, COLUMN_A, PRIVILEGE]);
        assert_eq!(
            told(&whole, &less),
            ["Gone column t.b: ALTER TABLE t ADD COLUMN b int DEFAULT 1;\nCOMMENT ON column t.b IS 'x'"]
        );
        assert_eq!(told(&whole, &whole.clone()), Vec::<String>::new());
        assert_eq!(whole.len(), 7);
    }

    #[test]
    fn an_order_is_told_only_where_what_stays_is_in_another() {
        let order = |names| schema(&[TABLE, ["column order", "t", "", "c:1:0", "", names, ""]]);
        let (before, more) = (order(r#"["a", "b"]"#), order(r#"["a", "c", "b"]"#));
        assert_eq!(told(&before, &more), Vec::<String>::new());
        assert_eq!(told(&before, &order(r#"["b", "a"]"#)), ["Altered column order t: (b, a)"]);
    }

    #[test]
    fn a_fingerprint_tells_every_object() {
        let all = [TABLE, COLUMN_A, COLUMN_B, DEFAULT, ORDER, COMMENT, PRIVILEGE];
        let whole = schema(&all).fingerprint();
        assert_eq!(whole.len(), 64);
        for left_out in 1..all.len() {
            let rest: Vec<_> = all.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, row)| *row).collect();
            assert_ne!(schema(&rest).fingerprint(), whole, "without {:?}", all[left_out]);
        }
        let without: Vec<_> = all.into_iter().filter(|row| *row != PRIVILEGE).collect();
        assert_eq!(schema(&all).without_roles().fingerprint(), schema(&without).fingerprint());
    }

    #[test]
    fn what_is_said_about_what_is_left_out_is_left_out() {
        assert!(schema(&[COMMENT]).is_empty());
    }
}
