//! A database and how to log in.

use std::{
    fmt,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{ChannelBinding, LoadBalance, Password, Secret, SessionAttributes, Tls, TlsMode};
use crate::{error::Result, postgres::passfile};

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// A name, an address, or the folder of a Unix socket.
    pub name: String,
    /// Where that is, if it need not be looked up.
    pub address: Option<IpAddr>,
    /// The port, also of a Unix socket.
    pub port: u16,
}

impl Host {
    /// Whether it is reached through the file system.
    pub fn is_socket(&self) -> bool {
        self.name.starts_with('/')
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port, .. } = self;
        if name.contains(':') && !self.is_socket() { write!(f, "[{name}]:{port}") } else { write!(f, "{name}:{port}") }
    }
}

/// The server that was found, once one was: all clones of a [`Target`] stay with it.
#[derive(Debug, Clone, Default)]
pub struct Pin(Arc<Mutex<Option<Host>>>);

impl Pin {
    fn get(&self) -> Option<Host> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, host: Option<Host>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = host;
    }
}

/// A database and how to log in.
#[derive(Debug, Clone)]
pub struct Target {
    /// The servers that may have it, in the order in which they are tried; at least one.
    pub hosts: Vec<Host>,
    /// The database.
    pub database: String,
    /// The role that logs in.
    pub user: String,
    /// The role that statements run as, if it is another one.
    pub role: Option<String>,
    /// The password; without one, the password file is asked.
    pub password: Option<Password>,
    /// That file, if it is another one than libpq's `~/.pgpass`.
    pub passfile: Option<PathBuf>,
    /// Whether and how to encrypt.
    pub tls: Tls,
    /// Whether the login proves that both ends see the same certificate.
    pub channel_binding: ChannelBinding,
    /// What the server is told at the start, as its command line.
    pub options: Option<String>,
    /// Which of several servers will do.
    pub attributes: SessionAttributes,
    /// In which order they are tried.
    pub load_balance: LoadBalance,
    /// How long to wait for a server that does not answer. Zero: for ever.
    pub connect_timeout: Duration,
    /// What the names of sessions end with: the number of the run.
    pub tag: Option<String>,
    /// Which server was found.
    pub pin: Pin,
}

/// How long to wait for a server that does not answer, unless set.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A dead peer is noticed after about a minute: 30 s of silence, then three probes 10 s apart.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// PostgreSQL cuts longer names of sessions (NAMEDATALEN less one).
const NAME_MAX_BYTES: usize = 63;

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.candidates().iter().map(ToString::to_string).collect();
        write!(f, "`{}` at {} as `{}`", self.database, hosts.join(", "), self.user)?;
        self.role.as_ref().map_or(Ok(()), |role| write!(f, " with the role `{role}`"))
    }
}

impl Target {
    /// A database of one server of ours, which is on this machine and has no TLS.
    pub fn of_ours(host: &str, port: u16, database: &str, user: &str, password: Secret) -> Self {
        Self {
            hosts: vec![Host { name: host.to_owned(), address: None, port }],
            database: database.to_owned(),
            user: user.to_owned(),
            role: None,
            password: Some(Password::given(password)),
            passfile: None,
            tls: Tls::of_mode(TlsMode::Disable),
            channel_binding: ChannelBinding::Prefer,
            options: None,
            attributes: SessionAttributes::Any,
            load_balance: LoadBalance::Disable,
            connect_timeout: CONNECT_TIMEOUT,
            tag: None,
            pin: Pin::default(),
        }
    }

    /// The same servers and role, another database.
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// The server that was found; before that, the first that is tried.
    pub fn host(&self) -> Host {
        self.pin.get().or_else(|| self.hosts.first().cloned()).unwrap_or(Host {
            name: String::new(),
            address: None,
            port: 0,
        })
    }

    /// The servers to try: the one that was found, or all.
    pub fn candidates(&self) -> Vec<Host> {
        self.pin.get().map_or_else(|| self.hosts.clone(), |host| vec![host])
    }

    /// Stays with a server from now on, at the address that it was found at: what is backed up must be what is migrated.
    pub(super) fn stay_with(&self, host: Host) {
        self.pin.set(Some(host));
    }

    /// Looks at all of them again: the one that was found is lost, and another may have taken its place.
    pub fn look_again(&self) {
        self.pin.set(None);
    }

    /// The password to use at a server: the one given, else the one in the password file.
    ///
    /// # Errors
    /// When the file or command that has it cannot be read.
    pub fn effective_password(&self, host: &Host) -> Result<Option<Secret>> {
        match &self.password {
            Some(password) => password.read().map(Some),
            None => Ok(passfile::lookup(self, host)),
        }
    }

    /// The password, where it is no file's and no command's.
    pub fn given_password(&self) -> Option<&Secret> {
        self.password.as_ref().and_then(Password::as_given)
    }

    /// What the session starts with, as libpq's `options`: the role comes last, so that it is the one that `RESET ROLE` comes back to, and
    /// nothing runs before it is set.
    pub fn session_options(&self) -> Option<String> {
        let role = self.role.as_ref().map(|role| {
            let escaped =
                role.chars().flat_map(|c| (c == '\\' || c.is_whitespace()).then_some('\\').into_iter().chain([c]));
            format!("-c role={}", escaped.collect::<String>())
        });
        let all: Vec<String> = self.options.iter().cloned().chain(role).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }

    /// What a session of this kind is called in `pg_stat_activity`: with the number of the run, and as long as PostgreSQL keeps.
    pub fn session_name(&self, kind: &str) -> String {
        let mut name = match &self.tag {
            Some(tag) if !kind.contains(tag.as_str()) => format!("{kind} {tag}"),
            _ => kind.to_owned(),
        };
        name.truncate(name.floor_char_boundary(NAME_MAX_BYTES));
        name
    }

    /// What the driver is told, whichever the server.
    pub(super) fn config(&self, kind: &str) -> tokio_postgres::Config {
        use tokio_postgres::config;
        let mut config = tokio_postgres::Config::new();
        config
            .dbname(&self.database)
            .user(&self.user)
            .application_name(self.session_name(kind))
            .tcp_user_timeout(KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_RETRIES)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .ssl_negotiation(match self.tls.negotiation {
                super::Negotiation::Postgres => config::SslNegotiation::Postgres,
                super::Negotiation::Direct => config::SslNegotiation::Direct,
            })
            .channel_binding(match self.channel_binding {
                ChannelBinding::Disable => config::ChannelBinding::Disable,
                ChannelBinding::Prefer => config::ChannelBinding::Prefer,
                ChannelBinding::Require => config::ChannelBinding::Require,
            });
        if !self.connect_timeout.is_zero() {
            config.connect_timeout(self.connect_timeout);
        }
        if let Some(options) = self.session_options() {
            config.options(options);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target::of_ours("db", 5432, "d", "u", Secret::new("p"))
    }

    #[test]
    fn a_peer_that_is_gone_is_noticed_within_a_minute() {
        let config = target().config("lockgate");
        assert!(config.get_keepalives());
        let retries = config.get_keepalives_retries().unwrap();
        let noticed = config.get_keepalives_idle() + config.get_keepalives_interval().unwrap() * retries;
        assert_eq!(noticed, Duration::from_secs(60));
        assert_eq!(config.get_tcp_user_timeout(), Some(&noticed));
    }

    #[test]
    fn clones_stay_with_the_server_that_was_found() {
        let mut target = target();
        target.hosts.push(Host { name: "::1".into(), address: None, port: 5433 });
        let other = Target { role: Some("r".into()), ..target.with_database("x") };
        assert_eq!(other.to_string(), "`x` at db:5432, [::1]:5433 as `u` with the role `r`");
        target.stay_with(target.hosts[1].clone());
        assert_eq!((other.candidates().len(), other.host().port), (1, 5433));
        assert_eq!(other.to_string(), "`x` at [::1]:5433 as `u` with the role `r`");
        other.look_again();
        assert_eq!(target.candidates().len(), 2);
    }

    #[test]
    fn the_role_comes_behind_the_options() {
        let mut target = target();
        assert_eq!(target.session_options(), None);
        target.role = Some(r"a b\c".into());
        assert_eq!(target.session_options().as_deref(), Some(r"-c role=a\ b\\c"));
        target.options = Some("-c geqo=off".into());
        assert_eq!(target.session_options().as_deref(), Some(r"-c geqo=off -c role=a\ b\\c"));
    }

    #[test]
    fn sessions_are_named_after_the_run_once_and_not_too_long() {
        let mut target = target();
        assert_eq!(target.session_name("lockgate backup"), "lockgate backup");
        target.tag = Some("1234abcd".into());
        assert_eq!(target.session_name("lockgate backup"), "lockgate backup 1234abcd");
        assert_eq!(target.session_name("lockgate 1234abcd"), "lockgate 1234abcd");
        assert_eq!(target.session_name(&"ü".repeat(60)).len(), 62);
    }
}
