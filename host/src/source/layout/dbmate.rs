//! dbmate: one file with `-- migrate:up` and `-- migrate:down`, each with `transaction:false` where it is to run without one.

use super::{Down, Found, Layout, Listing, Scripts, after_mark, any_line, lines, read_single_files, stray};

pub(super) struct Dbmate;

const MARK: &str = "migrate:";

impl Layout for Dbmate {
    fn name(&self) -> &'static str {
        "dbmate"
    }

    fn recognises(&self, listing: &Listing) -> bool {
        any_line(listing, |line| after_mark(line, MARK).is_some())
    }

    fn read(&self, listing: &Listing, found: &mut Found) {
        read_single_files(listing, found, &[], |file| {
            let (marks, count) = lines(file.text());
            // The line, and whether it asks for no transaction.
            let (mut up, mut down) = (None, None);
            for (line, mark) in marks.filter_map(|(line, text)| Some((line, after_mark(text, MARK)?))) {
                let mut words = mark.split_whitespace();
                let way = match words.next() {
                    Some("up") if up.is_none() && down.is_none() => &mut up,
                    Some("down") if up.is_some() && down.is_none() => &mut down,
                    _ => {
                        let what = format!("`migrate:{mark}` where dbmate has no place for it");
                        return Err((line, what, "write `migrate:up` once, then `migrate:down` once".into()));
                    }
                };
                let mut alone = false;
                for option in words {
                    match option {
                        "transaction:false" => alone = true,
                        "transaction:true" => alone = false,
                        _ => {
                            let what = format!("`{option}` is no option of dbmate's");
                            return Err((line, what, "dbmate knows `transaction:false`".into()));
                        }
                    }
                }
                *way = Some((line, alone));
            }
            let Some((up, up_alone)) = up else {
                return Err((0, "there is no `-- migrate:up`".into(), "add it above the first statement".into()));
            };
            if let Some(stray) = stray(file, up) {
                return Err(stray);
            }
            let end = down.map_or(count, |(line, _)| line);
            let scripts = file.part(up + 1..end).without_transaction(up_alone);
            let down = down.map(|(line, alone)| file.part(line + 1..count).without_transaction(alone));
            Ok(Scripts::new(scripts, down.map_or(Down::Never, Down::Script)))
        });
    }
}
