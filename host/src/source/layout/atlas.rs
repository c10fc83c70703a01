//! Atlas: `<version>_<description>.sql` with `atlas.sum` beside them. Atlas works the way down out when it is asked; there is no script.

use super::{Down, Found, Layout, Listing, Scripts, after_mark, lines, read_single_files};

pub(super) struct Atlas;

pub(super) const SUM: &str = "atlas.sum";

impl Layout for Atlas {
    fn name(&self) -> &'static str {
        "atlas"
    }

    fn recognises(&self, listing: &Listing) -> bool {
        listing.has(SUM)
    }

    fn read(&self, listing: &Listing, found: &mut Found) {
        read_single_files(&listing.without(&[SUM]), found, &[], |file| {
            let mut alone = false;
            for (line, text) in
                lines(file.text()).0.take_while(|(_, text)| text.trim().is_empty() || text.starts_with("--"))
            {
                let Some(directive) = after_mark(text, "atlas:") else { continue };
                let mut words = directive.split_whitespace();
                match (words.next(), words.next()) {
                    (Some("txmode"), Some("none")) => alone = true,
                    (Some("txmode"), _) | (Some("nolint" | "import" | "txtar"), _) => {}
                    (Some("checkpoint"), _) => {
                        let next =
                            "baseline the database at this version (`lockgate baseline`), or move the file elsewhere";
                        return Err((
                            line,
                            "a checkpoint, which stands for all migrations before it".into(),
                            next.into(),
                        ));
                    }
                    _ => {
                        let what = format!("`atlas:{directive}` is not known here");
                        return Err((line, what, "write the script so that it does without".into()));
                    }
                }
            }
            Ok(Scripts::new(file.clone().without_transaction(alone), Down::Never))
        });
    }
}
