//! What a receiver was sent by OTLP, read with the types of `opentelemetry-proto`.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value},
    metrics::v1::{Metric, NumberDataPoint, metric, number_data_point},
    trace::v1::status::StatusCode,
};
use prost::Message as _;

use crate::Receiver;

/// Names and values, as text.
pub type Attributes = BTreeMap<String, String>;

/// A span.
#[derive(Debug, Clone)]
pub struct ReceivedSpan {
    /// Its name.
    pub name: String,
    /// Its trace, in hexadecimal.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The id of its parent; empty where it has none.
    pub parent: String,
    /// What it says of itself.
    pub attributes: Attributes,
    /// What it failed with.
    pub error: Option<String>,
    /// How many events it has.
    pub events: usize,
    /// From when to when, in nanoseconds since 1970.
    pub time: (u64, u64),
    /// Who has sent it.
    pub resource: Attributes,
}

/// The value of a metric.
#[derive(Debug, Clone)]
pub struct ReceivedPoint {
    /// The metric's name.
    pub metric: String,
    /// Its unit.
    pub unit: String,
    /// Whether it only grows.
    pub is_counter: bool,
    /// What it is the value of.
    pub attributes: Attributes,
    /// The value.
    pub value: f64,
    /// Who has sent it.
    pub resource: Attributes,
}

impl Receiver {
    /// All spans so far, in the order of their beginnings.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        let mut spans = Vec::new();
        for received in self.received_at("/v1/traces") {
            let request = ExportTraceServiceRequest::decode(received.body.as_slice()).unwrap();
            for resource_spans in request.resource_spans {
                let resource = attributes(resource_spans.resource.unwrap().attributes);
                for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    let failed = |code: i32| code == StatusCode::Error as i32;
                    spans.push(ReceivedSpan {
                        name: span.name,
                        trace: hex(&span.trace_id),
                        id: hex(&span.span_id),
                        parent: hex(&span.parent_span_id),
                        attributes: attributes(span.attributes),
                        error: span.status.filter(|status| failed(status.code)).map(|status| status.message),
                        events: span.events.len(),
                        time: (span.start_time_unix_nano, span.end_time_unix_nano),
                        resource: resource.clone(),
                    });
                }
            }
        }
        spans.sort_by_key(|span| span.time);
        spans
    }

    /// The points of the last export, which has them all.
    pub fn points(&self) -> Vec<ReceivedPoint> {
        let Some(last) = self.received_at("/v1/metrics").pop() else { return Vec::new() };
        let request = ExportMetricsServiceRequest::decode(last.body.as_slice()).unwrap();
        let mut points = Vec::new();
        for resource_metrics in request.resource_metrics {
            let resource = attributes(resource_metrics.resource.unwrap().attributes);
            for metric in resource_metrics.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                let (is_counter, of_metric) = values(&metric);
                points.extend(of_metric.into_iter().map(|point| ReceivedPoint {
                    metric: metric.name.clone(),
                    unit: metric.unit.clone(),
                    is_counter,
                    value: match point.value.unwrap() {
                        number_data_point::Value::AsDouble(value) => value,
                        number_data_point::Value::AsInt(value) => value as f64,
                    },
                    attributes: attributes(point.attributes),
                    resource: resource.clone(),
                }));
            }
        }
        points
    }
}

fn values(metric: &Metric) -> (bool, Vec<NumberDataPoint>) {
    match metric.data.as_ref().unwrap() {
        metric::Data::Gauge(gauge) => (false, gauge.data_points.clone()),
        metric::Data::Sum(sum) => (sum.is_monotonic, sum.data_points.clone()),
        other => panic!("{other:?}"),
    }
}

fn attributes(attributes: Vec<KeyValue>) -> Attributes {
    let text = |attribute: KeyValue| match attribute.value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => (attribute.key, text),
        Some(any_value::Value::IntValue(number)) => (attribute.key, number.to_string()),
        other => panic!("{}: {other:?}", attribute.key),
    };
    attributes.into_iter().map(text).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
