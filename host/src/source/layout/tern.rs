//! tern: one file, cut by the line `---- create above / drop below ----`; without it there is no way down.

use super::{Down, Found, Layout, Listing, Scripts, any_line, lines, read_single_files};

pub(super) struct Tern;

const CONF: &str = "tern.conf";
const CUT: &str = "---- create above / drop below ----";

impl Layout for Tern {
    fn name(&self) -> &'static str {
        "tern"
    }

    fn recognises(&self, listing: &Listing) -> bool {
        any_line(listing, |line| line.contains(CUT) || disables_transaction(line)) || listing.has(CONF)
    }

    fn read(&self, listing: &Listing, found: &mut Found) {
        read_single_files(&listing.without(&[CONF]), found, &[], |file| {
            let (all, count) = lines(file.text());
            let (mut cut, mut alone) = (None, false);
            for (line, text) in all {
                if text.contains("{{") {
                    let next = "write the text that it stands for; templates are not part of what is applied";
                    return Err((line, "a template".into(), next.into()));
                }
                // tern looks for the first anywhere.
                if cut.is_none() && text.contains(CUT) {
                    cut = Some(line);
                }
                alone |= disables_transaction(text);
            }
            let part = |lines| file.part(lines).without_transaction(alone);
            let down = cut.map_or(Down::Never, |cut| Down::Script(part(cut + 1..count)));
            Ok(Scripts::new(part(0..cut.unwrap_or(count)), down))
        });
    }
}

fn disables_transaction(line: &str) -> bool {
    line.trim_start().starts_with("----") && line.trim_matches(['-', ' ']) == "tern: disable-tx"
}
