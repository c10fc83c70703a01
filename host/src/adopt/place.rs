//! Where a tool's table is, and whether it is that tool's.

use crate::{
    error::{Error, Result},
    postgres::{Session, history, quote_ident, quote_literal},
};

use super::Tool;

/// The table that a tool keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// The name that it has unless its user has chosen another.
    pub(crate) table: &'static str,
    /// The schema that the tool makes for itself, if it does.
    pub(crate) schema: Option<&'static str>,
    /// The columns that every version of the tool makes.
    pub(crate) columns: &'static [&'static str],
    /// Whether a further column shows that the table is another's.
    pub(crate) exact: bool,
}

/// A tool's table, found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) columns: Vec<String>,
}

impl Place {
    /// With its schema, quoted.
    pub(crate) fn quoted(&self) -> String {
        self.beside(&self.table)
    }

    /// Another table of the same schema, quoted.
    pub(crate) fn beside(&self, table: &str) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(table))
    }

    /// For people.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }

    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|have| have == column)
    }

    /// Whether it can be this tool's table.
    pub(super) fn fits(&self, shape: &Shape) -> bool {
        self.misfit(shape).is_none()
    }

    /// What keeps it from being this tool's table.
    fn misfit(&self, shape: &Shape) -> Option<String> {
        let missing: Vec<&str> = shape.columns.iter().copied().filter(|column| !self.has(column)).collect();
        if !missing.is_empty() {
            return Some(format!("it has no {}", missing.join(", ")));
        }
        let further = self.columns.iter().map(String::as_str).filter(|have| !shape.columns.contains(have));
        let further: Vec<&str> = further.collect();
        (shape.exact && !further.is_empty()).then(|| format!("it has {} as well", further.join(", ")))
    }
}

/// The name that a table gets that was in the way.
pub(crate) fn set_aside(tool: &str) -> String {
    format!("{}_{}", history::TABLE, tool.replace('-', "_"))
}

/// Finds the table of a tool: in the schema that the tool makes for itself, in the configured one, then along the search path.
///
/// # Errors
/// [`Error::Refused`] when there is none, or one of another shape.
pub(crate) async fn find(session: &Session, tool: &dyn Tool, configured: &str, named: Option<&str>) -> Result<Place> {
    let shape = tool.shape();
    let (own_schema, table) = match named.map(|name| name.split_once('.').map_or((None, name), |(s, t)| (Some(s), t))) {
        Some((schema, table)) => (schema.map(str::to_owned), table.to_owned()),
        None => (None, shape.table.to_owned()),
    };
    let names = [table.clone(), set_aside(tool.name())];
    let places: Vec<Place> = tables(session, &names).await?.into_iter().filter(|place| !is_ours(place)).collect();
    let schemas = match &own_schema {
        Some(schema) => vec![schema.clone()],
        None => schemas(session, configured, shape.schema).await?,
    };
    let mut near: Vec<&Place> = Vec::new();
    for schema in &schemas {
        for name in &names {
            near.extend(places.iter().find(|place| place.schema == *schema && place.table == *name));
        }
    }
    if let Some(place) = near.iter().find(|place| place.misfit(&shape).is_none()) {
        return Ok(Place::clone(place));
    }
    if let Some((place, why)) = near.iter().find_map(|place| Some((place, place.misfit(&shape)?))) {
        let whose = history::maker(place.columns.iter().map(String::as_str));
        let (whose, next) = match whose.filter(|whose| *whose != tool.name()) {
            Some(whose) => (format!(": it seems to be {whose}'s"), format!("say `--from {whose}`, or")),
            None => (String::new(), "look who made it, or".to_owned()),
        };
        return Err(Error::Refused {
            what: format!("the table `{}` is not as {} makes it: {why}{whose}", place.name(), tool.name()),
            next: format!("{next} name the right one with `--table SCHEMA.NAME`"),
        });
    }
    let elsewhere: Vec<String> = places
        .iter()
        .filter(|place| place.misfit(&shape).is_none())
        .map(|place| format!("`{}`", place.name()))
        .collect();
    let what = format!("there is no table `{table}` of {} in the schemas {}", tool.name(), schemas.join(", "));
    Err(Error::Refused {
        what,
        next: if elsewhere.is_empty() {
            format!(
                "check the database, and name the table with `--table SCHEMA.NAME` if it has another name; where {} has never run, \
                 begin with `lockgate up`, or with `lockgate baseline` if the tables are there",
                tool.name()
            )
        } else {
            format!("there is {}: name it with `--table SCHEMA.NAME`", elsewhere.join(" and "))
        },
    })
}

fn is_ours(place: &Place) -> bool {
    history::is_ours(place.columns.iter().map(String::as_str))
}

pub(super) async fn tables(session: &Session, names: &[String]) -> Result<Vec<Place>> {
    let names: Vec<String> = names.iter().map(|name| quote_literal(name)).collect();
    let sql = format!(
        "SELECT n.nspname, c.relname, string_agg(a.attname, E'\\n' ORDER BY a.attnum)
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relkind IN ('r', 'p') AND c.relname IN ({}) GROUP BY n.nspname, c.relname ORDER BY n.nspname, c.relname",
        names.join(", ")
    );
    let rows = session.texts("looking for the table of another tool", &sql).await?;
    let place = |row: Vec<Option<String>>| {
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || row.next().unwrap_or_default();
        Place { schema: next(), table: next(), columns: next().lines().map(str::to_owned).collect() }
    };
    Ok(rows.into_iter().map(place).collect())
}

pub(super) async fn schemas(session: &Session, configured: &str, own: Option<&str>) -> Result<Vec<String>> {
    let path = session.texts("reading the search path", "SELECT unnest(current_schemas(false))").await?;
    let path = path.into_iter().flatten().flatten();
    let mut schemas: Vec<String> = Vec::new();
    // What a tool makes for itself comes first: nobody else puts tables there.
    for schema in own.into_iter().chain([configured]).map(str::to_owned).chain(path) {
        if !schemas.contains(&schema) {
            schemas.push(schema);
        }
    }
    Ok(schemas)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(columns: &[&str]) -> Place {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Place { schema: "a b".into(), table: "t".into(), columns }
    }

    #[test]
    fn a_table_of_another_shape_is_told_apart() {
        let shape = Shape { table: "t", schema: None, columns: &["version", "dirty"], exact: true };
        assert_eq!(place(&["dirty", "version"]).misfit(&shape), None);
        assert_eq!(place(&["version"]).misfit(&shape).unwrap(), "it has no dirty");
        assert_eq!(place(&["version", "dirty", "x"]).misfit(&shape).unwrap(), "it has x as well");
        assert_eq!(place(&["version", "dirty", "x"]).misfit(&Shape { exact: false, ..shape }), None);
    }

    #[test]
    fn names_are_quoted_for_the_server_and_plain_for_people() {
        let place = place(&[]);
        assert_eq!((place.quoted().as_str(), place.name().as_str()), ("\"a b\".\"t\"", "a b.t"));
    }
}
