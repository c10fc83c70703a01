use lockgate_plugin::{Error, Result, config};

pub const KEEP_ORIGINALS: &str = "keep_originals";
pub const BATCH_ROWS: &str = "batch_rows";

/// With tokens of at most 512 characters, a page of the most rows stays below 64 MiB here and in the server.
const BATCH_ROWS_MAX: i64 = 50_000;

/// What the operator chose.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    pub keep_originals: bool,
    pub batch_rows: i64,
}

impl Settings {
    pub fn read() -> Result<Self> {
        let asked = || config::batch_size().map(|rows| i64::from(rows).clamp(1, BATCH_ROWS_MAX));
        Self::of(config::parse(KEEP_ORIGINALS)?, config::parse(BATCH_ROWS)?.or_else(asked))
    }

    fn of(keep_originals: Option<bool>, batch_rows: Option<i64>) -> Result<Self> {
        let batch_rows = batch_rows.unwrap_or(5_000);
        if !(1..=BATCH_ROWS_MAX).contains(&batch_rows) {
            let text = format!("the setting {BATCH_ROWS} is {batch_rows}; it must be from 1 to {BATCH_ROWS_MAX}");
            return Err(Error::new("bad-config", text));
        }
        Ok(Self { keep_originals: keep_originals.unwrap_or(false), batch_rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_settings_nothing_is_kept() {
        assert_eq!(Settings::read(), Ok(Settings { keep_originals: false, batch_rows: 5_000 }));
    }

    #[test]
    fn a_batch_has_a_row_and_an_end() {
        assert_eq!(Settings::of(Some(true), Some(1)), Ok(Settings { keep_originals: true, batch_rows: 1 }));
        for rows in [i64::MIN, 0, BATCH_ROWS_MAX + 1] {
            assert!(Settings::of(None, Some(rows)).is_err(), "{rows}");
        }
    }
}
