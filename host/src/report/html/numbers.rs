//! Numbers that the JSON has as well, marked with where.

use maud::{Markup, html};

use crate::report::{bytes, thousands, words};

/// A duration.
pub fn ms(field: &str, ms: f64) -> Markup {
    html! { span.num data-ms=(field) { (words::duration(ms)) } }
}

/// The same of whole milliseconds.
#[allow(clippy::cast_precision_loss)]
pub fn whole_ms(field: &str, duration: u64) -> Markup {
    ms(field, duration as f64)
}

/// A count.
pub fn n(field: &str, n: u64) -> Markup {
    html! { span.num data-n=(field) { (thousands(n)) } }
}

/// A size.
pub fn size(field: &str, n: u64) -> Markup {
    html! { span.num data-bytes=(field) { (bytes(n)) } }
}

/// A number that may not be known.
pub fn known<T>(value: Option<T>, shown: impl FnOnce(T) -> Markup) -> Markup {
    match value {
        Some(value) => shown(value),
        None => html! { span.none title="not known" { "–" } },
    }
}
