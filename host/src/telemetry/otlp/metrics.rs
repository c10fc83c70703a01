//! What a run measures, as OpenTelemetry has it: the same series as in the text file, of this run alone.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Instant,
};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, MeterProvider as _},
};
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
};
use uuid::Uuid;

use super::{endpoints::Endpoint, export::Export};
use crate::telemetry::{
    complaint::{Complaint, LATE},
    metrics::{Edits, FAMILIES, Kind, Series, Sink},
};

/// See the module. They are exported each minute, or as `OTEL_METRIC_EXPORT_INTERVAL` says, and at the end.
pub struct Metrics {
    series: Arc<Mutex<Series>>,
    provider: SdkMeterProvider,
    complaint: Arc<Complaint>,
}

impl Metrics {
    /// Metrics that go there, from a thread of their own.
    pub fn to(endpoint: Endpoint, run_id: Uuid, resource: Resource, complaint: Arc<Complaint>) -> Self {
        let reader = PeriodicReader::builder(Export::to(endpoint, Arc::clone(&complaint))).build();
        let provider = SdkMeterProvider::builder().with_resource(resource).with_reader(reader).build();
        let (meter, series) = (provider.meter("lockgate"), Arc::<Mutex<Series>>::default());
        for family in FAMILIES {
            let (name, unit) = family.in_otlp();
            let (of_all, run_id) = (Arc::clone(&series), run_id.to_string());
            let observe = move |instrument: &dyn AsyncInstrument<f64>| {
                for (labels, value) in lock(&of_all).of(family.name) {
                    let labels = labels.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
                    let run_id = KeyValue::new("run_id", run_id.clone());
                    instrument.observe(value, &labels.chain([run_id]).collect::<Vec<_>>());
                }
            };
            // They live as long as the provider.
            match family.kind {
                Kind::Counter => {
                    let counter = meter.f64_observable_counter(name).with_unit(unit).with_description(family.help);
                    counter.with_callback(observe).build();
                }
                Kind::Gauge => {
                    let gauge = meter.f64_observable_gauge(name).with_unit(unit).with_description(family.help);
                    gauge.with_callback(observe).build();
                }
            }
        }
        Self { series, provider, complaint }
    }
}

impl Sink for Metrics {
    fn take(&self, edits: &Edits) {
        edits.apply(&mut lock(&self.series));
    }

    fn end(&self, until: Instant) {
        // The SDK's own limit is not ours to set, so that it gets a thread that can be left behind.
        let (provider, (done, ended)) = (self.provider.clone(), mpsc::sync_channel(1));
        let begun = thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            // What went wrong was told by the exporter.
            let _ = provider.shutdown();
            let _ = done.send(());
        });
        let left = until.saturating_duration_since(Instant::now());
        if begun.is_err() || ended.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Timeout) {
            self.complaint.once(LATE);
        }
    }
}

fn lock(series: &Mutex<Series>) -> MutexGuard<'_, Series> {
    series.lock().unwrap_or_else(PoisonError::into_inner)
}
