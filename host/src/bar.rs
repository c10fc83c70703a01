//! How far something long is, drawn at a terminal while it lasts: a line that is drawn over itself, and leaves nothing behind. What is
//! logged meanwhile goes above it.

use std::{
    io,
    sync::OnceLock,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{
    columns::{columns, cut},
    printable::printable,
    report::{thousands, words},
};

/// What is done sooner is not drawn: it would only flicker.
const DRAW_AFTER: Duration = Duration::from_millis(400);

/// A bar that is narrower tells nothing; a wider one no more.
const BAR_MIN: usize = 8;
const BAR_MAX: usize = 30;

/// So much of what is being done is always told.
const WHAT_MIN: usize = 10;

/// A terminal that does not say how many columns it has.
const COLUMNS: usize = 80;

/// All bars of this process: they stand below one another.
static SCREEN: OnceLock<MultiProgress> = OnceLock::new();

/// Writes to the terminal while no bar is there; those that were are drawn again below.
pub fn above<T>(write: impl FnOnce() -> T) -> T {
    match SCREEN.get() {
        Some(screen) => screen.suspend(write),
        None => write(),
    }
}

/// How far something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// What is being done.
    pub what: String,
    /// The share of it that is done, as a fraction, where that is known.
    pub share: Option<(u64, u64)>,
    /// The same in words.
    pub told: String,
}

impl Picture {
    /// In one line of at most so many columns: `001_fill [====>     ] 3,000 of 12,000 (25 %)`. Where there is little room the bar goes first,
    /// then the end of what is being done: the numbers are what is looked for.
    fn line(&self, most: usize) -> String {
        let text = format!("{} {}", self.what, self.told);
        let room = most.saturating_sub(columns(&text) + " []".len()).min(BAR_MAX);
        match self.share {
            Some((done, of)) if of > 0 && room >= BAR_MIN => {
                let full = usize::try_from(u128::from(done.min(of)) * room as u128 / u128::from(of)).unwrap_or(room);
                let head = if full < room { ">" } else { "" };
                format!("{} [{:<room$}] {}", self.what, format!("{}{head}", "=".repeat(full)), self.told)
            }
            _ => {
                let room = most.saturating_sub(columns(&self.told) + 1).max(WHAT_MIN);
                cut(&format!("{} {}", cut(&self.what, room), self.told), most)
            }
        }
    }
}

/// A bar; it is gone when this is dropped.
#[derive(Debug)]
pub struct Bar {
    wanted: bool,
    begin: Instant,
    drawn: Option<ProgressBar>,
}

impl Bar {
    /// Of something that begins now. Nothing is ever drawn unless it is wanted.
    pub fn new(wanted: bool) -> Self {
        Self { wanted, begin: Instant::now(), drawn: None }
    }

    /// Whether anything would be drawn: what is shown need not be found out otherwise.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Draws how far it is, unless it has only begun.
    pub fn show(&mut self, picture: &Picture) {
        if self.wanted && self.begin.elapsed() >= DRAW_AFTER {
            // Names are others' words.
            self.drawn.get_or_insert_with(line).set_message(printable(&picture.line(width())));
        }
    }

    /// Takes it away for good.
    pub fn end(&mut self) {
        self.wanted = false;
        self.clear();
    }

    /// Takes it away, until there is something to show again.
    pub fn clear(&mut self) {
        if let Some(line) = self.drawn.take() {
            line.finish_and_clear();
            if let Some(screen) = SCREEN.get() {
                screen.remove(&line);
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

fn line() -> ProgressBar {
    let line = SCREEN.get_or_init(MultiProgress::new).add(ProgressBar::no_length());
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        line.set_style(style);
    }
    line
}

/// The last column stays free: a line that fills the terminal makes some of them begin the next.
fn width() -> usize {
    let columns = terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| usize::from(width.0));
    columns.filter(|columns| *columns > 0).unwrap_or(COLUMNS) - 1
}

/// `3,000 of 12,000 rows (25 %)`, or without the unit or the whole where there is none. A whole that was only guessed may be too small:
/// then it is not told.
pub fn amount(done: u64, of: Option<u64>, unit: &str) -> String {
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    match of.filter(|of| *of >= done && *of > 0) {
        Some(of) => {
            let percent = u128::from(done) * 100 / u128::from(of);
            format!("{} of {}{unit} ({percent} %)", thousands(done), thousands(of))
        }
        None => format!("{}{unit}", thousands(done)),
    }
}

/// `, 8 s left`, where that is known; nothing where all is done.
pub fn left(left: Option<Duration>) -> String {
    let in_words = |left: Duration| match left.as_secs() + u64::from(left.subsec_nanos() > 0) {
        0 => String::new(),
        s @ ..60 => format!(", {s} s left"),
        s => format!(", {} left", words::whole(s.saturating_mul(1_000))),
    };
    left.map(in_words).unwrap_or_default()
}

/// What still has to be done, and how fast that goes: from how far it has come since it was first asked of the same thing.
#[derive(Debug, Default)]
pub struct Speed(Option<(String, u64, Instant)>);

impl Speed {
    /// How long it still takes; `None` where it has not moved yet.
    pub fn left(&mut self, thing: &str, done: u64, of: u64) -> Option<Duration> {
        match &self.0 {
            Some((same, from, since)) if same == thing && *from <= done => {
                let (moved, rest) = (done - from, of.saturating_sub(done));
                (moved > 0).then(|| Duration::from_secs_f64(since.elapsed().as_secs_f64() * rest as f64 / moved as f64))
            }
            _ => {
                self.0 = Some((thing.to_owned(), done, Instant::now()));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(what: &str, share: Option<(u64, u64)>) -> Picture {
        let told = share.map_or("under way".into(), |(done, of)| amount(done, Some(of), "rows"));
        Picture { what: what.into(), share, told }
    }

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        let line = |done| picture("fill", Some((done, 100))).line(79);
        assert_eq!(line(0), "fill [>                             ] 0 of 100 rows (0 %)");
        assert_eq!(line(50), "fill [===============>              ] 50 of 100 rows (50 %)");
        assert_eq!(line(100), "fill [==============================] 100 of 100 rows (100 %)");
        assert_eq!(picture("fill", None).line(79), "fill under way");
        assert_eq!(picture("fill", Some((0, 0))).line(79), "fill 0 rows", "there is no share of nothing");
    }

    #[test]
    fn where_there_is_little_room_the_bar_goes_first_and_then_the_end() {
        let picture = picture("001_fill_注文", Some((3_000, 12_000)));
        assert_eq!(picture.line(59), "001_fill_注文 [===>           ] 3,000 of 12,000 rows (25 %)");
        assert_eq!(picture.line(49), "001_fill_注文 3,000 of 12,000 rows (25 %)");
        assert_eq!(picture.line(40), "001_fill_注… 3,000 of 12,000 rows (25 %)");
        assert_eq!(picture.line(19), "001_fill_… 3,000 o…");
        for most in 1..100 {
            assert!(columns(&picture.line(most)) <= most, "{most}");
        }
    }

    #[test]
    fn a_whole_that_was_guessed_too_small_is_not_told() {
        assert_eq!(amount(3_000, Some(12_000), ""), "3,000 of 12,000 (25 %)");
        assert_eq!(amount(3_000, Some(2_000), "rows"), "3,000 rows");
        assert_eq!(amount(3_000, None, ""), "3,000");
        assert_eq!(left(Some(Duration::from_millis(62_000))), ", 1 min 2 s left");
        assert_eq!(left(Some(Duration::from_millis(7_400))), ", 8 s left");
        assert_eq!(left(Some(Duration::ZERO)), "");
        assert_eq!(left(None), "");
    }

    #[test]
    fn what_is_left_follows_from_how_far_it_came_since_it_was_first_seen() {
        let mut speed = Speed::default();
        assert_eq!(speed.left("scan", 40, 100), None);
        assert_eq!(speed.left("scan", 40, 100), None, "it has not moved");
        let (thing, from, since) = speed.0.take().unwrap();
        speed.0 = Some((thing, from, since.checked_sub(Duration::from_secs(10)).unwrap()));
        let left = speed.left("scan", 60, 100).unwrap();
        assert!((20..22).contains(&left.as_secs()), "20 took 10 s, 40 are left: {left:?}");
        assert_eq!(speed.left("sort", 60, 100), None, "something else has begun");
        assert_eq!(speed.left("sort", 10, 100), None, "it has begun again");
    }

    #[test]
    fn what_is_not_wanted_or_has_only_begun_is_not_drawn() {
        let picture = picture("fill", None);
        let mut bar = Bar::new(false);
        bar.begin = Instant::now().checked_sub(DRAW_AFTER).unwrap();
        bar.show(&picture);
        assert!(bar.drawn.is_none());
        let mut bar = Bar::new(true);
        bar.show(&picture);
        assert!(bar.drawn.is_none());
        bar.begin = Instant::now().checked_sub(DRAW_AFTER).unwrap();
        bar.show(&picture);
        assert!(bar.drawn.is_some());
        bar.clear();
        assert!(bar.drawn.is_none());
        assert_eq!(above(|| 7), 7);
    }
}
