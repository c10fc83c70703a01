//! The spans of a run, as OpenTelemetry has them.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::{Context, KeyValue, Value, trace::TracerProvider as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};
use uuid::Uuid;

use super::{endpoints::Endpoint, export::Export};
use crate::telemetry::{bound::is_ours, complaint::Complaint, spans};

/// See the module.
pub struct Traces {
    provider: SdkTracerProvider,
    complete: Arc<Complete>,
}

impl Traces {
    /// Traces that go there, from a thread of their own. Of spans that wait, so many are kept as `OTEL_BSP_MAX_QUEUE_SIZE` says (2,048); the
    /// rest is dropped, never waited for.
    pub fn to(endpoint: Endpoint, run_id: Uuid, resource: Resource, complaint: Arc<Complaint>) -> Self {
        let complete = Arc::new(Complete::default());
        let queue = BatchSpanProcessor::builder(Export::to(endpoint, complaint)).build();
        let run_id = run_id.to_string().into();
        let processor = Processor { queue, run_id, complete: Arc::clone(&complete) };
        let provider = SdkTracerProvider::builder().with_resource(resource).with_span_processor(processor).build();
        Self { provider, complete }
    }

    /// What turns spans into those of OpenTelemetry. Of events, which say more than what spans.rs lets through, it learns nothing.
    pub fn layer<S: Subscriber + for<'l> LookupSpan<'l> + Send + Sync>(&self) -> impl Layer<S> + use<S> {
        let ours = filter_fn(|metadata| metadata.is_span() && is_ours(metadata.target()));
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("lockgate"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            // Parents are looked up where tracing knows them.
            .with_context_activation(false)
            .with_filter(ours.with_max_level_hint(LevelFilter::ERROR))
    }

    /// Exports what is left, in this time at most; false where it was not enough.
    pub fn end(&self, until: Instant) -> bool {
        self.complete.wait(until);
        self.provider.shutdown_with_timeout(until.saturating_duration_since(Instant::now())).is_ok()
    }
}

/// Whether the outermost span has ended. Tasks that are being torn down may hold on to it for a moment.
#[derive(Debug, Default)]
struct Complete {
    ended: Mutex<bool>,
    told: Condvar,
}

/// How long the end of the outermost span is waited for. It takes no time, unless a thread is stuck that still belongs to the run.
const COMPLETE_MAX: Duration = Duration::from_millis(200);

impl Complete {
    fn set(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.told.notify_all();
    }

    fn wait(&self, until: Instant) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = until.saturating_duration_since(Instant::now()).min(COMPLETE_MAX);
        drop(self.told.wait_timeout_while(ended, patience, |ended| !*ended));
    }
}

/// Says of each span which run it belongs to, and lets it wait for its export.
#[derive(Debug)]
struct Processor {
    queue: BatchSpanProcessor,
    run_id: Value,
    complete: Arc<Complete>,
}

impl SpanProcessor for Processor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, mut span: SpanData) {
        for attribute in &mut span.attributes {
            // tracing hands unsigned numbers on as text.
            if spans::NUMBERS.contains(&attribute.key.as_str())
                && let Ok(number) = attribute.value.as_str().parse::<i64>()
            {
                attribute.value = number.into();
            }
        }
        if !span.attributes.iter().any(|attribute| attribute.key.as_str() == "run_id") {
            span.attributes.push(KeyValue::new("run_id", self.run_id.clone()));
        }
        let is_outermost = span.name == spans::NAMES[0];
        self.queue.on_end(span);
        if is_outermost {
            self.complete.set();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}
