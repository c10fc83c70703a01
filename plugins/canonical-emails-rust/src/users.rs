use std::fmt::{self, Display, Formatter};

use lockgate_plugin::{Reader, Result, Row, Uuid, Value};

/// Rows of a page. With addresses of at most 254 characters, a page stays at a megabyte or two.
const PAGE_SIZE: usize = 5_000;

const SHOWN_MAX: usize = 5;

/// Users to be named in a message: the first few, and how many there are. By id, never by address.
#[derive(Default)]
pub struct Users {
    first: Vec<Uuid>,
    count: usize,
}

impl Users {
    pub fn push(&mut self, id: Uuid) {
        self.count += 1;
        if self.first.len() < SHOWN_MAX {
            self.first.push(id);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Display for Users {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let first: Vec<_> = self.first.iter().map(Uuid::to_string).collect();
        write!(f, "{} of users ({}", self.count, first.join(", "))?;
        match self.count - self.first.len() {
            0 => write!(f, ")"),
            more => write!(f, " and {more} more)"),
        }
    }
}

/// Calls `visit` with the rows of `select`, of which the first column is `users.id`, page by page.
pub fn pages(db: &Reader, select: &str, mut visit: impl FnMut(&[Row]) -> Result<()>) -> Result<()> {
    let sql = format!("{select} WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT {PAGE_SIZE}");
    let mut last = Value::Null;
    loop {
        let rows = db.query(&sql, &[last])?;
        let Some(row) = rows.last() else { return Ok(()) };
        visit(&rows)?;
        last = row.get::<Uuid>(0)?.into();
    }
}
