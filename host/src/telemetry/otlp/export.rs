//! The official exporters, made where they work: in the threads of the SDK, when there is something to export for the first time.
//!
//! There they may block, read certificates and fail without anybody waiting for it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use opentelemetry_otlp::{
    MetricExporter, Protocol, RetryPolicy, SpanExporter as OtlpSpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{SpanData, SpanExporter},
};

use super::endpoints::Endpoint;
use crate::telemetry::{client::client, complaint::Complaint};

/// How often an export is tried again that nobody answered. What follows is a try as well.
const RETRIES: usize = 2;

/// An exporter of one signal.
#[derive(Debug)]
pub struct Export<E> {
    endpoint: Endpoint,
    complaint: Arc<Complaint>,
    made: OnceLock<Result<E, String>>,
    resource: Option<Resource>,
}

impl<E> Export<E> {
    /// To there; what does not work is complained of.
    pub fn to(endpoint: Endpoint, complaint: Arc<Complaint>) -> Self {
        Self { endpoint, complaint, made: OnceLock::new(), resource: None }
    }

    fn made(&self, make: impl FnOnce(&Endpoint) -> Result<E, String>) -> Result<&E, OTelSdkError> {
        let made = self.made.get_or_init(|| make(&self.endpoint)).as_ref();
        made.map_err(|cause| OTelSdkError::InternalFailure(cause.clone()))
    }

    fn told(&self, result: OTelSdkResult) -> OTelSdkResult {
        if let Err(error) = &result {
            self.complaint.once(&match error {
                // The exporter keeps to itself which.
                OTelSdkError::InternalFailure(cause) if cause.ends_with("network error") => {
                    format!("nobody answers there, or not within {:?}", self.endpoint.timeout)
                }
                OTelSdkError::InternalFailure(cause) => cause.clone(),
                other => other.to_string(),
            });
        }
        result
    }
}

/// The same for all signals.
fn prepared<B: WithExportConfig + WithHttpConfig>(builder: B, endpoint: &Endpoint) -> Result<B, String> {
    let client = client(endpoint.timeout, endpoint.certificates.as_deref())?;
    Ok(builder
        .with_endpoint(endpoint.url.as_str())
        .with_timeout(endpoint.timeout)
        .with_protocol(Protocol::HttpBinary)
        .with_retry_policy(RetryPolicy::recommended().with_max_retries(RETRIES))
        .with_http_client(client))
}

fn cause(error: impl fmt::Display) -> String {
    error.to_string()
}

impl SpanExporter for Export<OtlpSpanExporter> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let made = self.made(|endpoint| {
            let builder = prepared(OtlpSpanExporter::builder().with_http(), endpoint)?;
            let mut exporter = builder.build().map_err(cause)?;
            if let Some(resource) = &self.resource {
                exporter.set_resource(resource);
            }
            Ok(exporter)
        });
        self.told(match made {
            Ok(exporter) => exporter.export(batch).await,
            Err(error) => Err(error),
        })
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = Some(resource.clone());
    }
}

impl PushMetricExporter for Export<MetricExporter> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let made = self.made(|endpoint| {
            let builder = MetricExporter::builder().with_temporality(self.temporality()).with_http();
            prepared(builder, endpoint)?.build().map_err(cause)
        });
        self.told(match made {
            Ok(exporter) => exporter.export(metrics).await,
            Err(error) => Err(error),
        })
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        let preferred = std::env::var("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE");
        preferred.ok().and_then(|text| text.parse().ok()).unwrap_or_default()
    }
}
