//! graphile-migrate: `committed/<number>[-<name>].sql`, each with a head of lines `--! …`; there is no way down. What is not committed yet
//! (`current.sql`, `current/`, `fixtures/`) is no migration.

use super::{Down, Draft, Found, Layout, Listing, Scripts, Source, numbered};
use crate::error::Problem;

pub(super) struct Graphile;

const COMMITTED: &str = "committed";

impl Layout for Graphile {
    fn name(&self) -> &'static str {
        "graphile-migrate"
    }

    fn recognises(&self, listing: &Listing) -> bool {
        listing.folders().any(|folder| folder == COMMITTED)
    }

    fn read(&self, listing: &Listing, found: &mut Found) {
        super::pairs::read_own(listing, found);
        for name in listing.files_of_tools().filter(|name| *name != "current.sql") {
            found.stranger(listing, name, "`committed/<number>.sql`");
        }
        for folder in listing.folders() {
            match folder {
                "current" | "fixtures" => {}
                COMMITTED => match listing.folder(folder) {
                    Ok(committed) => read(&committed, found),
                    Err(problem) => found.problems.push(problem),
                },
                _ => found.stranger(listing, folder, "`committed/<number>.sql`"),
            }
        }
    }
}

fn read(committed: &Listing, found: &mut Found) {
    for name in committed.files() {
        let Some((version, description)) = name.strip_suffix(".sql").and_then(numbered) else {
            found.stranger(committed, name, "`committed/<number>.sql`");
            continue;
        };
        let file = Source::file(committed, name);
        let mut head = file.text().lines().take_while(|line| line.starts_with("--!") || line.trim().is_empty());
        let alone = head.any(|line| line.trim_start_matches("--!").trim() == "no-transaction");
        let placeholder = file.text().lines().position(|line| line.contains(":DATABASE_")).map(|line| {
            let at = format!("{}:{}", committed.at(name), line + 1);
            let next = "let graphile-migrate apply it before Lockgate takes over";
            Problem::new(at, "a placeholder of graphile-migrate's, which the server does not know", next)
        });
        let scripts = Scripts::new(file.without_transaction(alone), Down::Never);
        found.drafts.push(Draft::sql(version, description, committed.filename(name), scripts).but(placeholder));
    }
}
