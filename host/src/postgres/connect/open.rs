//! The way to a server: several may be tried, each with and without TLS, until one answers that will do.
//!
//! The rules are libpq's (PostgreSQL manual, "Specifying Multiple Hosts"; `PQconnectPoll` in `fe-connect.c`). A server that cannot be
//! reached, is only starting, or will not do is passed over; one that refuses the login, or whose certificate is wrong, ends the search: it
//! is the one that was meant.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_postgres::{
    config::SslMode,
    tls::{MakeTlsConnect, TlsConnect},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::Span;

use super::{
    Host, LoadBalance, Password, SessionAttributes, Settled, Target, Tls, TlsMode,
    refusal::{Refusal, refusal, role_refused, tls_error},
};
use crate::{
    error::{Error, Result},
    postgres::{Opening, Session, opening::Answer},
    telemetry::spans,
};

impl Session {
    /// Connects and prepares the session: one round trip after the connection's own. All clones of the target stay with the server that
    /// was found.
    ///
    /// # Errors
    /// [`Error::Unreachable`] with what to do about it; [`Error::Configuration`] where a file of the settings cannot be used.
    pub async fn connect(target: &Target, application_name: &str) -> Result<Self> {
        Opening::connect(target, application_name, &[]).await?.0.session().await
    }
}

impl Opening {
    /// Connects and asks questions without parameters: one round trip after the connection's own, and another before it where the server is to
    /// be of a certain kind. Without a question it is prepared in their place. Each question has an answer of its own, in this order.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub(in crate::postgres) async fn connect(
        target: &Target,
        application_name: &str,
        questions: &[String],
    ) -> Result<Opened> {
        let outer = Span::current();
        let found = Box::pin(Self::find(target, application_name, questions, outer));
        spans::within(spans::connect(target), found).await
    }

    /// `outer` is what the connection belongs to, once it is there.
    async fn find(target: &Target, application_name: &str, questions: &[String], outer: Span) -> Result<Opened> {
        let way = Way::of(target, application_name, questions, outer).await?;
        let mut refusals = Vec::new();
        for wanted in target.attributes.rounds() {
            // The first round of `prefer-standby` only says that there is no standby.
            refusals.clear();
            for host in shuffled(target.candidates(), target.load_balance) {
                let addresses = match way.addresses(&host).await {
                    Ok(addresses) => addresses,
                    Err(refused) => {
                        refusals.push(refused);
                        continue;
                    }
                };
                for host in addresses {
                    match way.reach(&host, *wanted).await {
                        Ok(opened) => {
                            target.stay_with(host);
                            return Ok(opened);
                        }
                        Err(Failure::Passed(refused)) => {
                            tracing::debug!(cause = refused.cause, "{} will not do", refused.host);
                            refusals.push(refused);
                        }
                        Err(Failure::Ends(refused)) => {
                            refusals.push(refused);
                            return Err(Refusal::into_error(&refusals, target));
                        }
                        Err(Failure::Other(error)) => return Err(*error),
                    }
                }
            }
        }
        Err(Refusal::into_error(&refusals, target))
    }
}

/// A connection, and what the server answered at once.
type Opened = (Opening, Vec<Answer>);

/// Why an attempt has failed.
enum Failure {
    /// Another server may do.
    Passed(Refusal),
    /// This is the one that was meant.
    Ends(Refusal),
    /// It is no matter of the server.
    Other(Box<Error>),
}

/// Of one attempt: whether the same server may answer otherwise with, or without, TLS.
struct Attempt {
    failure: Failure,
    /// It refused, or the handshake failed.
    refused: bool,
    /// TLS had begun.
    encrypted: bool,
}

/// What all attempts have in common.
struct Way<'a> {
    target: &'a Target,
    config: tokio_postgres::Config,
    /// `None`: there will be no TLS.
    tls: Option<Settled>,
    connector: MakeRustlsConnect,
    questions: &'a [String],
    outer: Span,
}

impl<'a> Way<'a> {
    async fn of(target: &'a Target, application_name: &str, questions: &'a [String], outer: Span) -> Result<Self> {
        if let Some(password) = &target.password {
            Password::read_aside(password).await?;
        }
        // There is no TLS on a socket, whatever the mode.
        let never = target.hosts.iter().all(Host::is_socket) || target.tls.mode == TlsMode::Disable;
        let settled = if never { Tls::of_mode(TlsMode::Disable).settle()? } else { target.tls.settle()? };
        let connector = settled.connector()?;
        let config = target.config(application_name);
        Ok(Self { target, config, tls: (!never).then_some(settled), connector, questions, outer })
    }

    /// All that a name stands for.
    async fn addresses(&self, host: &Host) -> Result<Vec<Host>, Refusal> {
        if host.is_socket() || host.address.is_some() {
            return Ok(vec![host.clone()]);
        }
        let found = within(self.target.connect_timeout, tokio::net::lookup_host((host.name.as_str(), host.port))).await;
        let cause = match found {
            Some(Ok(found)) => {
                let mut addresses: Vec<IpAddr> = Vec::new();
                for address in found.map(|address| address.ip()) {
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
                if !addresses.is_empty() {
                    let hosts =
                        addresses.into_iter().map(|address| Host { address: Some(address), ..host.clone() }).collect();
                    return Ok(shuffled(hosts, self.target.load_balance));
                }
                "its name has no address".to_owned()
            }
            Some(Err(error)) => error.to_string(),
            None => format!("its name is not found within {} s", self.target.connect_timeout.as_secs()),
        };
        Err(Refusal {
            host: host.clone(),
            cause: format!("error connecting to server: {cause}"),
            next: "check DB_HOST and DB_PORT, and that the server runs".into(),
        })
    }

    /// One server, with and without TLS as the mode has it.
    async fn reach(&self, host: &Host, wanted: SessionAttributes) -> Result<Opened, Failure> {
        let tries: &[SslMode] = match self.target.tls.mode {
            _ if host.is_socket() => &[SslMode::Disable],
            TlsMode::Disable => &[SslMode::Disable],
            TlsMode::Allow => &[SslMode::Disable, SslMode::Prefer],
            TlsMode::Prefer => &[SslMode::Prefer, SslMode::Disable],
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => &[SslMode::Require],
        };
        let mut first: Option<Failure> = None;
        for (n, mode) in tries.iter().enumerate() {
            match self.attempt(host, *mode, wanted).await {
                Ok(opened) => return Ok(opened),
                Err(Attempt { failure, refused, encrypted }) => {
                    let again = n + 1 < tries.len() && refused && encrypted == (*mode == SslMode::Prefer);
                    if !again {
                        return Err(match first {
                            None => failure,
                            Some(first) => first.joined(&failure),
                        });
                    }
                    if let Failure::Ends(refused) = &failure {
                        tracing::debug!(cause = refused.cause, encrypted, "trying {host} the other way");
                    }
                    first = Some(failure);
                }
            }
        }
        Err(first.unwrap_or_else(|| Failure::Passed(self.silent(host))))
    }

    async fn attempt(&self, host: &Host, mode: SslMode, wanted: SessionAttributes) -> Result<Opened, Attempt> {
        let other = |error| Attempt { failure: Failure::Other(Box::new(error)), refused: false, encrypted: false };
        let mut config = self.config.clone();
        config.host(&host.name).port(host.port).ssl_mode(mode);
        if let Some(address) = host.address {
            config.hostaddr(address);
        }
        if let Some(password) = self.target.effective_password(host).map_err(other)? {
            config.password(password.reveal());
        }
        let tls = Noting { inner: self.connector.clone(), begun: Arc::default() };
        let begun = Arc::clone(&tls.begun);
        let opening = async {
            let (client, connection) = config.connect(tls.clone()).await?;
            let mut opened = Opening::over(client, connection, tls.inner.clone(), self.target, self.outer.clone());
            let unfit = match (wanted, self.questions) {
                (SessionAttributes::Any, [_, ..]) => None,
                _ => {
                    let server = opened.prepare().await?;
                    wanted.unfit(server.in_recovery, server.read_only)
                }
            };
            let answers = if unfit.is_none() { opened.ask(self.questions).await } else { Vec::new() };
            Ok((unfit, (opened, answers)))
        };
        // The driver's own limit ends when the port has answered; what answers may be no server at all.
        let opened = within(self.target.connect_timeout * 2, opening).await;
        let encrypted = begun.load(Ordering::Relaxed);
        let error = match opened {
            Some(Ok((unfit, opened))) => {
                return match unfit {
                    None => Ok(opened),
                    Some(why) => {
                        let next = format!(
                            "target_session_attrs is `{}`: name the server that is meant, or say DB_TARGET_SESSION_ATTRS=any",
                            self.target.attributes.as_str()
                        );
                        let refusal = Refusal { host: host.clone(), cause: why.to_owned(), next };
                        Err(Attempt { failure: Failure::Passed(refusal), refused: false, encrypted })
                    }
                };
            }
            Some(Err(error)) => error,
            None => return Err(Attempt { failure: Failure::Passed(self.silent(host)), refused: false, encrypted }),
        };
        if let Some(error) = role_refused(self.target, &error) {
            return Err(other(error));
        }
        let sqlstate = error.code().map(|code| code.code().to_owned());
        // Class 28 is the login's; what comes behind it is no matter of TLS.
        let login_refused = sqlstate.as_deref().is_some_and(|state| state.starts_with("28"));
        let refused = login_refused || (encrypted && error.to_string().starts_with("error performing TLS"));
        // 57P03: the server starts or ends.
        let passes = error.to_string().starts_with("error connecting") || sqlstate.as_deref() == Some("57P03");
        let tls = self.tls.as_ref().filter(|_| !host.is_socket() && (encrypted || tls_error(&error).is_none()));
        let refusal = refusal(self.target, host, tls, &error);
        let failure = if passes { Failure::Passed(refusal) } else { Failure::Ends(refusal) };
        Err(Attempt { failure, refused, encrypted })
    }

    fn silent(&self, host: &Host) -> Refusal {
        Refusal {
            host: host.clone(),
            cause: format!("no answer within {} s", (self.target.connect_timeout * 2).as_secs()),
            next: "check that DB_HOST and DB_PORT name a PostgreSQL server".into(),
        }
    }
}

impl Failure {
    /// Both ways to the same server have failed: the first says what was wanted.
    fn joined(self, second: &Self) -> Self {
        match (self, second) {
            (Self::Ends(first), Self::Ends(second) | Self::Passed(second)) if first.cause != second.cause => {
                Self::Ends(Refusal { cause: format!("{}; the other way: {}", first.cause, second.cause), ..first })
            }
            (first, _) => first,
        }
    }
}

/// In another order each time, where that is wanted.
fn shuffled(mut hosts: Vec<Host>, balance: LoadBalance) -> Vec<Host> {
    if balance == LoadBalance::Random {
        fastrand::shuffle(&mut hosts);
    }
    hosts
}

/// `None` when it takes longer. Zero: as long as it takes.
async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    if limit.is_zero() { Some(work.await) } else { tokio::time::timeout(limit, work).await.ok() }
}

/// Makes TLS connections, and notes that one has begun: only then may `prefer` try again without.
#[derive(Clone)]
struct Noting {
    inner: MakeRustlsConnect,
    begun: Arc<AtomicBool>,
}

/// One that is about to begin.
struct NotingConnect<C> {
    inner: C,
    begun: Arc<AtomicBool>,
}

impl<S> MakeTlsConnect<S> for Noting
where
    MakeRustlsConnect: MakeTlsConnect<S>,
{
    type Stream = <MakeRustlsConnect as MakeTlsConnect<S>>::Stream;
    type TlsConnect = NotingConnect<<MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect>;
    type Error = <MakeRustlsConnect as MakeTlsConnect<S>>::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, Self::Error> {
        Ok(NotingConnect { inner: self.inner.make_tls_connect(domain)?, begun: Arc::clone(&self.begun) })
    }
}

impl<S, C: TlsConnect<S>> TlsConnect<S> for NotingConnect<C> {
    type Stream = C::Stream;
    type Error = C::Error;
    type Future = C::Future;

    fn connect(self, stream: S) -> Self::Future {
        self.begun.store(true, Ordering::Relaxed);
        self.inner.connect(stream)
    }
}
