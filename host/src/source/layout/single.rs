//! sqlx's simple migrations: `<version>_<description>.sql`, which has no way down.

use super::{Down, Found, Layout, Listing, Scripts, after_mark, any_line, pairs::Pairs, read_single_files};

pub(super) struct Single;

impl Layout for Single {
    fn name(&self) -> &'static str {
        "single"
    }

    fn recognises(&self, listing: &Listing) -> bool {
        // Beside pairs of files, one without its `.up` is more likely a slip.
        any_line(listing, |_| true) && !Pairs.recognises(listing)
    }

    fn read(&self, listing: &Listing, found: &mut Found) {
        read_single_files(listing, found, &[], |file| {
            // sqlx reads this from the first line only.
            let head = file.text().lines().next().unwrap_or_default();
            let alone = after_mark(head, "no-transaction").is_some_and(str::is_empty);
            Ok(Scripts::new(file.clone().without_transaction(alone), Down::Never))
        });
    }
}
