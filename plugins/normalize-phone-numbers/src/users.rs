//! Reading the table in pages, by key.

use lockgate_plugin::{Reader, Result, Row, Uuid};

/// Rows of a page. With phones of at most 64 characters, a page stays below a megabyte.
const PAGE_SIZE: usize = 5_000;

/// Calls `visit` with every row of `query`, page by page. The query selects `users.id` and ends in a WHERE clause.
pub fn pages(db: &Reader, query: &str, mut visit: impl FnMut(&[Row]) -> Result<()>) -> Result<()> {
    let mut last = None::<Uuid>;
    loop {
        let (bound, params) = match last {
            None => ("true", vec![]),
            Some(id) => ("users.id > $1", vec![id.into()]),
        };
        let sql = format!("{query} AND {bound} ORDER BY users.id LIMIT {PAGE_SIZE}");
        let rows = db.query(&sql, &params)?;
        visit(&rows)?;
        match rows.last() {
            Some(row) if rows.len() == PAGE_SIZE => last = Some(row.get("id")?),
            _ => return Ok(()),
        }
    }
}
