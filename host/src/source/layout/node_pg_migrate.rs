//! node-pg-migrate's SQL files: one file with `-- Up Migration` and `-- Down Migration`.

use super::{Down, Found, Layout, Listing, Scripts, any_line, lines, read_single_files, stray};

pub(super) struct NodePgMigrate;

impl Layout for NodePgMigrate {
    fn name(&self) -> &'static str {
        "node-pg-migrate"
    }

    fn recognises(&self, listing: &Listing) -> bool {
        // The tool takes any comment that begins so; a folder is not told by one that goes on.
        any_line(listing, |line| marks(line, "up") && line.trim_end().to_ascii_lowercase().ends_with("migration"))
    }

    fn read(&self, listing: &Listing, found: &mut Found) {
        read_single_files(listing, found, &["js", "cjs", "mjs", "ts", "cts", "mts"], |file| {
            let (all, count) = lines(file.text());
            let (mut up, mut down) = (None, None);
            for (line, text) in all {
                let twice = |way: &str| {
                    (line, format!("`-- {way} Migration` for the second time"), "keep one of them".to_owned())
                };
                if marks(text, "up") && up.replace(line).is_some() {
                    return Err(twice("Up"));
                }
                if marks(text, "down") && down.replace(line).is_some() {
                    return Err(twice("Down"));
                }
            }
            if let Some(stray) =
                [up, down].into_iter().flatten().min().filter(|_| up.is_some()).and_then(|mark| stray(file, mark))
            {
                return Err(stray);
            }
            // Without marks the whole file is the way up; either part may come first.
            let (up, down) = match (up, down) {
                (Some(up), Some(down)) if down < up => (up + 1..count, Some(down + 1..up)),
                (up, Some(down)) => (up.map_or(0, |up| up + 1)..down, Some(down + 1..count)),
                (up, None) => (up.map_or(0, |up| up + 1)..count, None),
            };
            Ok(Scripts::new(file.part(up), down.map_or(Down::Never, |down| Down::Script(file.part(down)))))
        });
    }
}

/// `-- Up Migration`, whatever the case, the spaces and the dashes.
fn marks(line: &str, way: &str) -> bool {
    let Some(rest) = line.trim_start().strip_prefix("--") else { return false };
    let mut words = rest.trim_start_matches(['-', ' ', '\t']).split_whitespace();
    let is = |word: Option<&str>, what: &str| word.is_some_and(|word| word.eq_ignore_ascii_case(what));
    is(words.next(), way) && words.next().is_some_and(|word| word.to_ascii_lowercase().starts_with("migration"))
}
