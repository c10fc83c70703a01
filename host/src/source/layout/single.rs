//! sqlx's simple migrations: `<version>_<description>.sql`, which has no way down.

use super::{Down, Found, Layout, Listing, Scripts, any_line, lines, pairs::Pairs, read_single_files};

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
            if let Some((line, _)) = lines(file.text()).0.find(|(_, text)| marks_a_way_down(text)) {
                let what = "what looks like the beginning of a way down, which this layout does not have";
                let next = "name the layout of the folder (`--layout`), or write the comment in other words";
                return Err((line, what.into(), next.into()));
            }
            Ok(Scripts::new(file.clone().heeding_its_head(), Down::Never))
        });
    }
}

/// Whether a comment of few words speaks of the way down: the mark of a tool that is not known, below which stands what must never run here.
fn marks_a_way_down(line: &str) -> bool {
    const TOOLS: [&str; 6] = ["migrate", "migration", "goose", "dbmate", "tern", "sql"];
    const WAYS: [&str; 5] = ["down", "undo", "rollback", "revert", "downgrade"];
    let line = line.trim();
    if !line.starts_with("--") && !line.starts_with('#') && !line.starts_with("/*") {
        return false;
    }
    let words = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_ascii_lowercase).collect();
    let first = words.iter().find(|word| !TOOLS.contains(&word.as_str()));
    words.len() <= 3 && first.is_some_and(|word| WAYS.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_of_an_unknown_tool_is_told_from_a_comment() {
        for mark in [
            "-- +migrate Down",
            "-- DOWN",
            "--//@UNDO",
            "-- rollback:",
            "-- migration down",
            "/* down */",
            "# --- !Downs down",
        ] {
            let is_one = !mark.contains("!Downs");
            assert_eq!(marks_a_way_down(mark), is_one, "{mark}");
        }
        for comment in [
            "-- Down the road this will be dropped",
            "-- see the rollback plan of March",
            "select 1 -- down",
            "-- breakdown",
        ] {
            assert!(!marks_a_way_down(comment), "{comment}");
        }
    }
}
