//! `[rehearsal]` in `lockgate.toml`.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{Extent, Verdict};

/// Where the certificate is kept unless a setting says otherwise.
const CERTIFICATE: &str = ".lockgate/rehearsal.json";

/// As it is written in the file.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Section {
    /// Where the copy is made: `scratch`, `embedded`, `container`, or the URL of a server's database to connect to.
    #[schemars(extend("default" = "scratch"))]
    on: Option<String>,
    /// Whether the copy has rows, and whether those of rehearsals that count must have had some.
    #[schemars(extend("default" = "data"))]
    extent: Option<Extent>,
    /// Tables whose rows a way down need not bring back, each with its schema unless that is `public`.
    ignore_content: Vec<String>,
    /// A component or a SQL file that masks personal data in the copy first.
    mask: Option<PathBuf>,
    /// The mildest verdict that fails a rehearsal; none does unless set.
    fail_on: Option<Verdict>,
    /// How long others may wait before a lock is no longer called brief, in milliseconds.
    #[schemars(extend("default" = 1_000))]
    brief_ms: Option<u64>,
    /// How long others may wait before a migration is said to need a window, in seconds.
    #[schemars(extend("default" = 60))]
    window_s: Option<u64>,
    /// The file of the certificate: a rehearsal writes it, a run reads it.
    #[schemars(extend("default" = CERTIFICATE))]
    certificate: Option<PathBuf>,
    /// The file of the private key that certificates are signed with: Ed25519, PKCS #8, PEM.
    signing_key: Option<PathBuf>,
    /// The files of the public keys whose certificates count: PEM.
    trusted_keys: Vec<PathBuf>,
    /// Whether every `up` requires a certificate.
    require: bool,
    /// How old a certificate may be, in seconds.
    #[schemars(extend("default" = 86_400))]
    max_age_s: Option<u64>,
}

/// How migrations are rehearsed, and which rehearsals count.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the copy is made: `scratch`, `embedded`, `container`, or the URL of a server's database to connect to. `scratch` unless set.
    pub on: String,
    /// Whether the copy has rows, and whether those of rehearsals that count must have had some. They have unless set.
    pub extent: Extent,
    /// Tables whose rows a way down need not bring back, such as an audit log that triggers write; each with its schema unless that is
    /// `public`.
    pub ignore_content: Vec<String>,
    /// A component or a SQL file that masks personal data in the copy before anything else is done with it.
    pub mask: Option<PathBuf>,
    /// The mildest verdict that fails a rehearsal; `None`: none does.
    pub fail_on: Option<Verdict>,
    /// How long others may wait before a lock is no longer called brief. A second unless set.
    pub brief: Duration,
    /// How long others may wait before a migration is said to need a window. A minute unless set.
    pub window: Duration,
    /// The file of the certificate: written by a rehearsal, read by a run. `.lockgate/rehearsal.json` unless set.
    pub certificate: PathBuf,
    /// The file of the private key that certificates are signed with: Ed25519, PKCS #8, PEM.
    pub signing_key: Option<PathBuf>,
    /// The files of the public keys whose certificates count: PEM.
    pub trusted_keys: Vec<PathBuf>,
    /// Whether every `up` requires a certificate.
    pub require: bool,
    /// How old a certificate may be. A day unless set.
    pub max_age: Duration,
}

impl From<Section> for Settings {
    fn from(section: Section) -> Self {
        Self {
            on: section.on.unwrap_or_else(|| "scratch".into()),
            extent: section.extent.unwrap_or(Extent::Data),
            ignore_content: section.ignore_content,
            mask: section.mask,
            fail_on: section.fail_on,
            brief: Duration::from_millis(section.brief_ms.unwrap_or(1_000)),
            window: Duration::from_secs(section.window_s.unwrap_or(60)),
            certificate: section.certificate.unwrap_or_else(|| CERTIFICATE.into()),
            signing_key: section.signing_key,
            trusted_keys: section.trusted_keys,
            require: section.require,
            max_age: Duration::from_secs(section.max_age_s.unwrap_or(86_400)),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Section::default().into()
    }
}
