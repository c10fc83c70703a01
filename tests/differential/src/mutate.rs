//! Texts made of pieces of others, and of what tells quotes, comments and operators apart.

/// Fragments at which scanners go wrong.
const FRAGMENTS: &[&str] = &[
    "'",
    "''",
    "\"",
    "\"\"",
    "\\",
    "\\'",
    "$$",
    "$a$",
    "$b$",
    "$",
    "$1",
    "--",
    "/*",
    "*/",
    "/*/",
    "*",
    "/",
    "+",
    "-",
    "@-",
    "<>",
    "|",
    "e'",
    "E'a\\'b'",
    "U&'",
    "u&\"",
    "x'",
    "b'1'",
    "n'",
    "'\n'",
    "' -- x\n'",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\u{c}",
    " ",
    ";",
    ";;",
    "(",
    ")",
    "[",
    "]",
    ".",
    "..",
    "::",
    ":=",
    ":",
    ",",
    "a$b$",
    "é",
    "\u{a0}",
    "1.",
    ".5",
    "1e5",
    "1_000",
    "0x1F",
    "begin",
    "end",
    "case",
    "select",
    "create function f() ",
    "copy t from stdin;\n",
    "\\.\n",
    "UESCAPE '!'",
    "{",
    "}",
    "\u{1}",
    "#",
    "~",
    "!",
    "%",
    "^",
    "&",
    "`",
    "=",
    "<",
    ">",
];

/// Makes texts, the same ones for the same seed.
pub struct Mutator<'a> {
    state: u64,
    texts: Vec<&'a str>,
}

impl<'a> Mutator<'a> {
    /// Begins with this seed; the pieces are taken from these texts.
    pub fn new(seed: u64, texts: Vec<&'a str>) -> Self {
        Self { state: seed, texts }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap_or(0)
    }

    /// Some characters of a text.
    fn piece(&mut self, most: usize) -> &'a str {
        let n = self.below(self.texts.len());
        let text = self.texts[n];
        let start = floor(text, self.below(text.len()));
        let end = floor(text, start + self.below(most.min(text.len() - start + 1)));
        &text[start..end.max(start)]
    }

    /// The next text.
    pub fn text(&mut self) -> String {
        let mut text = self.piece(400).to_owned();
        for _ in 0..1 + self.below(8) {
            let at = floor(&text, self.below(text.len() + 1));
            match self.below(4) {
                0 => {
                    let piece = self.piece(60);
                    text.insert_str(at, piece);
                }
                1 => {
                    let end = floor(&text, at + self.below(12)).max(at);
                    text.replace_range(at..end, "");
                }
                _ => {
                    let n = self.below(FRAGMENTS.len());
                    text.insert_str(at, FRAGMENTS[n]);
                }
            }
        }
        text
    }
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
