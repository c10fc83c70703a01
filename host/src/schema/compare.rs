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
