//! What an S3 store needs to know beside its bucket.

use std::path::PathBuf;

use serde::Deserialize;

/// `[backup.s3]` in `lockgate.toml`. Credentials come from the environment (`AWS_ACCESS_KEY_ID`, …), never from the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct S3Settings {
    /// Where the store is, if it is not Amazon's: `https://minio.example:9000`.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// Whether the bucket is named in the path of a request; else it is part of the host's name. With an endpoint it is, unless set.
    pub path_style: Option<bool>,
    /// Whether an endpoint of another machine may be talked to without TLS.
    pub allow_http: bool,
    /// The certificates to trust, as PEM; the system's unless set.
    pub ssl_root_cert: Option<PathBuf>,
    /// How the store is to encrypt what it keeps; unless set, as the bucket says.
    pub sse: Option<ServerSideEncryption>,
    /// The key for `aws:kms`.
    pub kms_key_id: Option<String>,
    /// Whether the bucket's own key takes part, which saves calls of the key service; unless set, as the bucket says.
    pub bucket_key: Option<bool>,
    /// Whether the store is asked to compare a SHA-256 with what it received. It is, unless set.
    #[schemars(extend("default" = true))]
    pub checksums: Option<bool>,
    /// For how long a request that fails is tried again, in seconds. 3 minutes unless set.
    #[schemars(extend("default" = 180))]
    pub retry_timeout_s: Option<u64>,
}

/// How a store encrypts what it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
pub enum ServerSideEncryption {
    /// With keys of the store's own.
    #[serde(rename = "AES256")]
    Aes256,
    /// With a key of the key service.
    #[serde(rename = "aws:kms")]
    Kms,
}
