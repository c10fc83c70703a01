//! Gathers what the spans around an event say, and hands each line to those that want it.

use tracing::{
    Event, Metadata, Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, Filter},
    registry::LookupSpan,
};
use uuid::Uuid;

use super::{
    bound::is_ours,
    line::{Fields, Line},
};

/// Where lines go.
pub trait Sink: Send + Sync {
    /// Whether it wants what this describes.
    fn wants(&self, metadata: &Metadata<'_>) -> bool;

    /// The finest level of what it wants.
    fn finest(&self) -> LevelFilter;

    /// Takes a line. What cannot be written must not stop the run.
    fn take(&self, line: &Line<'_>);
}

/// See the module.
pub struct Lines {
    sinks: Vec<Box<dyn Sink>>,
    run_id: Uuid,
}

impl Lines {
    /// Lines of this run, also those of threads that know of no span.
    pub fn of(run_id: Uuid, sinks: Vec<Box<dyn Sink>>) -> Self {
        Self { sinks, run_id }
    }

    /// What of all that is traced concerns lines.
    pub fn wanted<S>(sinks: &[Box<dyn Sink>]) -> impl Filter<S> + use<S> {
        Wanted(sinks.iter().map(|sink| sink.finest()).max().unwrap_or(LevelFilter::OFF))
    }
}

/// Cheap, and the same for the life of the process; each sink looks more closely.
struct Wanted(LevelFilter);

impl<S> Filter<S> for Wanted {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        // A span says what lines belong to, so that all of ours count.
        if metadata.is_span() { is_ours(metadata.target()) } else { *metadata.level() <= self.0 }
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        let enabled = if metadata.is_span() { is_ours(metadata.target()) } else { *metadata.level() <= self.0 };
        if enabled { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.max(LevelFilter::ERROR))
    }
}

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().replace(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        if !self.sinks.iter().any(|sink| sink.wants(metadata)) {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut innermost = None;
        for span in context.event_scope(event).into_iter().flatten() {
            innermost.get_or_insert(span.name());
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.in_context_of(outer);
            }
        }
        if fields.of("run_id").is_none() {
            fields.put("run_id", self.run_id.to_string());
        }
        let line = Line {
            at: jiff::Timestamp::now(),
            level: *metadata.level(),
            target: metadata.target(),
            span: innermost,
            fields,
        };
        for sink in self.sinks.iter().filter(|sink| sink.wants(metadata)) {
            sink.take(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::telemetry::{bound::Bound, line::Format, spans};

    struct Kept(Bound, Arc<Mutex<Vec<String>>>);

    impl Sink for Kept {
        fn wants(&self, metadata: &Metadata<'_>) -> bool {
            self.0.lets(metadata)
        }

        fn finest(&self) -> LevelFilter {
            self.0.finest()
        }

        fn take(&self, line: &Line<'_>) {
            self.1.lock().unwrap().push(line.written(Format::Text, false).split_once('Z').unwrap().1.to_owned());
        }
    }

    #[test]
    fn each_line_says_where_it_belongs() {
        let (kept, run_id) = (Arc::new(Mutex::new(Vec::new())), Uuid::nil());
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(Kept(Bound::parse("lockgate=info").unwrap(), Arc::clone(&kept)))];
        let filter = Lines::wanted(&sinks);
        let lines = Lines::of(run_id, sinks).with_filter(filter);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let _run = spans::run(run_id, "up").entered();
            let _migration = spans::migration("001_a", "up", "sql").entered();
            let step = spans::step("1 (SQL)", "sql").entered();
            tracing::info!(rows = 3, "done");
            tracing::debug!("not asked for");
            drop(step);
            // A thread knows of no span.
            std::thread::scope(|scope| {
                let inner = tracing::dispatcher::get_default(Clone::clone);
                scope.spawn(move || tracing::dispatcher::with_default(&inner, || tracing::warn!("elsewhere")));
            });
        });
        let run = "00000000-0000-0000-0000-000000000000";
        let lines = kept.lock().unwrap();
        assert_eq!(lines[0], format!("  INFO run_id={run} migration=001_a step=\"1 (SQL)\": done rows=3\n"));
        assert_eq!(lines[1], format!("  WARN run_id={run}: elsewhere\n"));
        assert_eq!(lines.len(), 2);
    }
}
