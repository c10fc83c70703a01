//! goose: one file with `-- +goose Up` and `-- +goose Down`.
//!
//! `StatementBegin` and `StatementEnd` help goose to find the end of a statement; they are comments here.

use super::{Down, Found, Layout, Listing, Scripts, after_mark, any_line, lines, read_single_files, stray};

pub(super) struct Goose;

const MARK: &str = "+goose";

impl Layout for Goose {
    fn name(&self) -> &'static str {
        "goose"
    }

    fn recognises(&self, listing: &Listing) -> bool {
        any_line(listing, |line| after_mark(line, MARK).is_some())
    }

    fn read(&self, listing: &Listing, found: &mut Found) {
        read_single_files(listing, found, &["go"], |file| {
            let (marks, count) = lines(file.text());
            let (mut up, mut down, mut alone) = (None, None, false);
            for (line, mark) in marks.filter_map(|(line, text)| Some((line, after_mark(text, MARK)?))) {
                let wrong = |what: String| (line, what, "see goose's documentation of its annotations".to_owned());
                match mark.to_ascii_uppercase().as_str() {
                    "UP" if up.is_none() && down.is_none() => up = Some(line),
                    "DOWN" if up.is_some() && down.is_none() => down = Some(line),
                    "UP" | "DOWN" => return Err(wrong(format!("`{mark}` where goose has no place for it"))),
                    "NO TRANSACTION" => alone = true,
                    "STATEMENTBEGIN" | "STATEMENTEND" | "ENVSUB OFF" => {}
                    "ENVSUB ON" => {
                        let next = "write the values themselves; the environment is not part of what is applied";
                        return Err((line, "variables of the environment in a script".into(), next.into()));
                    }
                    _ => return Err(wrong(format!("`+goose {mark}` is no annotation of goose's"))),
                }
            }
            let Some(up) = up else {
                return Err((0, "there is no `-- +goose Up`".into(), "add it above the first statement".into()));
            };
            if let Some(stray) = stray(file, up) {
                return Err(stray);
            }
            let part = |lines| file.part(lines).without_transaction(alone);
            let scripts = part(up + 1..down.unwrap_or(count));
            Ok(Scripts::new(scripts, down.map_or(Down::Never, |down| Down::Script(part(down + 1..count)))))
        });
    }
}
