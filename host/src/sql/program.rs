//! A migration made of SQL files, as a [`Program`].

use async_trait::async_trait;

use super::{Origin, Script};
use crate::{
    error::{Cause, Finding, Problem, ProgramError, Severity},
    migration::Direction,
    postgres::Handle,
    printable::printable,
    step::{Batch, Description, OwnChecks, Program, Step},
    value::{Rows, Value},
};

/// The scripts of one migration, cut into statements.
#[derive(Debug, Clone)]
pub struct SqlFiles {
    /// `.up.sql`; missing when only the down script is known, from the history.
    pub up: Option<Script>,
    /// `.down.sql`.
    pub down: Option<Script>,
    /// `.preflight.sql`: statements that must return only true before the migration runs.
    pub preflight: Option<Script>,
    /// `.verify.sql`: statements that must return only true before the migration's `up` commits.
    pub verify: Option<Script>,
}

/// Runs SQL files.
pub struct SqlProgram {
    files: SqlFiles,
    description: Description,
}

impl SqlProgram {
    /// A program that runs these files.
    pub fn new(files: SqlFiles) -> Self {
        let irreversible = files.down.is_none().then(|| "it has no down script".to_owned());
        let asked = |script: &Option<Script>| script.as_ref().map(|s| s.directives().timeouts).unwrap_or_default();
        let (up, down) = (asked(&files.up), asked(&files.down));
        Self { files, description: Description { irreversible, up, down, ..Description::default() } }
    }

    /// A program of which only the down script is left, as the history stored it.
    ///
    /// # Errors
    /// When the script does not lex.
    pub fn from_history(version: &str, down: &str) -> Result<Self, Vec<Problem>> {
        let down = Script::parse(down, Origin::History(version.to_owned()))?;
        Ok(Self::new(SqlFiles { up: None, down: Some(down), preflight: None, verify: None }))
    }
}

#[async_trait]
impl Program for SqlProgram {
    fn describe(&self) -> &Description {
        &self.description
    }

    fn one_script(&self, direction: Direction) -> Option<&Script> {
        let script = match direction {
            Direction::Up => self.files.up.as_ref()?,
            Direction::Down => self.files.down.as_ref()?,
        };
        Some(script).filter(|script| script.is_one_step())
    }

    fn checks(&self, direction: Direction) -> OwnChecks {
        let is_up = direction == Direction::Up;
        OwnChecks { before: is_up && self.files.preflight.is_some(), after: is_up && self.files.verify.is_some() }
    }

    async fn preflight(&self, db: &Handle) -> Result<Vec<Finding>, ProgramError> {
        all_true(self.files.preflight.as_ref(), "", db).await
    }

    async fn plan(&self, direction: Direction, _db: &Handle) -> Result<Vec<Step>, ProgramError> {
        let script = match direction {
            Direction::Up => &self.files.up,
            Direction::Down => &self.files.down,
        };
        Ok(script.as_ref().map(Script::steps).unwrap_or_default())
    }

    async fn run(&self, _: Direction, step: &str, _: &Handle) -> Result<(), ProgramError> {
        Err(no_step(step))
    }

    async fn run_batch(
        &self,
        _: Direction,
        step: &str,
        _: Option<&[u8]>,
        _: Option<u64>,
        _: &Handle,
    ) -> Result<Batch, ProgramError> {
        Err(no_step(step))
    }

    async fn verify(&self, direction: Direction, db: &Handle) -> Result<Vec<Finding>, ProgramError> {
        match direction {
            Direction::Up => {
                // A dump leaves an empty search path behind; what is undone after the check anyway may be set back before it.
                all_true(self.files.verify.as_ref(), SEARCH_PATH, db).await
            }
            Direction::Down => Ok(Vec::new()),
        }
    }
}

/// Sets an empty search path to what the session began with. Where it is not empty, the settings, of which there are hundreds, are not read.
const SEARCH_PATH: &str = "SELECT CASE WHEN pg_catalog.current_setting('search_path') OPERATOR(pg_catalog.=) ANY (ARRAY['', '\"\"']) THEN
    (SELECT pg_catalog.set_config(name, reset_val, true) FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'search_path') END";

fn no_step(step: &str) -> ProgramError {
    ProgramError { at: None, cause: Cause::Host(format!("a SQL file has no step `{step}`")) }
}

/// Runs every statement, behind something of the host's; each must return at least one row, and nothing but true.
async fn all_true(script: Option<&Script>, before: &str, db: &Handle) -> Result<Vec<Finding>, ProgramError> {
    let mut findings = Vec::new();
    let Some(script) = script else { return Ok(findings) };
    if let Some((statement, _)) = script.statements().find(|(statement, _)| statement.data.is_some()) {
        let text = "a check takes no data: it is a query".to_owned();
        return Err(ProgramError { at: Some(script.place_of(statement)), cause: Cause::Script(text) });
    }
    let (statements, texts): (Vec<_>, Vec<&str>) = script.statements().unzip();
    let asked = db.query_each(before, &texts, |n, rows| {
        if let Some(message) = objection(&rows) {
            let at = script.place_of(statements[n]);
            findings.push(Finding::new(Severity::Block, "not-true", format!("{message}, at {at}")));
        }
    });
    asked.await.map_err(|(n, error)| script.error(statements[n].start, n, error))?;
    Ok(findings)
}

fn objection(rows: &Rows) -> Option<String> {
    if rows.rows.is_empty() || rows.columns.is_empty() {
        return Some("the statement returned nothing, which proves nothing".into());
    }
    rows.rows.iter().flat_map(|row| row.iter().zip(&rows.columns)).find_map(|(value, column)| match value {
        Value::Bool(true) => None,
        Value::Bool(false) => Some(format!("`{}` is false", printable(&column.name))),
        Value::Null => Some(format!("`{}` is null, not true", printable(&column.name))),
        _ => Some(format!("`{}` is of type {}, not a boolean", printable(&column.name), printable(&column.type_name))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Column;

    fn result(values: Vec<Value>) -> Rows {
        Rows {
            columns: vec![Column { name: "claim".into(), type_name: "bool".into(), type_oid: 16 }],
            rows: values.into_iter().map(|v| vec![v]).collect(),
        }
    }

    #[test]
    fn only_true_is_true() {
        assert_eq!(objection(&result(vec![Value::Bool(true), Value::Bool(true)])), None);
        for values in [vec![], vec![Value::Bool(true), Value::Bool(false)], vec![Value::Null], vec![Value::Int4(1)]] {
            assert!(objection(&result(values)).is_some());
        }
    }
}
