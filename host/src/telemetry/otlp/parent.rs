//! The span that a run is part of, as who starts it says: a pipeline's trace goes on in it.
//!
//! <https://opentelemetry.io/docs/specs/otel/context/env-carriers/>

use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator as _},
    trace::TraceContextExt as _,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// What the environment says of it.
struct Carried {
    parent: String,
    state: Option<String>,
}

impl Extractor for Carried {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(&self.parent),
            "tracestate" => self.state.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// The parent that `TRACEPARENT` and `TRACESTATE` name; none where there is none.
///
/// # Errors
/// What `TRACEPARENT` is, when it is none.
pub fn parent(environment: &dyn Fn(&str) -> Option<String>) -> Result<Option<Context>, String> {
    let Some(parent) = environment("TRACEPARENT").filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let carried = Carried { parent, state: environment("TRACESTATE") };
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carried);
    if context.span().span_context().is_valid() { Ok(Some(context)) } else { Err(carried.parent) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(parent: &str, state: &str) -> Result<Option<Context>, String> {
        parent_of(&[("TRACEPARENT", parent), ("TRACESTATE", state)])
    }

    fn parent_of(environment: &[(&str, &str)]) -> Result<Option<Context>, String> {
        parent(&|name| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_trace_goes_on_where_its_parent_can_be_read() {
        let context = found("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=x").unwrap().unwrap();
        let span = context.span().span_context().clone();
        assert_eq!(span.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span.span_id().to_string(), "b7ad6b7169203331");
        assert!(span.is_sampled() && span.is_remote());
        assert_eq!(span.trace_state().get("vendor"), Some("x"));
        assert!(parent_of(&[]).unwrap().is_none() && found("", "").unwrap().is_none());
    }

    #[test]
    fn what_is_no_parent_is_none() {
        for wrong in [
            "00",
            "a trace",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        ] {
            assert_eq!(found(wrong, "").unwrap_err(), wrong);
        }
    }
}
