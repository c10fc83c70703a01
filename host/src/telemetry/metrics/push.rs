//! The push gateway of Prometheus, for where no file is read and nothing is there long enough to be scraped.
//!
//! The gateway adds nothing up. So that values outlive a run as they do in the text file, what it has of this database is asked for first;
//! where it does not say (it is something else that takes what is pushed), what was measured by this run is all there is.
//!
//! <https://github.com/prometheus/pushgateway#api>

use std::{fmt, io::Read as _, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Url, blocking::Client};

use super::{
    edits::Edits,
    series::Series,
    sink::{Brought, Moment, Place},
};
use crate::{
    error::{Error, Result},
    telemetry::client::{client, explain},
};

/// How long each of its two answers may take. No run waits as long: the time at its end is shorter.
const TIMEOUT: Duration = Duration::from_secs(30);
/// As much is read of what it has. One of thousands of databases has less.
const ANSWER_BYTES_MAX: u64 = 32 << 20;
/// The job, as everything of Lockgate's is called there.
pub const JOB: &str = "lockgate";

/// See the module.
pub struct Gateway {
    /// May hold a name and a password.
    url: Url,
    server: String,
    database: String,
    client: Option<Client>,
    has_begun: bool,
}

impl Gateway {
    /// The gateway there, for the metrics of a database; nothing is asked of it yet.
    ///
    /// # Errors
    /// [`Error::Configuration`] when it is no URL.
    pub fn parse(text: &str, server: &str, database: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::configuration(
                format!("the URL of the push gateway cannot be used: {why}"),
                "write it as `http://pushgateway:9091`; see docs/telemetry.md",
            )
        };
        let url = Url::parse(text).map_err(|e| wrong(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it begins neither with `http://` nor with `https://`"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has more to it than a host and a path"));
        }
        Ok(Self { url, server: server.to_owned(), database: database.to_owned(), client: None, has_begun: false })
    }

    fn below(&self, segments: &[&str]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Where what is pushed belongs.
    fn group(&self) -> Url {
        let [server, database] = [grouped("server", &self.server), grouped("database", &self.database)];
        self.below(&["metrics", "job", JOB, &server.0, &server.1, &database.0, &database.1])
    }

    fn push(&mut self, edits: &Edits) -> Result<(), String> {
        let client = match &self.client {
            Some(client) => client,
            None => self.client.insert(client(TIMEOUT, None)?),
        };
        let client = client.clone();
        let answer = client.get(self.below(&["metrics"])).send().map_err(explain)?;
        let mut known = String::new();
        if answer.status().is_success() {
            answer.take(ANSWER_BYTES_MAX).read_to_string(&mut known).map_err(|e| e.to_string())?;
        }
        let mut series = Series::of_group(&known, JOB, &self.server, &self.database);
        edits.apply(&mut series);
        let text = client.post(self.group()).header("content-type", "text/plain; version=0.0.4").body(series.text());
        let answer = text.send().map_err(explain)?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answers {status}")),
        }
    }
}

/// Without the password.
impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.url.clone();
        // Refused only where there is no host, and then there is no password.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        write!(f, "{url}")
    }
}

impl Place for Gateway {
    fn bring(&mut self, edits: &Edits, moment: Moment) -> Brought {
        if self.has_begun && moment == Moment::Midway {
            return Brought::Later;
        }
        self.has_begun = true;
        self.push(edits).map_or_else(Brought::Failed, |()| Brought::Done)
    }
}

/// The name and the value of a label, as the path of a group has them.
fn grouped(name: &str, value: &str) -> (String, String) {
    match value {
        "" => (format!("{name}@base64"), "=".to_owned()),
        // A slash would end the segment, whether it is encoded or not; `.` and `..` lead elsewhere.
        _ if value.contains('/') || matches!(value, "." | "..") => {
            (format!("{name}@base64"), URL_SAFE_NO_PAD.encode(value))
        }
        _ => (name.to_owned(), value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_named_as_the_gateway_reads_it() {
        let path = |base: &str, server: &str, database: &str| {
            Gateway::parse(base, server, database).unwrap().group().path().to_owned()
        };
        assert_eq!(path("http://g:9091", "h:5432", "auth"), "/metrics/job/lockgate/server/h:5432/database/auth");
        assert_eq!(path("http://g/push/", "h:1", "a b%"), "/push/metrics/job/lockgate/server/h:1/database/a%20b%25");
        assert_eq!(
            path("http://g", "/run/pg:5432", ""),
            "/metrics/job/lockgate/server@base64/L3J1bi9wZzo1NDMy/database@base64/="
        );
    }

    #[test]
    fn what_is_no_url_is_refused_and_a_password_never_shown() {
        for wrong in ["gateway", "ftp://g", "gateway:9091", "http://g/?x=hush"] {
            let error = Gateway::parse(wrong, "s", "d").err().unwrap().to_string();
            assert!(error.contains("push gateway") && !error.contains("hush"), "{error}");
        }
        assert_eq!(Gateway::parse("http://me:hush@g:9091", "s", "d").unwrap().to_string(), "http://g:9091/");
    }
}
