//! Where traces and metrics go: the option, the variables that every program with OpenTelemetry heeds, and `lockgate.toml`.
//!
//! The variables: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>

use std::{path::PathBuf, time::Duration};

use reqwest::Url;

use crate::{
    config::masked,
    error::{Error, Result},
};

/// What the specification says unless `OTEL_EXPORTER_OTLP_TIMEOUT` does.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is more is no limit.
const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The spans of a run.
    Traces,
    /// What it measures.
    Metrics,
}

impl Signal {
    /// As it is called in the names of variables.
    fn variable(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
        }
    }

    /// Where it goes below an endpoint that is for both.
    fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Metrics => "v1/metrics",
        }
    }
}

/// Where a signal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// All of it.
    pub url: Url,
    /// How long an export may take, tries together.
    pub timeout: Duration,
    /// A file of the certificates to trust, in the place of the system's.
    pub certificates: Option<PathBuf>,
}

impl Endpoint {
    /// Without what may be a key.
    pub fn shown(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.to_string()
    }
}

/// Where both go.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Nothing: no traces.
    pub traces: Option<Endpoint>,
    /// Nothing: no metrics.
    pub metrics: Option<Endpoint>,
    /// What of the environment cannot be heeded, and why. It may be set for many programs, so that it stops none.
    pub ignored: Vec<String>,
}

impl Endpoints {
    /// Where they go by an option or a variable of Lockgate's, by the environment, by `lockgate.toml`; the first that names one counts.
    ///
    /// # Errors
    /// [`Error::Configuration`] where what Lockgate was told is no endpoint.
    pub fn of(
        named: Option<&str>,
        environment: &dyn Fn(&str) -> Option<String>,
        section: Option<&str>,
    ) -> Result<Self> {
        let look =
            |name: &str| environment(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        if look("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(Self::default());
        }
        let mut endpoints = Self::default();
        endpoints.traces = endpoints.one(Signal::Traces, named, &look, section)?;
        endpoints.metrics = endpoints.one(Signal::Metrics, named, &look, section)?;
        if endpoints.traces.is_some() || endpoints.metrics.is_some() {
            endpoints.check_protocol(&look);
        }
        Ok(endpoints)
    }

    fn one(
        &mut self,
        signal: Signal,
        named: Option<&str>,
        look: &dyn Fn(&str) -> Option<String>,
        section: Option<&str>,
    ) -> Result<Option<Endpoint>> {
        if look(&format!("OTEL_{}_EXPORTER", signal.variable())).is_some_and(|value| value == "none") {
            return Ok(None);
        }
        let for_signal = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.variable());
        let told = |text: &str| {
            url(text).map(|url| below(url, signal)).map_err(|why| {
                let what = format!("the endpoint for OpenTelemetry cannot be used: {why}");
                Error::configuration(what, "write it as `http://collector:4318`; see docs/telemetry.md")
            })
        };
        let mut heeded = |name: &str, text: &str| {
            let read = url(text);
            read.map_err(|why| self.ignore(format!("{name} is ignored: {why}"))).ok()
        };
        let url = if let Some(text) = named {
            Some(told(text)?)
        } else if let Some(text) = look(&for_signal) {
            // As it is, by the specification.
            heeded(&for_signal, &text)
        } else if let Some(text) = look("OTEL_EXPORTER_OTLP_ENDPOINT") {
            heeded("OTEL_EXPORTER_OTLP_ENDPOINT", &text).map(|url| below(url, signal))
        } else {
            section.map(told).transpose()?
        };
        let Some(url) = url else { return Ok(None) };
        let of_signal = |what: &str| {
            look(&format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.variable()))
                .or_else(|| look(&format!("OTEL_EXPORTER_OTLP_{what}")))
        };
        let timeout = of_signal("TIMEOUT").and_then(|text| text.parse().ok()).filter(|ms| *ms > 0);
        let timeout = timeout.map_or(TIMEOUT, Duration::from_millis);
        let timeout = timeout.min(TIMEOUT_MAX);
        Ok(Some(Endpoint { url, timeout, certificates: of_signal("CERTIFICATE").map(PathBuf::from) }))
    }

    /// Once, also where it is so for both.
    fn ignore(&mut self, why: String) {
        if !self.ignored.contains(&why) {
            self.ignored.push(why);
        }
    }

    fn check_protocol(&mut self, look: &dyn Fn(&str) -> Option<String>) {
        for name in
            ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"]
        {
            if let Some(value) = look(name).filter(|value| value != "http/protobuf") {
                self.ignored.push(format!("{name}=`{value}` is ignored: only `http/protobuf` is spoken"));
            }
        }
    }
}

/// The URL of an endpoint; what is wrong with it, without its text when that may hold a password.
fn url(text: &str) -> Result<Url, String> {
    if text.contains('@') {
        return Err("it holds a name or a password; OTEL_EXPORTER_OTLP_HEADERS is the place for those".into());
    }
    let shown = masked::place(text);
    let url = Url::parse(text).map_err(|e| format!("`{shown}`: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{shown}` begins neither with `http://` nor with `https://`"));
    }
    Ok(url)
}

/// The URL of a signal below that of both.
fn below(mut url: Url, signal: Signal) -> Url {
    let path = format!("{}/{}", url.path().trim_end_matches('/'), signal.path());
    url.set_path(&path);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(named: Option<&str>, environment: &[(&str, &str)], section: Option<&str>) -> Result<Endpoints> {
        let look =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Endpoints::of(named, &look, section)
    }

    fn urls(named: Option<&str>, environment: &[(&str, &str)], section: Option<&str>) -> [Option<String>; 2] {
        let found = endpoints(named, environment, section).unwrap();
        [found.traces, found.metrics].map(|endpoint| endpoint.map(|endpoint| endpoint.url.to_string()))
    }

    fn both(base: &str) -> [Option<String>; 2] {
        [Some(format!("{base}/v1/traces")), Some(format!("{base}/v1/metrics"))]
    }

    #[test]
    fn the_option_comes_before_the_environment_and_that_before_the_file() {
        let (general, traces) = (
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces/all/of/it"),
        );
        let file = Some("http://file");
        assert_eq!(urls(None, &[], None), [None, None], "off unless one is named");
        assert_eq!(urls(Some("http://option/"), &[general, traces], file), both("http://option"));
        assert_eq!(urls(None, &[general], file), both("http://general:4318"));
        assert_eq!(urls(None, &[], Some("https://file/otlp/")), both("https://file/otlp"));
        let [_, metrics] = both("http://general:4318");
        assert_eq!(urls(None, &[general, traces], file), [Some("http://traces/all/of/it".into()), metrics]);
        assert_eq!(urls(None, &[traces], None), [Some("http://traces/all/of/it".into()), None]);
    }

    #[test]
    fn the_environment_can_turn_it_off() {
        let named = Some("http://option");
        assert_eq!(urls(named, &[("OTEL_SDK_DISABLED", "TRUE")], None), [None, None]);
        assert_eq!(urls(named, &[("OTEL_SDK_DISABLED", "false")], None), both("http://option"));
        let [traces, metrics] = both("http://option");
        assert_eq!(urls(named, &[("OTEL_METRICS_EXPORTER", "none")], None), [traces, None]);
        assert_eq!(urls(named, &[("OTEL_TRACES_EXPORTER", "none")], None), [None, metrics]);
    }

    #[test]
    fn times_and_certificates_are_for_one_signal_or_for_both() {
        let environment = [
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ];
        let found = endpoints(Some("https://c?key=hush"), &environment, None).unwrap();
        let (traces, metrics) = (found.traces.unwrap(), found.metrics.unwrap());
        assert_eq!((traces.timeout, metrics.timeout), (Duration::from_millis(300), TIMEOUT));
        assert_eq!(traces.certificates, Some("/ca.pem".into()));
        assert_eq!(traces.url.as_str(), "https://c/v1/traces?key=hush");
        assert_eq!(traces.shown(), "https://c/v1/traces");
    }

    #[test]
    fn what_lockgate_was_told_is_refused_and_what_the_environment_has_ignored() {
        for (wrong, why) in [
            ("collector:4318", "begins neither"),
            ("ftp://collector", "begins neither"),
            ("collector", "relative URL without a base"),
            ("http://me:hush@collector", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("c?sig=hush", "`c?***`"),
        ] {
            for error in [endpoints(Some(wrong), &[], None), endpoints(None, &[], Some(wrong))] {
                let error = error.unwrap_err().to_string();
                assert!(error.contains(why) && !error.contains("hush"), "{error}");
            }
            let found = endpoints(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)], None).unwrap();
            assert_eq!((found.traces, found.metrics), (None, None));
            assert_eq!(found.ignored.len(), 1, "once for both");
            assert!(found.ignored[0].contains(why) && !found.ignored[0].contains("hush"), "{:?}", found.ignored);
        }
        let grpc = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        assert_eq!(endpoints(Some("http://c"), &grpc, None).unwrap().ignored.len(), 1);
        assert!(endpoints(None, &grpc, None).unwrap().ignored.is_empty(), "nothing is exported");
    }
}
