//! What one component may do and use up: the operator's word, from `lockgate.toml`.

use std::collections::BTreeMap;

use super::Limits;

/// The rights of one component. The default is the database, the log, and the default limits.
#[derive(Debug, Clone, Default)]
pub struct Rights {
    /// What it may use up.
    pub limits: Limits,
    /// Whether its clocks tell the time.
    pub clock: bool,
    /// Whether its random numbers are random.
    pub randomness: bool,
    /// The keys of `config` that it can read, with their values.
    pub config: BTreeMap<String, String>,
}
