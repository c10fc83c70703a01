//! Prisma: a folder a migration, `<time>_<name>/migration.sql`. Prisma has no way down; a `down.sql` that somebody made by its guide is one.

use super::{Down, Draft, Found, Layout, Listing, Scripts, Source, numbered};
use crate::error::Problem;

pub(super) struct Prisma;

const SCRIPT: &str = "migration.sql";
const FORM: &str = "`<version>_<name>/migration.sql`";

impl Layout for Prisma {
    fn name(&self) -> &'static str {
        "prisma"
    }

    fn recognises(&self, listing: &Listing) -> bool {
        listing.folders().any(|folder| listing.folder(folder).is_ok_and(|folder| folder.has(SCRIPT)))
    }

    fn read(&self, listing: &Listing, found: &mut Found) {
        super::pairs::read_own(listing, found);
        for name in listing.files_of_tools().filter(|name| *name != "migration_lock.toml") {
            found.stranger(listing, name, FORM);
        }
        for name in listing.folders() {
            let folder = match listing.folder(name) {
                Ok(folder) => folder,
                Err(problem) => {
                    found.problems.push(problem);
                    continue;
                }
            };
            match numbered(name) {
                Some((version, description)) if folder.has(SCRIPT) => {
                    let down = if folder.has("down.sql") {
                        Down::Script(Source::file(&folder, "down.sql"))
                    } else {
                        Down::Never
                    };
                    let scripts = Scripts::new(Source::file(&folder, SCRIPT), down);
                    found.drafts.push(Draft::sql(version, description, folder.filename(SCRIPT), scripts));
                }
                Some((version, _)) => {
                    let what = format!("`{SCRIPT}` is missing");
                    let problem = Problem::new(listing.at(name), what, "add it, or remove the folder");
                    found.of_versions.push((version, problem));
                }
                None => found.stranger(listing, name, FORM),
            }
        }
    }
}
