use lockgate_plugin::{Batch, Checkpoint, Reader, Result, Row, Uuid};

/// How far the batches are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last session of the batches before.
    pub after: Option<Uuid>,
    done: u64,
    total: u64,
}

impl Position {
    /// The position that the batch before left; before the first, the start, with as many to do as `count` says.
    pub fn of(checkpoint: &Checkpoint, db: &Reader, count: &str) -> Result<Self> {
        if let Some((after, done, total)) = checkpoint.read()? {
            return Ok(Self { after: Some(after), done, total });
        }
        let total: i64 = db.query_one(count, &[])?.get(0)?;
        Ok(Self { after: None, done: 0, total: u64::try_from(total).unwrap_or_default() })
    }

    /// The position after a page. Sessions may have come since they were counted.
    pub fn after_page(self, page: &[Row]) -> Result<Self> {
        let Some(last) = page.last() else { return Ok(self) };
        let done = self.done + page.len() as u64;
        Ok(Self { after: Some(last.get("id")?), done, total: self.total.max(done) })
    }

    pub fn done(&self) -> u64 {
        self.done
    }

    /// Whether there is more to do after a page of so many rows.
    pub fn batch(&self, page_rows: usize, batch_rows: i64) -> Batch {
        match self.after {
            Some(after) if page_rows as i64 == batch_rows => {
                Batch::more((after, self.done, self.total), self.done, self.total)
            }
            _ => Batch::Finished,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: Position = Position { after: Some(Uuid(7)), done: 5, total: 12 };

    #[test]
    fn the_next_batch_goes_on_behind_a_full_page() {
        let batch = POSITION.batch(5, 5);
        let checkpoint = Checkpoint::after(&batch).unwrap();
        assert_eq!(checkpoint.read(), Ok(Some((Uuid(7), 5_u64, 12_u64))));
        assert!(matches!(batch, Batch::More(more) if more.done == 5 && more.total == Some(12)));
    }

    #[test]
    fn a_page_that_is_not_full_is_the_last() {
        assert_eq!(POSITION.batch(4, 5), Batch::Finished);
        assert_eq!(Position { after: None, ..POSITION }.batch(0, 5), Batch::Finished);
    }
}
