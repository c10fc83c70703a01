//! OpenTelemetry: the spans of a run as a trace, what it measures as metrics, over OTLP (HTTP, protobuf).
//!
//! A run is never slowed or failed by it: each signal is exported from a thread of its own, what waits is bounded, and so is the time that
//! is waited for the rest at the end. What does not work is one warning.

mod endpoints;
mod export;
mod metrics;
mod parent;
mod traces;

use std::{sync::Arc, time::Instant};

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, registry::LookupSpan};
use uuid::Uuid;

pub use self::endpoints::Endpoints;
use self::{endpoints::Endpoint, metrics::Metrics, traces::Traces};
use super::{
    complaint::{Complaint, LATE},
    metrics::Sink,
};

const COMPLAINT: &str = "telemetry cannot be exported";

/// See the module.
pub struct Otlp {
    run_id: Uuid,
    resource: Resource,
    traces: Option<(Traces, Arc<Complaint>)>,
    metrics: Option<(Endpoint, Arc<Complaint>)>,
}

impl Otlp {
    /// For a run; nothing where no endpoint is named. `is_traced`: whether there is something to trace.
    pub fn of(run_id: Uuid, endpoints: Endpoints, is_traced: bool) -> Option<Self> {
        let Endpoints { traces, metrics, .. } = endpoints;
        let any = traces.as_ref().or(metrics.as_ref())?;
        // One that does not answer is told of once, whatever it does not answer to.
        let is_one = traces.iter().chain(&metrics).all(|endpoint| endpoint.url.origin() == any.url.origin());
        let shared = Arc::new(Complaint::of(COMPLAINT, any.shown()));
        let complaint = |endpoint: &Endpoint| match is_one {
            true => Arc::clone(&shared),
            false => Arc::new(Complaint::of(COMPLAINT, endpoint.shown())),
        };
        let metrics = metrics.map(|endpoint| {
            let complaint = complaint(&endpoint);
            (endpoint, complaint)
        });
        let resource = resource(run_id);
        let traces = traces.filter(|_| is_traced).map(|endpoint| {
            let complaint = complaint(&endpoint);
            (Traces::to(endpoint, run_id, resource.clone(), Arc::clone(&complaint)), complaint)
        });
        Some(Self { run_id, resource, traces, metrics })
    }

    /// What makes a trace of the spans; none where there are to be no traces.
    pub fn layer<S: Subscriber + for<'l> LookupSpan<'l> + Send + Sync>(&self) -> Option<impl Layer<S> + use<S>> {
        self.traces.as_ref().map(|(traces, _)| traces.layer())
    }

    /// Makes the outermost span part of the trace that whoever has started the run is in.
    pub fn adopt(&self, span: &Span) {
        if self.traces.is_none() {
            return;
        }
        match parent::parent(&|name| std::env::var(name).ok()) {
            // It has not begun, and the layer is there; where somebody else's subscriber is, it has no trace to be part of.
            Ok(Some(parent)) => {
                let _ = span.set_parent(parent);
            }
            Ok(None) => {}
            Err(text) => tracing::warn!(text, "TRACEPARENT is none, and is ignored; the run begins a trace of its own"),
        }
    }

    /// Where the run's measurements go.
    pub fn sink(&self) -> Option<Box<dyn Sink>> {
        let (endpoint, complaint) = self.metrics.clone()?;
        Some(Box::new(Metrics::to(endpoint, self.run_id, self.resource.clone(), complaint)))
    }

    /// Waits until all spans are exported, and no longer than until then.
    pub fn end(&self, until: Instant) {
        if let Some((traces, complaint)) = &self.traces
            && !traces.end(until)
        {
            complaint.once(LATE);
        }
    }
}

/// Who exports: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` come first, but for the run's id.
fn resource(run_id: Uuid) -> Resource {
    let (detected, run_id) = (Resource::builder().build(), run_id.to_string());
    let is_known = |key: &'static str| {
        detected
            .get(&Key::from_static_str(key))
            .filter(|value| !value.as_str().starts_with("unknown_service"))
            .is_some()
    };
    let mut attributes = vec![KeyValue::new("run_id", run_id.clone())];
    for (key, value) in [
        ("service.name", "lockgate".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        // Runs at a time are not the same instance; what they measure is kept apart by it.
        ("service.instance.id", run_id),
    ] {
        if !is_known(key) {
            attributes.push(KeyValue::new(key, value));
        }
    }
    Resource::builder().with_attributes(attributes).build()
}
