//! The settings of a connection: URL, DB_*, a service, PG* and `[database]`, the first that is set wins.

mod hosts;
mod section;
mod settings;

use std::{env, path::PathBuf, time::Duration};

pub(super) use self::section::DatabaseSection;
use self::{
    hosts::hosts,
    settings::{
        CHANNEL_BINDING, CONNECT_TIMEOUT, COUNT, GROUPS, HOST, HOSTADDR, LOAD_BALANCE_HOSTS, NAME, OPTIONS, PASSFILE,
        PASSWORD, PASSWORD_COMMAND, PASSWORD_FILE, PORT, SERVICE, SETTINGS, SSL_CERT, SSL_CRL, SSL_KEY, SSL_MODE,
        SSL_NEGOTIATION, SSL_ROOT_CERT, TARGET_SESSION_ATTRS, USER, is_keyword,
    },
};
use crate::{
    config::masked::{self, HIDDEN},
    error::{Error, Result},
    postgres::{
        self, ChannelBinding, Host, LoadBalance, Negotiation, Password, Pin, Secret, SessionAttributes, Target, Tls,
        TlsMode, look_up_service, parse_url,
    },
};

/// A value of each setting, with its source.
type Layer = [Option<(String, &'static str)>; COUNT];

/// The settings of a connection, each with its value and its source.
#[derive(Debug, Default)]
pub(super) struct Database {
    fields: Layer,
}

/// What a source is called whose settings a service file has.
const FROM_SERVICE: &str = "service file";

impl Database {
    /// Fills each setting from the first source that has it.
    ///
    /// A service's settings come right behind those of the source that names it; `PGSERVICE`'s come before `PG*`, as with libpq.
    ///
    /// # Errors
    /// [`Error::Configuration`], naming the source of a URL, or the service, that cannot be read.
    pub(super) fn gather(url: Option<(&str, &'static str)>, section: &DatabaseSection) -> Result<Self> {
        let mut database = Database::default();
        if let Some((url, source)) = url.filter(|(url, _)| !url.is_empty()) {
            database.merge_url(url, source)?;
        }
        if let Some(url) = variable("DATABASE_URL") {
            database.merge_url(&url, "DATABASE_URL")?;
        }
        database
            .merge_with_service(SETTINGS.map(|setting| variable(setting.ours).map(|value| (value, setting.ours))))?;
        let libpq: Layer = SETTINGS.map(|setting| variable(setting.libpq).map(|value| (value, setting.libpq)));
        if database.fields[SERVICE].is_none() && libpq[SERVICE].is_some() {
            let mut only: Layer = Layer::default();
            only[SERVICE].clone_from(&libpq[SERVICE]);
            database.merge_with_service(only)?;
        }
        database.merge(libpq);
        let from_file = section.values().map(|value| value.map(|value| (value, "lockgate.toml")));
        database.merge_with_service(from_file)?;
        Ok(database)
    }

    pub(super) fn merge_url(&mut self, url: &str, source: &'static str) -> Result<()> {
        let settings = parse_url(url, is_keyword).map_err(|e| {
            Error::configuration(
                format!("{source} is no database URL: {e}"),
                "write it as `postgres://user:password@host:port/database?sslmode=prefer`",
            )
        })?;
        self.merge_with_service(layer(settings, source))
    }

    /// Fills what no earlier source has set, then what the service has that it names.
    fn merge_with_service(&mut self, layer_of_source: Layer) -> Result<()> {
        let names_it = self.fields[SERVICE].is_none();
        self.merge(layer_of_source);
        let Some((service, source)) = self.fields[SERVICE].as_ref().filter(|_| names_it) else { return Ok(()) };
        let settings = look_up_service(service, is_keyword)
            .map_err(|unfit| Error::configuration(format!("{source}: {}", unfit.what), unfit.next))?;
        self.merge(layer(settings, FROM_SERVICE));
        Ok(())
    }

    /// Fills what no earlier source has set, nor has the say about.
    fn merge(&mut self, layer: Layer) {
        let taken = GROUPS.map(|group| group.heads.iter().any(|n| self.fields[*n].is_some()));
        for (n, (field, value)) in self.fields.iter_mut().zip(layer).enumerate() {
            let in_taken = GROUPS.iter().zip(taken).any(|(group, taken)| taken && group.has(n));
            if field.is_none() && !in_taken {
                *field = value;
            }
        }
    }

    fn given(&self, n: usize) -> Option<(&str, &'static str)> {
        self.fields[n].as_ref().map(|(value, source)| (value.as_str(), *source))
    }

    fn text(&self, n: usize) -> Option<String> {
        self.given(n).map(|(value, _)| value.to_owned())
    }

    fn path(&self, n: usize) -> Option<PathBuf> {
        self.given(n).map(|(value, _)| PathBuf::from(value))
    }

    /// A setting that is one of a few words.
    fn choice<T: std::str::FromStr<Err = String>>(&self, n: usize, default: T, word: &str) -> Result<T> {
        match self.given(n) {
            None => Ok(default),
            Some((text, source)) => text
                .parse()
                .map_err(|e| Error::configuration(format!("{source}: {e}"), format!("the default is {word}"))),
        }
    }

    pub(super) fn target(&self) -> Result<Target> {
        let hosts = hosts(self.given(HOST), self.given(HOSTADDR), self.given(PORT))?;
        let several = hosts.len() > 1;
        // A migration is written: of several servers the one is meant that can be written to.
        let (attributes, word) =
            if several { (SessionAttributes::Primary, "primary") } else { (SessionAttributes::Any, "any") };
        let tls = self.tls(&hosts)?;
        let channel_binding = self.choice(CHANNEL_BINDING, ChannelBinding::Prefer, "prefer")?;
        if channel_binding == ChannelBinding::Require && tls.mode == TlsMode::Disable {
            return Err(Error::configuration(
                "channel_binding `require` contradicts sslmode `disable`: it binds the login to TLS",
                "say DB_SSL_MODE=require or more, or DB_CHANNEL_BINDING=prefer",
            ));
        }
        Ok(Target {
            hosts,
            database: self.text(NAME).unwrap_or_else(|| "auth_service".into()),
            user: self.text(USER).unwrap_or_else(|| "postgres".into()),
            role: None,
            password: self.password()?,
            passfile: self.path(PASSFILE),
            tls,
            channel_binding,
            options: self.text(OPTIONS),
            attributes: self.choice(TARGET_SESSION_ATTRS, attributes, word)?,
            load_balance: self.choice(LOAD_BALANCE_HOSTS, LoadBalance::Disable, "disable")?,
            connect_timeout: self.connect_timeout()?,
            tag: None,
            pin: Pin::default(),
        })
    }

    fn tls(&self, hosts: &[Host]) -> Result<Tls> {
        let system = self.given(SSL_ROOT_CERT).is_some_and(|(value, _)| value == "system");
        // As with libpq, where nothing weaker goes with it.
        let (mode, word) = if system { (TlsMode::VerifyFull, "verify-full") } else { (TlsMode::Prefer, "prefer") };
        let tls = Tls {
            mode: self.choice(SSL_MODE, mode, word)?,
            root_cert: self.path(SSL_ROOT_CERT),
            cert: self.path(SSL_CERT),
            key: self.path(SSL_KEY),
            crl: self.path(SSL_CRL),
            negotiation: self.choice(SSL_NEGOTIATION, Negotiation::Postgres, "postgres")?,
        };
        tls.check()?;
        if tls.mode == TlsMode::VerifyFull && self.given(HOST).is_none() && self.given(HOSTADDR).is_some() {
            return Err(Error::configuration(
                format!(
                    "sslmode `verify-full` has no name to look for in the certificate: only addresses are given ({})",
                    hosts.first().map_or_else(String::new, ToString::to_string)
                ),
                "name the hosts as well, in DB_HOST",
            ));
        }
        Ok(tls)
    }

    fn password(&self) -> Result<Option<Password>> {
        let given: Vec<(usize, &str, &'static str)> = [PASSWORD, PASSWORD_FILE, PASSWORD_COMMAND]
            .into_iter()
            .filter_map(|n| self.given(n).map(|(value, source)| (n, value, source)))
            .collect();
        match given.as_slice() {
            [] => Ok(None),
            [(PASSWORD, value, source)] => match postgres::fits_a_passfile(value) {
                Ok(()) => Ok(Some(Password::given(Secret::new(*value)))),
                Err(why) => Err(Error::configuration(
                    format!("the password in {source} {why}"),
                    "give it without the end of its line; a password that has several cannot be handed to pg_dump",
                )),
            },
            [(PASSWORD_FILE, value, _)] => Ok(Some(Password::in_file(*value, self.called(PASSWORD_FILE)))),
            [(_, value, _)] => Ok(Some(Password::by_command(*value, self.called(PASSWORD_COMMAND)))),
            [(one, ..), (other, ..), ..] => Err(Error::configuration(
                format!("both {} and {} say what the password is", self.called(*one), self.called(*other)),
                "leave one of them out",
            )),
        }
    }

    /// What a setting is called where it was found.
    fn called(&self, n: usize) -> &'static str {
        match self.given(n) {
            Some((_, "lockgate.toml")) => SETTINGS[n].name,
            Some((_, source)) => source,
            None => SETTINGS[n].name,
        }
    }

    fn connect_timeout(&self) -> Result<Duration> {
        let Some((text, source)) = self.given(CONNECT_TIMEOUT) else { return Ok(postgres::CONNECT_TIMEOUT) };
        // As libpq: zero, or less, is for ever.
        match text.trim().parse::<i32>() {
            Ok(seconds) => Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))),
            Err(_) => Err(Error::configuration(
                format!("{source}=`{text}` is no number of seconds"),
                "write a whole number; 0 waits for ever",
            )),
        }
    }

    /// Which settings were given: name, value without secrets, source.
    pub(super) fn sources(&self) -> Vec<(&'static str, String, &'static str)> {
        let given = self.fields.iter().zip(SETTINGS).enumerate();
        given
            .filter_map(|(n, (field, setting))| {
                let (value, source) = field.as_ref()?;
                let shown = match n {
                    // A command may carry the token that it asks with.
                    PASSWORD | PASSWORD_COMMAND => HIDDEN.to_owned(),
                    OPTIONS => masked::options(value),
                    _ => value.clone(),
                };
                Some((setting.name, shown, *source))
            })
            .collect()
    }
}

/// The settings of one source in their places.
fn layer(settings: Vec<(String, String)>, source: &'static str) -> Layer {
    let value = |keyword: &str| {
        let found = settings.iter().find(|(name, value)| !keyword.is_empty() && name == keyword && !value.is_empty());
        found.map(|(_, value)| (value.clone(), source))
    };
    SETTINGS.map(|setting| value(setting.keyword))
}

/// An empty variable counts as none, as in the shell's `${DB_HOST:-localhost}`.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty() && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(url: &str) -> Result<Target> {
        let mut database = Database::default();
        database.merge_url(url, "DATABASE_URL")?;
        database.target()
    }

    #[test]
    fn the_defaults_are_those_of_the_old_script() {
        let target = Database::default().target().unwrap();
        assert_eq!(target.to_string(), "`auth_service` at localhost:5432 as `postgres`");
        assert!(target.password.is_none());
        assert_eq!((target.tls.mode, target.attributes), (TlsMode::Prefer, SessionAttributes::Any));
    }

    #[test]
    fn the_settings_are_in_the_places_that_their_constants_name() {
        for (n, name) in [
            (HOST, "host"),
            (PORT, "port"),
            (PASSWORD_COMMAND, "password_command"),
            (SSL_MODE, "ssl_mode"),
            (SERVICE, "service"),
        ] {
            assert_eq!(SETTINGS[n].name, name);
        }
    }

    #[test]
    fn a_url_sets_everything() {
        let target = url("postgres://me:p%40ss@db:5433/auth?sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c&sslkey=/k&sslcrl=/l&channel_binding=require&connect_timeout=3&options=-c%20geqo%3Doff&passfile=/p&target_session_attrs=standby&load_balance_hosts=random&sslnegotiation=direct").unwrap();
        assert_eq!(target.to_string(), "`auth` at db:5433 as `me`");
        assert_eq!(target.given_password().unwrap().reveal(), "p@ss");
        assert_eq!((target.tls.mode, target.tls.root_cert), (TlsMode::VerifyFull, Some("/ca.pem".into())));
        assert_eq!(
            (target.tls.cert, target.tls.key, target.tls.crl),
            (Some("/c".into()), Some("/k".into()), Some("/l".into()))
        );
        assert_eq!((target.channel_binding, target.tls.negotiation), (ChannelBinding::Require, Negotiation::Direct));
        assert_eq!((target.connect_timeout, target.options.as_deref()), (Duration::from_secs(3), Some("-c geqo=off")));
        assert_eq!((target.passfile, target.attributes), (Some("/p".into()), SessionAttributes::Standby));
        assert_eq!(target.load_balance, LoadBalance::Random);
    }

    #[test]
    fn of_several_hosts_the_primary_is_meant() {
        let target = url("postgres://me@a:1,b/auth").unwrap();
        assert_eq!(target.to_string(), "`auth` at a:1, b:5432 as `me`");
        assert_eq!(target.attributes, SessionAttributes::Primary);
        assert_eq!(url("postgres://me@a,b/auth?target_session_attrs=any").unwrap().attributes, SessionAttributes::Any);
    }

    #[test]
    fn a_bad_setting_names_its_source_and_no_secret() {
        for bad in [
            "mysql://me:secret@db/auth",
            "postgres://me:secret@db:x/auth",
            "postgres://me:secret@db/auth?sslmode=maybe",
            "postgres://me:secret@db/a?x=1",
            "postgres://me:secret@db/a?connect_timeout=soon",
            "postgres://me:secret@a,b/a?port=1,2,3",
        ] {
            let text = url(bad).unwrap_err().report().to_string();
            assert!(text.contains("DATABASE_URL") && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (bad, words) in [
            ("postgres://db/a?sslmode=disable&channel_binding=require", "contradicts sslmode `disable`"),
            ("postgres://db/a?sslmode=require&sslrootcert=system", "too weak"),
            ("postgres://db/a?sslnegotiation=direct", "too weak"),
            ("postgres:///a?hostaddr=127.0.0.1&sslmode=verify-full", "no name to look for"),
        ] {
            let text = url(bad).unwrap_err().report().to_string();
            assert!(text.contains(words), "{text}");
        }
        assert_eq!(url("postgres://db/a?sslrootcert=system").unwrap().tls.mode, TlsMode::VerifyFull);
    }

    #[test]
    fn a_later_source_adds_neither_an_address_nor_a_password() {
        let mut database = Database::default();
        database.merge(layer(vec![("host".into(), "a".into())], "DB_HOST"));
        let file = |n| (n == PASSWORD_FILE).then(|| ("/f".to_owned(), "DB_PASSWORD_FILE"));
        database.merge(std::array::from_fn(file));
        database.merge(layer(vec![("hostaddr".into(), "1.2.3.4".into()), ("password".into(), "p".into())], "PG"));
        let target = database.target().unwrap();
        assert_eq!(target.hosts[0].address, None);
        assert!(target.given_password().is_none() && target.password.is_some());
    }

    #[test]
    fn a_later_source_adds_no_port_to_an_earlier_ones_host() {
        let of = |sources: [&[(&str, &str)]; 2]| {
            let mut database = Database::default();
            for (settings, source) in sources.into_iter().zip(["DATABASE_URL", "DB_*"]) {
                let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
                database.merge(layer(settings.collect(), source));
            }
            database.target().unwrap().hosts[0].to_string()
        };
        assert_eq!(of([&[("host", "a")], &[("port", "1")]]), "a:5432");
        assert_eq!(of([&[("host", "a")], &[("host", "b"), ("port", "1")]]), "a:5432");
        assert_eq!(of([&[("hostaddr", "1.2.3.4")], &[("port", "1")]]), "1.2.3.4:5432");
        // Of a source that names no server the port is one for whichever there will be.
        assert_eq!(of([&[("port", "1")], &[("host", "b"), ("port", "2")]]), "b:1");
        assert_eq!(of([&[("dbname", "x")], &[("host", "b"), ("port", "2")]]), "b:2");
    }

    #[test]
    fn two_passwords_of_one_source_are_refused() {
        let mut database = Database::default();
        let both = |n| match n {
            PASSWORD => Some(("hush".to_owned(), "DB_PASSWORD")),
            PASSWORD_FILE => Some(("/f".to_owned(), "DB_PASSWORD_FILE")),
            _ => None,
        };
        database.merge(std::array::from_fn(both));
        let text = database.target().unwrap_err().report().to_string();
        assert!(text.contains("both DB_PASSWORD and DB_PASSWORD_FILE") && !text.contains("hush"), "{text}");
    }

    #[test]
    fn a_password_of_several_lines_is_refused() {
        for bad in ["postgres://me:hu%0Ash@db/auth", "postgres://me:hush%0D@db/auth"] {
            let text = url(bad).unwrap_err().report().to_string();
            assert!(
                text.contains("the password in DATABASE_URL has more than one line") && !text.contains("hu"),
                "{text}"
            );
        }
    }

    #[test]
    fn sources_show_no_secret() {
        let mut database = Database::default();
        let url = "postgres://me:secret@db/auth?options=-c%20app.key%3Dhush%20-c%20geqo%3Doff";
        database.merge_url(url, "DATABASE_URL").unwrap();
        let shown = format!("{:?} {:?}", database.sources(), database.target().unwrap());
        assert!(shown.contains("***") && !shown.contains("secret"), "{shown}");
        let sources = format!("{:?}", database.sources());
        assert!(sources.contains("-c app.key=*** -c geqo=off"), "{sources}");
    }
}
