//! Values of options that are read from words: times, versions, policies.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::{migration::Version, plan::OutOfOrder};

pub fn duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration = text.parse().map_err(|_| "write it as `90s` or `10m`".to_owned())?;
    signed.try_into().map_err(|_| "it cannot be negative".to_owned())
}

pub fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).ok_or_else(|| {
        "a version is digits, such as 001, or the name of a repeatable migration, such as R__views".to_owned()
    })
}

pub fn out_of_order() -> impl TypedValueParser<Value = OutOfOrder> {
    PossibleValuesParser::new(["refuse", "warn", "apply"]).map(|text| match text.as_str() {
        "apply" => OutOfOrder::Apply,
        "warn" => OutOfOrder::Warn,
        _ => OutOfOrder::Refuse,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert!(duration("soon").is_err() && duration("-1s").is_err());
    }
}
