//! Settings that are one of a few words, the words being libpq's (PostgreSQL manual, "Parameter Key Words").

use std::str::FromStr;

/// Finds the word, or says which there are.
fn choose<T: Copy>(text: &str, all: &[(T, &str)]) -> Result<T, String> {
    let found = all.iter().find(|(_, word)| *word == text).map(|(choice, _)| *choice);
    found.ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|(_, word)| *word).collect();
        format!("`{text}` is none of {}", words.join(", "))
    })
}

/// The word of a choice.
fn word<T: Copy + PartialEq>(choice: T, all: &[(T, &'static str)]) -> &'static str {
    all.iter().find(|(one, _)| *one == choice).map_or("", |(_, word)| word)
}

/// libpq's `sslmode` (PostgreSQL manual, "SSL Support"). Whatever the mode but `disable`, a certificate is checked where there are
/// certificates of authorities to check it with; `verify-ca` and `verify-full` insist on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// Only with a server that refuses to go without.
    Allow,
    /// With a server that offers it, and without where that fails.
    Prefer,
    /// Always.
    Require,
    /// Always, with a certificate from a trusted authority.
    VerifyCa,
    /// Always, with a certificate from a trusted authority for this very host.
    VerifyFull,
}

const TLS_MODES: [(TlsMode, &str); 6] = [
    (TlsMode::Disable, "disable"),
    (TlsMode::Allow, "allow"),
    (TlsMode::Prefer, "prefer"),
    (TlsMode::Require, "require"),
    (TlsMode::VerifyCa, "verify-ca"),
    (TlsMode::VerifyFull, "verify-full"),
];

impl TlsMode {
    /// The word that libpq uses.
    pub fn as_str(self) -> &'static str {
        word(self, &TLS_MODES)
    }

    /// Whether a connection without TLS may come of it.
    pub fn is_weak(self) -> bool {
        matches!(self, Self::Disable | Self::Allow | Self::Prefer)
    }
}

impl FromStr for TlsMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        choose(text, &TLS_MODES)
    }
}

/// libpq's `sslnegotiation`: how TLS begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Negotiation {
    /// The server is asked first.
    #[default]
    Postgres,
    /// At once, which servers know since 17.
    Direct,
}

const NEGOTIATIONS: [(Negotiation, &str); 2] = [(Negotiation::Postgres, "postgres"), (Negotiation::Direct, "direct")];

impl Negotiation {
    /// The word that libpq uses.
    pub fn as_str(self) -> &'static str {
        word(self, &NEGOTIATIONS)
    }
}

impl FromStr for Negotiation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        choose(text, &NEGOTIATIONS)
    }
}

/// libpq's `channel_binding`: whether the login proves that both ends see the same certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where the server can.
    #[default]
    Prefer,
    /// Or there is no connection.
    Require,
}

const CHANNEL_BINDINGS: [(ChannelBinding, &str); 3] =
    [(ChannelBinding::Disable, "disable"), (ChannelBinding::Prefer, "prefer"), (ChannelBinding::Require, "require")];

impl ChannelBinding {
    /// The word that libpq uses.
    pub fn as_str(self) -> &'static str {
        word(self, &CHANNEL_BINDINGS)
    }
}

impl FromStr for ChannelBinding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        choose(text, &CHANNEL_BINDINGS)
    }
}

/// libpq's `target_session_attrs`: which of several servers will do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SessionAttributes {
    /// The first that answers.
    #[default]
    Any,
    /// One whose sessions may write from the start.
    ReadWrite,
    /// One whose sessions may not write from the start.
    ReadOnly,
    /// One that is no standby.
    Primary,
    /// A standby.
    Standby,
    /// A standby; if none answers, any.
    PreferStandby,
}

const SESSION_ATTRIBUTES: [(SessionAttributes, &str); 6] = [
    (SessionAttributes::Any, "any"),
    (SessionAttributes::ReadWrite, "read-write"),
    (SessionAttributes::ReadOnly, "read-only"),
    (SessionAttributes::Primary, "primary"),
    (SessionAttributes::Standby, "standby"),
    (SessionAttributes::PreferStandby, "prefer-standby"),
];

impl SessionAttributes {
    /// The word that libpq uses.
    pub fn as_str(self) -> &'static str {
        word(self, &SESSION_ATTRIBUTES)
    }

    /// What is looked for, one after the other, until something is found.
    pub(super) fn rounds(self) -> &'static [Self] {
        match self {
            Self::Any => &[Self::Any],
            Self::ReadWrite => &[Self::ReadWrite],
            Self::ReadOnly => &[Self::ReadOnly],
            Self::Primary => &[Self::Primary],
            Self::Standby => &[Self::Standby],
            Self::PreferStandby => &[Self::Standby, Self::Any],
        }
    }

    /// Why a server will not do; `None`: it will.
    pub(super) fn unfit(self, in_recovery: bool, read_only: bool) -> Option<&'static str> {
        match self {
            Self::ReadWrite | Self::Primary if in_recovery => Some("it is a standby"),
            Self::ReadWrite if read_only => Some("its sessions are read-only (`default_transaction_read_only`)"),
            Self::ReadOnly if !in_recovery && !read_only => Some("its sessions are not read-only"),
            Self::Standby if !in_recovery => Some("it is no standby"),
            _ => None,
        }
    }
}

impl FromStr for SessionAttributes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        choose(text, &SESSION_ATTRIBUTES)
    }
}

/// libpq's `load_balance_hosts`: in which order hosts and their addresses are tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LoadBalance {
    /// As written.
    #[default]
    Disable,
    /// In another one each time.
    Random,
}

const LOAD_BALANCES: [(LoadBalance, &str); 2] = [(LoadBalance::Disable, "disable"), (LoadBalance::Random, "random")];

impl LoadBalance {
    /// The word that libpq uses.
    pub fn as_str(self) -> &'static str {
        word(self, &LOAD_BALANCES)
    }
}

impl FromStr for LoadBalance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        choose(text, &LOAD_BALANCES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for (mode, word) in TLS_MODES {
            assert_eq!((word.parse(), mode.as_str()), (Ok(mode), word));
        }
        for (attributes, word) in SESSION_ATTRIBUTES {
            assert_eq!((word.parse(), attributes.as_str()), (Ok(attributes), word));
        }
        assert_eq!("no".parse::<LoadBalance>().unwrap_err(), "`no` is none of disable, random");
    }

    #[test]
    fn a_server_is_fit_for_what_it_is() {
        use SessionAttributes::*;
        // (in recovery, read-only): who takes it.
        let takes = |server: (bool, bool)| {
            SESSION_ATTRIBUTES.map(|(wanted, _)| wanted.rounds()[0].unfit(server.0, server.1).is_none())
        };
        let order = SESSION_ATTRIBUTES.map(|(wanted, _)| wanted);
        assert_eq!(order, [Any, ReadWrite, ReadOnly, Primary, Standby, PreferStandby]);
        assert_eq!(takes((false, false)), [true, true, false, true, false, false]);
        assert_eq!(takes((false, true)), [true, false, true, true, false, false]);
        assert_eq!(takes((true, false)), [true, false, true, false, true, true]);
    }
}
