//! Reading a schema.

use std::collections::HashMap;

use super::{
    canonical::canonical,
    catalog,
    kind::Kind,
    object::{Key, Object, Schema},
};
use crate::{
    error::{Error, Result},
    postgres::{Session, history::History, quote_ident},
};

const DOING: &str = "reading the schema of the database";

/// What is asked of the catalog is there from this version on.
const MAJOR_MIN: u32 = 15;

/// What the server's words for an object depend on. Without a search path, every name has its schema.
const SETTINGS: &str =
    "SET LOCAL search_path = pg_catalog; SET LOCAL quote_all_identifiers = off; SET LOCAL TimeZone = 'UTC';
     SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL bytea_output = 'hex';
     SET LOCAL extra_float_digits = 1; SET LOCAL standard_conforming_strings = on; SET LOCAL jit = off";

impl Schema {
    /// Reads it, as one moment sees it, in two round trips. The session must not be in a transaction.
    ///
    /// Left out are what the system and what extensions made, what is temporary, and Lockgate's own tables in the schema of the history
    /// with all that belongs to them. Privileges that were changed on what the system or an extension made are told.
    ///
    /// # Errors
    /// When the catalog cannot be read, and [`Error::Refused`] by a server that is too old for it.
    pub async fn read(session: &Session, history: &History) -> Result<Self> {
        let major = session.server.major();
        if major < MAJOR_MIN {
            return Err(Error::Refused {
                what: format!("schemas cannot be compared on PostgreSQL {major}"),
                next: format!("rehearse where the database and its copy are on PostgreSQL {MAJOR_MIN} or newer"),
            });
        }
        let questions = catalog::questions(history.schema(), major).join(";\n");
        let sql = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {SETTINGS};\n{questions};\nROLLBACK");
        match session.texts(DOING, &sql).await {
            Ok(rows) => Ok(Self::of(rows)?.without_home(history.schema())),
            Err(error) => {
                if !session.is_closed() {
                    session.abort().await?;
                }
                Err(error)
            }
        }
    }

    /// The schema of the history is Lockgate's own where it has made one for it: a first run makes it, and no way down takes it back.
    fn without_home(mut self, schema: &str) -> Self {
        if schema != "public" {
            // The server quotes a name only where that is needed.
            for name in [schema.to_owned(), quote_ident(schema)] {
                let about = format!("schema {name}");
                let is_about =
                    |text: &str| text == about || text.strip_prefix(&about).is_some_and(|rest| rest.starts_with(' '));
                let is_it = |key: &Key| key.kind.as_str() == "schema" && key.name == name;
                self.objects.retain(|key, _| !is_it(key) && !is_about(&key.name));
            }
        }
        self
    }

    /// Of the rows that the questions are answered with.
    pub(super) fn of(rows: Vec<Vec<Option<String>>>) -> Result<Self> {
        let rows: Vec<Row> = rows.into_iter().filter_map(Row::of).collect();
        let mut places: HashMap<String, Place> = HashMap::with_capacity(rows.len());
        for row in &rows {
            if let (Some(address), Some(name)) = (&row.address, &row.name) {
                let key = Key { kind: kind(&row.kind)?, name: name.clone() };
                places.insert(address.clone(), Place { key, target: row.target.clone().unwrap_or_default() });
            }
        }
        let mut schema = Self::default();
        for row in rows {
            schema.add(row, &places)?;
        }
        Ok(schema)
    }

    fn add(&mut self, mut row: Row, places: &HashMap<String, Place>) -> Result<()> {
        let found: Vec<&Place> = row.parents.iter().flatten().filter_map(|address| places.get(address)).collect();
        let kind = kind(&row.kind)?;
        let name = match (row.name.take(), found.first()) {
            (Some(name), _) => name,
            // What is said about an object has no name of its own; where the object is left out, so is what is said about it.
            (None, Some(place)) => {
                row.lead = row.lead.replacen("{}", &place.target, 1);
                format!("{} {}", place.key.kind.as_str(), place.key.name)
            }
            (None, None) => return Ok(()),
        };
        let parents = found.into_iter().map(|place| place.key.clone()).collect();
        let key = Key { kind, name };
        if let (Some(owner), Some(target)) = (&row.owner, &row.target) {
            let owned = Object {
                parents: vec![key.clone()],
                body: format!("ALTER {target} OWNER TO {owner}"),
                ..Object::default()
            };
            self.insert(Key { kind: self::kind("owner")?, name: format!("{} {}", key.kind.as_str(), key.name) }, owned);
        }
        let mut object = Object { parents, lead: row.lead, body: row.body, tail: row.tail, ..Object::default() };
        if kind.is_order() {
            object.order = serde_json::from_str(&object.body).map_err(|e| Error::system(DOING, e))?;
            object.body = format!("({})", object.order.join(", "));
        } else if let Some(last) = row.last {
            object.order = vec![last];
        }
        self.insert(key, object);
        Ok(())
    }

    fn insert(&mut self, key: Key, mut object: Object) {
        object.canonical = canonical(&object.shown());
        self.objects.insert(key, object);
    }
}

fn kind(name: &str) -> Result<Kind> {
    Kind::named(name).ok_or_else(|| Error::system(DOING, format!("there is no kind `{name}`")))
}

/// An object that others belong to, and how DDL speaks of it.
struct Place {
    key: Key,
    target: String,
}

/// A row of an answer: see [`catalog`].
struct Row {
    kind: String,
    name: Option<String>,
    target: Option<String>,
    address: Option<String>,
    parents: [Option<String>; 2],
    owner: Option<String>,
    lead: String,
    body: String,
    tail: String,
    last: Option<String>,
}

impl Row {
    /// Statements that only set something answer with no row, or another.
    fn of(row: Vec<Option<String>>) -> Option<Self> {
        let [kind, name, target, address, parent, second, owner, lead, body, tail, last] = row.try_into().ok()?;
        let [lead, body, tail] = [lead, body, tail].map(Option::unwrap_or_default);
        let parents = [parent, second];
        Some(Self { kind: kind?, name, target, address, parents, owner, lead, body, tail, last })
    }
}
