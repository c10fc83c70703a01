//! Migration `{{name}}`.

use lockgate_plugin::{Description, Direction, Error, Finding, Migration, Reader, Result, Step, Transaction, export, log};

struct Plugin;

impl Migration for Plugin {
    fn describe() -> Description {
        Description::new("{{title}}", "your name")
    }

    fn preflight(_db: &Reader) -> Result<Vec<Finding>> {
        Ok(vec![])
    }

    fn plan(direction: Direction, _db: &Reader) -> Result<Vec<Step>> {
        Ok(match direction {
            Direction::Up => vec![Step::sql("CREATE TABLE {{name}}_lines (line text NOT NULL);"), Step::code("fill")],
            Direction::Down => vec![Step::sql("DROP TABLE {{name}}_lines;")],
        })
    }

    fn run(_direction: Direction, step: &str, tx: &Transaction) -> Result<()> {
        match step {
            "fill" => {
                let rows = tx.execute("INSERT INTO {{name}}_lines VALUES ($1)", &["hello".into()])?;
                log::info(format_args!("{rows} rows written"));
                Ok(())
            }
            _ => Err(Error::unknown_step(step)),
        }
    }

    fn verify(direction: Direction, db: &Reader) -> Result<Vec<Finding>> {
        if direction == Direction::Down {
            return Ok(vec![]);
        }
        let rows: i64 = db.query_one("SELECT count(*) FROM {{name}}_lines", &[])?.get(0)?;
        Ok(match rows {
            1 => vec![],
            _ => vec![Finding::block("row-count", format!("there are {rows} rows, not 1"))],
        })
    }
}

export!(Plugin);
