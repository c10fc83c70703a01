//! From the settings and the environment to a client: where it connects to, how it encrypts, and as whom.

use std::{net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, CredentialProvider, RetryConfig,
    aws::{
        AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider, Checksum, S3ConditionalPut,
    },
    client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService},
};
use reqwest::{StatusCode, Url, redirect};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::super::settings::{S3Settings, ServerSideEncryption};
use crate::error::{Error, Result};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the other side may neither take nor acknowledge anything: the same as for the database.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an answer may take, or its next piece. A part has to be sent within it: 8 MiB at 70 kB/s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// How often a request that fails is tried again, and unless set for how long.
const RETRIES: usize = 10;
const RETRY_TIMEOUT: Duration = Duration::from_secs(180);
/// Where credentials come from is near, or not there at all.
const CREDENTIAL_RETRIES: usize = 2;
const CREDENTIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for the bucket, with this access key or with what the environment has. Nothing is asked of the store yet.
pub(super) fn connect(key: Option<(&str, &str)>, bucket: &str, settings: &S3Settings) -> Result<AmazonS3> {
    let wrong = |what: String| Error::configuration(what, "see `[backup.s3]` in docs/configuration.md");
    let in_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !bucket.chars().all(in_name) {
        return Err(wrong(format!("`{bucket}` is no name of a bucket")));
    }
    let begun = match key {
        Some((id, secret)) => AmazonS3Builder::new().with_access_key_id(id).with_secret_access_key(secret),
        None => AmazonS3Builder::from_env(),
    };
    let named = settings.endpoint.clone();
    let endpoint = named
        .or_else(|| begun.get_config_value(&AmazonS3ConfigKey::S3Endpoint))
        .or_else(|| begun.get_config_value(&AmazonS3ConfigKey::Endpoint));
    // A name with a dot in it fits no certificate of the store's.
    let path_style = settings.path_style.unwrap_or(endpoint.is_some() || bucket.contains('.'));
    let endpoint = endpoint.map(|text| Endpoint::parse(&text, bucket, path_style, settings.allow_http)).transpose();
    let endpoint = endpoint.map_err(|why| wrong(format!("the endpoint of the S3 store cannot be used: {why}")))?;

    let retry_timeout = settings.retry_timeout_s.map_or(RETRY_TIMEOUT, Duration::from_secs);
    // Not the library's own options from the environment, of which one lets any certificate pass.
    let options = ClientOptions::new().with_allow_http(endpoint.as_ref().is_some_and(|endpoint| endpoint.is_plain));
    let mut builder = begun
        .with_bucket_name(bucket)
        .with_virtual_hosted_style_request(!path_style)
        .with_client_options(options)
        .with_http_connector(Connector { tls: tls(settings)? })
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // Files go one by one; not every store knows how to remove several at a time.
        .with_disable_bulk_delete(true)
        .with_retry(retry(RETRIES, retry_timeout));
    if let Some(endpoint) = endpoint {
        // The library prefers the variable for S3 to an endpoint that it is told.
        builder = builder.with_endpoint(&endpoint.url).with_config(AmazonS3ConfigKey::S3Endpoint, endpoint.url);
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if settings.checksums.unwrap_or(true) {
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    builder = encrypting(builder, settings).map_err(wrong)?;

    let unusable = |e: object_store::Error| wrong(format!("the S3 store cannot be used: {e}"));
    let quick = builder.clone().with_retry(retry(CREDENTIAL_RETRIES, CREDENTIAL_TIMEOUT)).build().map_err(unusable)?;
    builder.with_credentials(Arc::new(Credentials(Arc::clone(quick.credentials())))).build().map_err(unusable)
}

fn retry(max_retries: usize, retry_timeout: Duration) -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries, retry_timeout }
}

fn encrypting(builder: AmazonS3Builder, settings: &S3Settings) -> Result<AmazonS3Builder, String> {
    let of_no_use = |key: &str| format!("`{key}` is of use with `sse = \"aws:kms\"` only");
    let mut builder = match (settings.sse, &settings.kms_key_id) {
        (Some(ServerSideEncryption::Kms), Some(key)) if !key.is_empty() => builder.with_sse_kms_encryption(key),
        (Some(ServerSideEncryption::Kms), _) => return Err("`sse = \"aws:kms\"` needs `kms_key_id`".into()),
        (_, Some(_)) => return Err(of_no_use("kms_key_id")),
        (Some(ServerSideEncryption::Aes256), None) => {
            // The library keeps the type of this key to itself.
            let key = "aws_server_side_encryption".parse().map_err(|e: object_store::Error| e.to_string())?;
            builder.with_config(key, "AES256")
        }
        (None, None) => builder,
    };
    if let Some(bucket_key) = settings.bucket_key {
        if settings.sse != Some(ServerSideEncryption::Kms) {
            return Err(of_no_use("bucket_key"));
        }
        builder = builder.with_bucket_key(bucket_key);
    }
    Ok(builder)
}

/// Where a store is that is not Amazon's.
#[derive(Debug, PartialEq, Eq)]
struct Endpoint {
    url: String,
    /// Without TLS.
    is_plain: bool,
}

impl Endpoint {
    /// # Errors
    /// What is wrong with it, without its text when that may hold a password.
    fn parse(text: &str, bucket: &str, path_style: bool, allow_http: bool) -> Result<Self, String> {
        if text.contains('@') {
            return Err("it holds a name or a password; credentials come from the environment only".into());
        }
        let mut url = Url::parse(text).map_err(|e| format!("`{text}`: {e}"))?;
        let Some(host) = url.host_str().map(str::to_owned) else { return Err(format!("`{text}` has no host")) };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("`{text}` has more to it than a host and a path"));
        }
        let is_plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(format!("`{text}` begins neither with `https://` nor with `http://`")),
        };
        if is_plain && !allow_http && !is_loopback(&host) {
            return Err(format!("`{text}` has no TLS, and is not on this machine; `allow_http = true` allows that"));
        }
        if !path_style {
            url.set_host(Some(&format!("{bucket}.{host}")))
                .map_err(|e| format!("`{text}` with the bucket before it: {e}"))?;
        }
        Ok(Self { url: url.as_str().trim_end_matches('/').to_owned(), is_plain })
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// TLS as it is for the database: by `ring`, with the system's certificates or those that are named.
fn tls(settings: &S3Settings) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificates = match &settings.ssl_root_cert {
        Some(path) => {
            let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            read.ok().filter(|certificates| !certificates.is_empty()).ok_or_else(|| {
                Error::configuration(
                    format!("`{}` holds no certificates for the S3 store", path.display()),
                    "name a file in PEM format with `ssl_root_cert` under [backup.s3]",
                )
            })?
        }
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(certificates);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::system("setting up TLS", e))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Makes the clients: the library's own would look for a TLS provider of the whole process, which is not ours to install.
#[derive(Debug)]
struct Connector {
    tls: ClientConfig,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allows_http = options.get_config_value(&ClientConfigKey::AllowHttp).as_deref() == Some("true");
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .https_only(!allows_http)
            .http1_only()
            // What is signed for one host is not for another.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            // Not a limit of the whole request: reading a backup takes as long as it takes.
            .read_timeout(ANSWER_TIMEOUT)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            .user_agent(concat!("lockgate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| object_store::Error::Generic { store: "S3", source: Box::new(e) })?;
        Ok(HttpClient::new(Asked(client)))
    }
}

/// Sends requests.
#[derive(Debug)]
struct Asked(reqwest::Client);

#[async_trait]
impl HttpService for Asked {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut response = self.0.call(request).await?;
        // The library asks again after every answer above 500; what a store does not know, it will not know next time.
        if response.status() == StatusCode::NOT_IMPLEMENTED {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        Ok(response)
    }
}

/// Says what is missing when there are no credentials, instead of which address gave none.
#[derive(Debug)]
struct Credentials(AwsCredentialProvider);

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        self.0.get_credential().await.map_err(|error| {
            let cause = super::failure::Failure::of(&error).while_doing(
                "there are no credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor a role of this machine",
            );
            object_store::Error::Generic { store: "S3", source: Box::new(cause) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_and_plain_on_this_machine_only() {
        let parse = |text: &str, path_style, allow_http| Endpoint::parse(text, "bucket", path_style, allow_http);
        let endpoint = |url: &str, is_plain| Ok(Endpoint { url: url.into(), is_plain });
        assert_eq!(parse("https://s3.example", true, false), endpoint("https://s3.example", false));
        assert_eq!(parse("https://s3.example:9000/", false, false), endpoint("https://bucket.s3.example:9000", false));
        for local in ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"] {
            assert_eq!(parse(local, true, false), endpoint(local, true));
        }
        assert_eq!(parse("http://minio:9000", true, true), endpoint("http://minio:9000", true));
        for (wrong, why) in [
            ("http://minio:9000", "allow_http"),
            ("http://10.0.0.1", "allow_http"),
            ("minio:9000", "has no host"),
            ("ftp://minio", "begins neither"),
            ("minio", "relative URL without a base"),
            ("https://minio/?x=1", "more to it"),
        ] {
            let error = parse(wrong, true, false).unwrap_err();
            assert!(error.contains(why) && error.contains(wrong), "{error}");
        }
        let error = parse("https://me:hush@minio", true, false).unwrap_err();
        assert!(error.contains("environment") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn settings_that_do_not_fit_together_are_refused() {
        let kms = Some(ServerSideEncryption::Kms);
        let refused = |settings: S3Settings| connect(None, "bucket", &settings).unwrap_err().to_string();
        let error = refused(S3Settings { sse: kms, ..S3Settings::default() });
        assert!(error.contains("needs `kms_key_id`"), "{error}");
        let error = refused(S3Settings { kms_key_id: Some("k".into()), ..S3Settings::default() });
        assert!(error.contains("`kms_key_id` is of use with"), "{error}");
        let error = refused(S3Settings { bucket_key: Some(true), ..S3Settings::default() });
        assert!(error.contains("`bucket_key` is of use with"), "{error}");
        let error = refused(S3Settings { endpoint: Some("http://minio".into()), ..S3Settings::default() });
        assert!(error.contains("the endpoint of the S3 store cannot be used"), "{error}");
        let error = refused(S3Settings { ssl_root_cert: Some("/none".into()), ..S3Settings::default() });
        assert!(error.contains("`/none` holds no certificates"), "{error}");
        assert!(connect(None, "a/b", &S3Settings::default()).is_err());
        let fitting = S3Settings { sse: kms, kms_key_id: Some("k".into()), ..S3Settings::default() };
        assert!(connect(None, "bucket", &fitting).is_ok());
    }
}
