//! What may be logged at all, and what of it is asked for.
//!
//! At their finer levels the libraries print what passes over the wire: statements with their parameters, requests with the headers that
//! sign them. Whatever filter is set, they are held to what goes wrong.

use tracing::{Level, Metadata, level_filters::LevelFilter};
use tracing_subscriber::filter::Targets;

/// The finest level of anything that is not ours.
const LIBRARIES: LevelFilter = LevelFilter::WARN;
/// The targets that are ours: the host, and what components say.
const OURS: [&str; 2] = ["lockgate", "plugin"];

/// A filter that cannot be set finer than what is safe.
#[derive(Debug, Clone)]
pub struct Bound(Targets);

impl Bound {
    /// Of the host and the components what is at least as grave as `level`, of libraries what goes wrong.
    pub fn at(level: LevelFilter) -> Self {
        let ours = OURS.map(|target| (target, level));
        Self(Targets::new().with_default(level.min(LIBRARIES)).with_targets(ours))
    }

    /// A filter as people write it: `debug`, or `lockgate::postgres=trace,plugin=off`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|e| e.to_string())
    }

    /// Whether this is logged.
    pub fn lets(&self, metadata: &Metadata<'_>) -> bool {
        self.lets_of(metadata.target(), *metadata.level())
    }

    fn lets_of(&self, target: &str, level: Level) -> bool {
        (is_ours(target) || level <= LIBRARIES) && self.0.would_enable(target, &level)
    }

    /// The finest level that is logged of anything.
    pub fn finest(&self) -> LevelFilter {
        self.0.iter().map(|(_, level)| level).chain(self.0.default_level()).max().unwrap_or(LevelFilter::OFF)
    }
}

/// Whether it is the host or a component that speaks.
pub fn is_ours(target: &str) -> bool {
    OURS.iter().any(|ours| target.strip_prefix(ours).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIRE: [&str; 5] =
        ["tokio_postgres::query", "hyper::proto", "rustls::client", "object_store::aws", "lockgated"];

    #[test]
    fn no_filter_lets_libraries_print_what_passes_over_the_wire() {
        for filter in ["trace", "tokio_postgres=trace,hyper=debug,rustls=trace,object_store=info,lockgated=trace"] {
            let bound = Bound::parse(filter).unwrap();
            for target in WIRE {
                for level in [Level::TRACE, Level::DEBUG, Level::INFO] {
                    assert!(!bound.lets_of(target, level), "{filter}: {target} at {level}");
                }
                assert!(bound.lets_of(target, Level::WARN), "{filter}: {target}");
            }
        }
        assert!(Bound::parse("trace").unwrap().lets_of("lockgate::postgres::session", Level::TRACE));
    }

    #[test]
    fn a_filter_can_ask_for_less() {
        let bound = Bound::parse("error,plugin=off,lockgate::postgres=debug").unwrap();
        assert!(!bound.lets_of("hyper", Level::WARN) && !bound.lets_of("plugin", Level::ERROR));
        assert!(bound.lets_of("lockgate::postgres::lock", Level::DEBUG));
        assert!(!bound.lets_of("lockgate::runner", Level::INFO));
        assert_eq!(bound.finest(), LevelFilter::DEBUG);
        assert!(Bound::parse("lockgate=loud").is_err());
    }

    #[test]
    fn a_level_is_for_what_is_ours() {
        let bound = Bound::at(LevelFilter::DEBUG);
        assert!(bound.lets_of("lockgate", Level::DEBUG) && bound.lets_of("plugin", Level::DEBUG));
        assert!(!bound.lets_of("lockgate", Level::TRACE) && !bound.lets_of("object_store", Level::INFO));
        assert!(!Bound::at(LevelFilter::ERROR).lets_of("object_store", Level::WARN));
    }
}
