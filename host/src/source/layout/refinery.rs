//! refinery: `V<version>__<description>.sql`, and `U<version>__<description>.sql`, which is a migration as well and may come late; there is no
//! way down. Where there are no `U` files it looks like Flyway's, and is read as that; it is only asked for by name.

use super::{
    Down, Draft, Found, Layout, Listing, Scripts, Source,
    flyway::{Named, named},
};

pub(super) struct Refinery;

impl Layout for Refinery {
    fn name(&self) -> &'static str {
        "refinery"
    }

    fn recognises(&self, _: &Listing) -> bool {
        false
    }

    fn read(&self, listing: &Listing, found: &mut Found) {
        const FORM: &str = "`V<version>__<description>.sql` or `U<version>__<description>.sql`";
        super::pairs::read_own(listing, found);
        for name in listing.files_of_tools() {
            let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
            match (named(stem), ending) {
                (Some(Named::Versioned(version, words) | Named::Undo(version, words)), "sql") => {
                    let scripts = Scripts::new(Source::file(listing, name), Down::Never);
                    found.drafts.push(Draft::sql(version, words, listing.filename(name), scripts));
                }
                (Some(Named::Versioned(version, words) | Named::Undo(version, words)), "rs") => {
                    found.drafts.push(Draft::foreign(version, words, listing, name));
                }
                _ => found.stranger(listing, name, FORM),
            }
        }
        for folder in listing.folders() {
            found.stranger(listing, folder, FORM);
        }
    }
}
