//! Bars along a scale, as SVG that reads without colours, and the table that says the same in words.

use maud::{Markup, PreEscaped, html};

use crate::{locks::Blocks, printable::printable_in, report::words};

/// Everything is laid out for this width and scaled as a whole.
const WIDTH: f64 = 960.0;
/// Where the bars begin and end. To the left are the labels, to the right what the bars say, so that texts never meet.
const LEFT: f64 = 236.0;
const RIGHT: f64 = 684.0;
/// The height of a row, of a heading and of the axis.
const ROW: f64 = 24.0;
const HEAD: f64 = 30.0;
const AXIS: f64 = 30.0;
/// As much of a text as there is room for: letters are about 6.4 wide at this size.
const LABEL_MAX_CHARS: usize = 28;
const NOTE_MAX_CHARS: usize = 40;
/// More rows than this are not a picture.
pub const ROWS_MAX: usize = 40;

/// How a bar is filled. No two differ by their colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Work: plain.
    Work,
    /// Work that failed: crossed.
    Failed,
    /// A lock that nobody waits for: an outline.
    Free,
    /// A lock that writers wait for: stripes.
    Writes,
    /// A lock that everybody waits for: full.
    All,
}

impl Fill {
    /// That of a lock.
    pub fn of(blocks: Blocks) -> Self {
        match blocks {
            Blocks::Neither => Self::Free,
            Blocks::Writes => Self::Writes,
            Blocks::ReadsAndWrites => Self::All,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Failed => "failed",
            Self::Free => "free",
            Self::Writes => "writes",
            Self::All => "all",
        }
    }
}

/// One bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Where it begins and ends, in milliseconds.
    pub from: f64,
    /// See `from`.
    pub to: f64,
    /// What it is.
    pub fill: Fill,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    /// To the left.
    pub label: String,
    /// The bars, the ones to be seen last.
    pub bars: Vec<Bar>,
    /// To the right.
    pub note: String,
}

/// Rows under a heading.
#[derive(Debug)]
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// The rows, at most [`ROWS_MAX`] of which are drawn.
    pub rows: Vec<Row>,
}

/// How lengths become widths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From zero.
    Linear,
    /// Each ten times as much is as far: from the smallest value that is there.
    Logarithmic,
}

/// A picture.
#[derive(Debug)]
pub struct Chart {
    /// What the ids in it begin with: once in a page.
    pub id: String,
    /// Its name.
    pub title: String,
    /// What is to be seen in it, in a sentence or two.
    pub description: String,
    /// What is drawn.
    pub groups: Vec<Group>,
    /// How.
    pub scale: Scale,
}

impl Chart {
    /// The picture.
    pub fn draw(&self) -> Markup {
        let axis = Axis::of(self);
        let bottom: f64 = self.groups.iter().map(|group| HEAD + ROW * shown(group).len() as f64).sum();
        let height = bottom + AXIS;
        let mut y = 0.0;
        let tops: Vec<f64> = self
            .groups
            .iter()
            .map(|group| {
                let top = y;
                y += HEAD + ROW * shown(group).len() as f64;
                top
            })
            .collect();
        html! {
            div.chart tabindex="0" role="region" aria-label=(self.title) {
                svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-labelledby={ (self.id) "-t " (self.id) "-d" } {
                    title id={ (self.id) "-t" } { (self.title) }
                    desc id={ (self.id) "-d" } { (self.description) }
                    g.grid {
                        @for (x, _) in &axis.ticks { line x1=(px(*x)) x2=(px(*x)) y1=(px(HEAD - 6.0)) y2=(px(bottom + 4.0)) {} }
                    }
                    @for (group, top) in self.groups.iter().zip(&tops) {
                        text.group x="0" y=(px(top + 20.0)) { (group.title) }
                        @for (i, row) in shown(group).iter().enumerate() { (axis.row(row, top + HEAD + ROW * i as f64)) }
                    }
                    g.axis {
                        line x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(bottom + 4.0)) y2=(px(bottom + 4.0)) {}
                        @for (x, label) in &axis.ticks {
                            text x=(px(*x)) y=(px(bottom + 20.0)) text-anchor="middle" { (label) }
                        }
                    }
                }
            }
        }
    }

    /// How many rows there is no room for.
    pub fn left_out(&self) -> usize {
        self.groups.iter().map(|group| group.rows.len().saturating_sub(ROWS_MAX)).sum()
    }
}

fn shown(group: &Group) -> &[Row] {
    &group.rows[..group.rows.len().min(ROWS_MAX)]
}

/// A length in the picture, to a tenth.
fn px(length: f64) -> String {
    format!("{:.1}", length)
}

/// From milliseconds to places.
struct Axis {
    scale: Scale,
    begin: f64,
    end: f64,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    fn of(chart: &Chart) -> Self {
        let bars = || chart.groups.iter().flat_map(shown).flat_map(|row| &row.bars);
        let end = bars().map(|bar| bar.to).filter(|to| to.is_finite()).fold(0.0, f64::max).max(0.001);
        let mut axis = Self { scale: chart.scale, begin: 0.0, end, ticks: Vec::new() };
        let values = match chart.scale {
            Scale::Linear => {
                let step = nice(end / 4.0);
                axis.end = (end / step).ceil() * step;
                (0..=(axis.end / step).round() as u32).map(|i| f64::from(i) * step).collect::<Vec<_>>()
            }
            Scale::Logarithmic => {
                let least = bars().map(|bar| bar.from).filter(|from| *from > 0.0).fold(end, f64::min);
                let (low, high) = (least.log10().floor(), end.log10().ceil());
                let high = if high > low { high } else { low + 1.0 };
                (axis.begin, axis.end) = (10f64.powf(low), 10f64.powf(high));
                let every = ((high - low) / 6.0).ceil().max(1.0);
                (0..=((high - low) / every) as u32).map(|i| 10f64.powf(low + every * f64::from(i))).collect()
            }
        };
        axis.ticks = values.into_iter().map(|value| (axis.x(value), words::duration(value))).collect();
        axis
    }

    fn x(&self, value: f64) -> f64 {
        let value = if value.is_finite() { value.clamp(self.begin, self.end) } else { self.begin };
        let share = match self.scale {
            Scale::Linear => value / self.end,
            Scale::Logarithmic => (value.log10() - self.begin.log10()) / (self.end.log10() - self.begin.log10()),
        };
        LEFT + (RIGHT - LEFT) * share
    }

    fn row(&self, row: &Row, y: f64) -> Markup {
        let middle = px(y + 16.0);
        html! {
            g.row {
                (cell(0.0, LEFT - 12.0, y, &middle, "label", &printable_in(LABEL_MAX_CHARS, &row.label)))
                @for bar in &row.bars {
                    // What is there is seen, however short it is.
                    @let (x, width) = (self.x(bar.from), (self.x(bar.to) - self.x(bar.from)).max(2.0));
                    rect.(bar.fill.class()) x=(px(x)) y=(px(y + 5.0)) width=(px(width)) height="14" rx="2" {}
                }
                (cell(RIGHT + 14.0, WIDTH - RIGHT - 14.0, y, &middle, "note", &printable_in(NOTE_MAX_CHARS, &row.note)))
            }
        }
    }
}

/// A text that is cut off where its room ends, however wide its letters are.
fn cell(x: f64, width: f64, y: f64, baseline: &str, class: &str, text: &str) -> Markup {
    html! {
        svg x=(px(x)) y=(px(y)) width=(px(width)) height=(px(ROW)) overflow="hidden" {
            text.(class) x="0" y=(px(baseline.parse::<f64>().unwrap_or(y) - y)) { (text) }
        }
    }
}

/// The next larger of 1, 2, 5, 10, 20 …
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|nice| *nice >= step * 0.999).unwrap_or(step)
}

/// The patterns that bars are filled with: once in a page.
pub fn patterns() -> Markup {
    html! {
        svg.defs width="0" height="0" aria-hidden="true" focusable="false" {
            (PreEscaped(
                "<defs>\
                 <pattern id=\"stripes\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
                 <rect class=\"stripe-ground\" width=\"6\" height=\"6\"/><rect class=\"stripe\" width=\"3\" height=\"6\"/></pattern>\
                 <pattern id=\"crosses\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
                 <path class=\"cross\" d=\"M0 0L6 6M6 0L0 6\"/></pattern></defs>"
            ))
        }
    }
}

/// What the fills mean.
pub fn legend(fills: &[(Fill, &str)]) -> Markup {
    html! {
        ul.legend {
            @for (fill, word) in fills {
                li {
                    svg width="28" height="14" aria-hidden="true" focusable="false" {
                        rect.(fill.class()) x="1" y="1" width="26" height="12" rx="2" {}
                    }
                    " " (word)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(to: &[f64], scale: Scale) -> Chart {
        let row = |to: &f64| Row {
            label: "a".into(),
            bars: vec![Bar { from: 0.5, to: *to, fill: Fill::All }],
            note: "b".into(),
        };
        let rows = to.iter().map(row).collect();
        Chart {
            id: "c".into(),
            title: "t".into(),
            description: "d".into(),
            groups: vec![Group { title: "g", rows }],
            scale,
        }
    }

    #[test]
    fn the_axis_covers_all_bars_in_round_steps() {
        let ticks =
            |to, scale| Axis::of(&chart(&[to], scale)).ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(ticks(70.0, Scale::Linear), ["0 ms", "20 ms", "40 ms", "60 ms", "80 ms"]);
        assert_eq!(ticks(5_000.0, Scale::Linear), ["0 ms", "2.0 s", "4.0 s", "6.0 s"]);
        assert_eq!(ticks(70.0, Scale::Logarithmic), ["0.10 ms", "1.0 ms", "10 ms", "100 ms"]);
    }

    #[test]
    fn whatever_a_bar_says_it_stays_within_the_picture() {
        for value in [0.0, -5.0, f64::NAN, f64::INFINITY, 1e300, 1e-300] {
            for scale in [Scale::Linear, Scale::Logarithmic] {
                let axis = Axis::of(&chart(&[value, 3.0], scale));
                assert!((LEFT..=RIGHT).contains(&axis.x(value)), "{value} {scale:?} {}", axis.x(value));
                assert!(axis.ticks.len() <= 12, "{value} {scale:?}");
            }
        }
    }

    #[test]
    fn a_picture_has_a_name_and_so_many_rows() {
        let chart = chart(&[1.0; 60], Scale::Linear);
        let drawn = chart.draw().into_string();
        assert_eq!(drawn.matches("<rect").count(), ROWS_MAX);
        assert_eq!(chart.left_out(), 20);
        assert!(drawn.contains("role=\"img\" aria-labelledby=\"c-t c-d\""));
    }
}
