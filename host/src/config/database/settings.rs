//! The names of a connection's settings, in each of their sources.

/// One setting, by its names.
pub(super) struct Setting {
    /// In `[database]`, and where settings are shown.
    pub(super) name: &'static str,
    /// In URLs and service files; empty: it has no place there.
    pub(super) keyword: &'static str,
    /// Our variable.
    pub(super) ours: &'static str,
    /// libpq's variable; empty: there is none.
    pub(super) libpq: &'static str,
}

const fn setting(name: &'static str, keyword: &'static str, ours: &'static str, libpq: &'static str) -> Setting {
    Setting { name, keyword, ours, libpq }
}

pub(super) const HOST: usize = 0;
pub(super) const HOSTADDR: usize = 1;
pub(super) const PORT: usize = 2;
pub(super) const NAME: usize = 3;
pub(super) const USER: usize = 4;
pub(super) const PASSWORD: usize = 5;
pub(super) const PASSWORD_FILE: usize = 6;
pub(super) const PASSWORD_COMMAND: usize = 7;
pub(super) const PASSFILE: usize = 8;
pub(super) const SSL_MODE: usize = 9;
pub(super) const SSL_ROOT_CERT: usize = 10;
pub(super) const SSL_CERT: usize = 11;
pub(super) const SSL_KEY: usize = 12;
pub(super) const SSL_CRL: usize = 13;
pub(super) const SSL_NEGOTIATION: usize = 14;
pub(super) const CHANNEL_BINDING: usize = 15;
pub(super) const TARGET_SESSION_ATTRS: usize = 16;
pub(super) const LOAD_BALANCE_HOSTS: usize = 17;
pub(super) const OPTIONS: usize = 18;
pub(super) const CONNECT_TIMEOUT: usize = 19;
pub(super) const SERVICE: usize = 20;

/// How many there are.
pub(super) const COUNT: usize = 21;

/// All of them, each in the place that the constants above name.
pub(super) const SETTINGS: [Setting; COUNT] = [
    setting("host", "host", "DB_HOST", "PGHOST"),
    setting("hostaddr", "hostaddr", "DB_HOSTADDR", "PGHOSTADDR"),
    setting("port", "port", "DB_PORT", "PGPORT"),
    setting("name", "dbname", "DB_NAME", "PGDATABASE"),
    setting("user", "user", "DB_USER", "PGUSER"),
    setting("password", "password", "DB_PASSWORD", "PGPASSWORD"),
    setting("password_file", "", "DB_PASSWORD_FILE", ""),
    setting("password_command", "", "DB_PASSWORD_COMMAND", ""),
    setting("passfile", "passfile", "DB_PASSFILE", "PGPASSFILE"),
    setting("ssl_mode", "sslmode", "DB_SSL_MODE", "PGSSLMODE"),
    setting("ssl_root_cert", "sslrootcert", "DB_SSL_ROOT_CERT", "PGSSLROOTCERT"),
    setting("ssl_cert", "sslcert", "DB_SSL_CERT", "PGSSLCERT"),
    setting("ssl_key", "sslkey", "DB_SSL_KEY", "PGSSLKEY"),
    setting("ssl_crl", "sslcrl", "DB_SSL_CRL", "PGSSLCRL"),
    setting("ssl_negotiation", "sslnegotiation", "DB_SSL_NEGOTIATION", "PGSSLNEGOTIATION"),
    setting("channel_binding", "channel_binding", "DB_CHANNEL_BINDING", "PGCHANNELBINDING"),
    setting("target_session_attrs", "target_session_attrs", "DB_TARGET_SESSION_ATTRS", "PGTARGETSESSIONATTRS"),
    setting("load_balance_hosts", "load_balance_hosts", "DB_LOAD_BALANCE_HOSTS", "PGLOADBALANCEHOSTS"),
    setting("options", "options", "DB_OPTIONS", "PGOPTIONS"),
    setting("connect_timeout", "connect_timeout", "DB_CONNECT_TIMEOUT", "PGCONNECT_TIMEOUT"),
    setting("service", "service", "DB_SERVICE", "PGSERVICE"),
];

/// Settings that go together.
pub(super) struct Group {
    /// The first source that has any of them has the say about all of the group.
    pub(super) heads: &'static [usize],
    /// What no later source may add. An earlier one may: it says so of whichever there will be.
    pub(super) others: &'static [usize],
}

impl Group {
    /// Whether the setting is of it.
    pub(super) fn has(&self, n: usize) -> bool {
        self.heads.contains(&n) || self.others.contains(&n)
    }
}

/// Another source's address must not come under this one's name, nor its port, nor its password.
pub(super) const GROUPS: [Group; 2] = [
    Group { heads: &[HOST, HOSTADDR], others: &[PORT] },
    Group { heads: &[PASSWORD, PASSWORD_FILE, PASSWORD_COMMAND], others: &[] },
];

/// Whether a URL or a service file may have it.
pub(super) fn is_keyword(keyword: &str) -> bool {
    !keyword.is_empty() && SETTINGS.iter().any(|setting| setting.keyword == keyword)
}
