//! diesel: a folder a migration, `<version>_<description>/up.sql` and `down.sql`. The hyphens of a date are no part of the version.

use serde::Deserialize;

use super::{Down, Draft, Found, Layout, Listing, Scripts, Source};
use crate::{error::Problem, migration::Version};

pub(super) struct Diesel;

#[derive(Deserialize)]
struct Metadata {
    #[serde(default = "yes")]
    run_in_transaction: bool,
}

fn yes() -> bool {
    true
}

impl Layout for Diesel {
    fn name(&self) -> &'static str {
        "diesel"
    }

    fn recognises(&self, listing: &Listing) -> bool {
        listing.folders().any(|folder| listing.folder(folder).is_ok_and(|folder| folder.has("up.sql")))
    }

    fn read(&self, listing: &Listing, found: &mut Found) {
        super::pairs::read_own(listing, found);
        for name in listing.files_of_tools() {
            found.stranger(listing, name, "`<version>_<description>/up.sql`");
        }
        for name in listing.folders() {
            let (digits, description) = name.split_once('_').unwrap_or((name, ""));
            let Some(version) = Version::parse(&digits.replace('-', "")) else {
                found.stranger(listing, name, "`<version>_<description>/up.sql`");
                continue;
            };
            match read(listing, name, version.clone(), description) {
                Ok(draft) => found.drafts.push(draft),
                Err(problem) => found.of_versions.push((version, problem)),
            }
        }
    }
}

fn read(listing: &Listing, name: &str, version: Version, description: &str) -> Result<Draft, Problem> {
    let folder = listing.folder(name)?;
    if !folder.has("up.sql") {
        return Err(Problem::new(listing.at(name), "`up.sql` is missing", "add it, or remove the folder"));
    }
    let mut problem = None;
    let mut alone = false;
    for file in folder.files() {
        match file {
            "up.sql" | "down.sql" => {}
            "metadata.toml" => match folder.text(file).text.map(|text| toml::from_str::<Metadata>(&text)) {
                Ok(Ok(metadata)) => alone = !metadata.run_in_transaction,
                Ok(Err(error)) => {
                    problem =
                        Some(Problem::new(folder.at(file), error.message().to_owned(), "see diesel's documentation"));
                }
                Err(unread) => problem = Some(*unread),
            },
            other => {
                let what = "a file that diesel does not read";
                problem = Some(Problem::new(folder.at(other), what, "move it out of the folder"));
            }
        }
    }
    let source = |file: &str| Source::file(&folder, file).without_transaction(alone);
    let down = if folder.has("down.sql") {
        Down::Script(source("down.sql"))
    } else {
        Down::Missing(folder.filename("down.sql"))
    };
    let scripts = Scripts::new(source("up.sql"), down);
    Ok(Draft::sql(version, description, folder.filename("up.sql"), scripts).but(problem))
}
