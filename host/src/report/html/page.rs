//! What all reports share: the frame, its parts in their order, and the style.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{chart, prose};

/// The style of every report. It is part of the program, and the only thing in a report that is not escaped.
const STYLE: &str = include_str!("style.css");

/// Nothing is fetched and nothing is run, whatever a name or a message of others would like.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// A part of a report, with a heading of its own and a link to it.
pub struct Part {
    /// The end of its link.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What it says.
    pub body: Markup,
}

impl Part {
    /// A part; where there is nothing to say, leave it out.
    pub fn new(id: &'static str, title: &'static str, body: Markup) -> Self {
        Self { id, title, body }
    }
}

/// A report.
pub struct Page {
    /// The title of the window.
    pub title: String,
    /// What kind of report it is: `Rehearsal`.
    pub kind: &'static str,
    /// Of what.
    pub subject: String,
    /// What came of it, in a sentence.
    pub conclusion: Conclusion,
    /// Facts that are read first: what, and how much.
    pub facts: Vec<(&'static str, Markup)>,
    /// The parts in order.
    pub parts: Vec<Part>,
    /// The last line.
    pub colophon: Markup,
}

/// What came of it.
pub struct Conclusion {
    /// Whether that is good.
    pub good: bool,
    /// One word or two: `Passed`.
    pub word: &'static str,
    /// The sentence after it.
    pub sentence: String,
}

impl Page {
    /// The file.
    pub fn into_html(self) -> String {
        let Self { title, kind, subject, conclusion, facts, parts, colophon } = self;
        let (tone, sign) = if conclusion.good { ("good", "✓") } else { ("bad", "✗") };
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    title { (title) }
                    link rel="icon" href="data:,";
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#main" { "Skip to the report" }
                    header.top {
                        p.kind { "Lockgate · " (kind) }
                        h1 { (subject) }
                        p.conclusion.(tone) {
                            strong { span aria-hidden="true" { (sign) " " } (conclusion.word) }
                            " " (prose(&conclusion.sentence))
                        }
                        dl.facts {
                            @for (what, value) in &facts { div { dt { (what) } dd { (value) } } }
                        }
                    }
                    nav aria-label="Parts of this report" {
                        ol { @for part in &parts { li { a href={ "#" (part.id) } { (part.title) } } } }
                    }
                    main id="main" tabindex="-1" {
                        (chart::patterns())
                        @for part in &parts {
                            section id=(part.id) aria-labelledby={ (part.id) "-title" } {
                                h2 id={ (part.id) "-title" } { (part.title) }
                                (part.body)
                            }
                        }
                    }
                    footer.end { p { (colophon) } }
                }
            }
        }
        .into_string()
    }
}
