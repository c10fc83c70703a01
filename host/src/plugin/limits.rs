//! What a component may use up, and the messages when it has.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use wasmtime::ResourceLimiter;

use crate::postgres::QueryLimits;

/// The limits of one call of a component; each is an option under `[plugins]` in `lockgate.toml`.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Linear memory in bytes. Default 256 MiB.
    pub memory_max_bytes: usize,
    /// Elements of all tables. Default 20,000.
    pub table_max_elements: usize,
    /// Time on the processor, in seconds: its own and that of the host in its calls, but no waiting. Default 60.
    pub cpu_max_s: u64,
    /// Time in all, in seconds. Default 3,600.
    pub wall_clock_max_s: u64,
    /// Rows of one result, or of one fetch from a cursor. Default 100,000.
    pub query_max_rows: usize,
    /// Bytes of one result, or of one fetch from a cursor. Default 64 MiB.
    pub query_max_bytes: usize,
    /// Bytes that it passes in one call of the host (a statement with its parameters, a piece of a COPY), or returns from one call.
    /// Default 64 MiB.
    pub call_max_bytes: usize,
    /// Cursors open at a time. Default 64.
    pub cursors_max: usize,
    /// Log lines of one call. Default 10,000.
    pub log_max_lines: usize,
    /// Log bytes of one call. Default 1 MiB.
    pub log_max_bytes: usize,
    /// Steps of a plan. Default 10,000.
    pub plan_max_steps: usize,
    /// Bytes of a plan's statements and names together. Default 16 MiB.
    pub plan_max_bytes: usize,
    /// Bytes of a checkpoint. Default 64 KiB.
    pub checkpoint_max_bytes: usize,
    /// The component's file, in bytes. Default 64 MiB.
    pub component_max_bytes: u64,
    /// Time to compile it, in seconds. Default 300.
    pub compile_max_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_max_bytes: 256 << 20,
            table_max_elements: 20_000,
            cpu_max_s: 60,
            wall_clock_max_s: 3_600,
            query_max_rows: 100_000,
            query_max_bytes: 64 << 20,
            call_max_bytes: 64 << 20,
            cursors_max: 64,
            log_max_lines: 10_000,
            log_max_bytes: 1 << 20,
            plan_max_steps: 10_000,
            plan_max_bytes: 16 << 20,
            checkpoint_max_bytes: 64 << 10,
            component_max_bytes: 64 << 20,
            compile_max_s: 300,
        }
    }
}

impl Limits {
    pub(super) fn cpu(&self) -> Duration {
        Duration::from_secs(self.cpu_max_s)
    }

    pub(super) fn wall_clock(&self) -> Duration {
        Duration::from_secs(self.wall_clock_max_s)
    }

    pub(super) fn compile(&self) -> Duration {
        Duration::from_secs(self.compile_max_s)
    }

    pub(super) fn query(&self) -> QueryLimits {
        QueryLimits { rows_max: self.query_max_rows, bytes_max: self.query_max_bytes }
    }
}

/// As the interface says: no option changes it.
pub(super) const SAVEPOINTS_MAX: usize = 64;

/// A limit that was reached: which, its value, the option that raises it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reached {
    what: &'static str,
    value: u64,
    unit: &'static str,
    option: Option<&'static str>,
}

impl Reached {
    fn new(what: &'static str, value: usize, unit: &'static str, option: &'static str) -> Self {
        Self { what, value: value as u64, unit, option: Some(option) }
    }

    /// The one of the two that comes first.
    pub(super) fn no_more_than(self, other: Self) -> Self {
        if self.value <= other.value { self } else { other }
    }

    pub(super) fn memory(max_bytes: usize) -> Self {
        Self::new("memory", max_bytes, "bytes", "memory_max_bytes")
    }

    pub(super) fn table(max_elements: usize) -> Self {
        Self::new("table elements", max_elements, "elements", "table_max_elements")
    }

    pub(super) fn cpu(limits: &Limits) -> Self {
        Self { what: "processor time", value: limits.cpu_max_s, unit: "s", option: Some("cpu_max_s") }
    }

    pub(super) fn wall_clock(limits: &Limits) -> Self {
        Self { what: "time in all", value: limits.wall_clock_max_s, unit: "s", option: Some("wall_clock_max_s") }
    }

    pub(super) fn compile(limits: &Limits) -> Self {
        Self { what: "time to compile it", value: limits.compile_max_s, unit: "s", option: Some("compile_max_s") }
    }

    pub(super) fn rows(limits: &Limits) -> Self {
        Self::new("rows of a result", limits.query_max_rows, "rows", "query_max_rows")
    }

    pub(super) fn bytes(limits: &Limits) -> Self {
        Self::new("bytes of a result", limits.query_max_bytes, "bytes", "query_max_bytes")
    }

    pub(super) fn call(limits: &Limits) -> Self {
        Self::new("bytes passed in one call", limits.call_max_bytes, "bytes", "call_max_bytes")
    }

    pub(super) fn cursors(limits: &Limits) -> Self {
        Self::new("open cursors", limits.cursors_max, "cursors", "cursors_max")
    }

    pub(super) fn savepoints() -> Self {
        Self { what: "open savepoints", value: SAVEPOINTS_MAX as u64, unit: "savepoints", option: None }
    }

    pub(super) fn log_lines(limits: &Limits) -> Self {
        Self::new("log lines", limits.log_max_lines, "lines", "log_max_lines")
    }

    pub(super) fn log_bytes(limits: &Limits) -> Self {
        Self::new("log bytes", limits.log_max_bytes, "bytes", "log_max_bytes")
    }

    pub(super) fn plan_steps(limits: &Limits) -> Self {
        Self::new("steps of a plan", limits.plan_max_steps, "steps", "plan_max_steps")
    }

    pub(super) fn plan_bytes(limits: &Limits) -> Self {
        Self::new("bytes of a plan", limits.plan_max_bytes, "bytes", "plan_max_bytes")
    }

    pub(super) fn checkpoint(limits: &Limits) -> Self {
        Self::new("bytes of a checkpoint", limits.checkpoint_max_bytes, "bytes", "checkpoint_max_bytes")
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, unit, option } = self;
        write!(f, "it reached its limit of {what}, {value} {unit} (")?;
        match option {
            Some(option) => write!(f, "raise it with `{option}` under [plugins] in lockgate.toml)"),
            None => f.write_str("which the interface sets, and no option raises)"),
        }
    }
}

impl std::error::Error for Reached {}

/// Refuses growth past the limits, by a trap that says which. All memories count together, and all tables.
#[derive(Debug)]
pub(super) struct Growth {
    memory_max_bytes: usize,
    table_max_elements: usize,
    memory_bytes: usize,
    table_elements: usize,
}

impl Growth {
    pub(super) fn within(limits: &Limits) -> Self {
        Self {
            memory_max_bytes: limits.memory_max_bytes,
            table_max_elements: limits.table_max_elements,
            memory_bytes: 0,
            table_elements: 0,
        }
    }
}

impl ResourceLimiter for Growth {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.memory_bytes = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if self.memory_bytes <= self.memory_max_bytes {
            return Ok(true);
        }
        Err(Reached::memory(self.memory_max_bytes).into())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.table_elements = self.table_elements.saturating_add(desired.saturating_sub(current));
        if self.table_elements <= self.table_max_elements {
            return Ok(true);
        }
        Err(Reached::table(self.table_max_elements).into())
    }

    /// A component is a few core instances; more are none that a compiler makes.
    fn instances(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        16
    }

    fn tables(&self) -> usize {
        64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_which_limit_its_value_and_the_option() {
        let limits = Limits { checkpoint_max_bytes: 7, ..Limits::default() };
        assert_eq!(
            Reached::checkpoint(&limits).to_string(),
            "it reached its limit of bytes of a checkpoint, 7 bytes (raise it with `checkpoint_max_bytes` under [plugins] in \
             lockgate.toml)"
        );
        assert_eq!(
            Reached::savepoints().to_string(),
            "it reached its limit of open savepoints, 64 savepoints (which the interface sets, and no option raises)"
        );
    }

    #[test]
    fn all_memories_count_together_and_what_grows_past_the_limit_is_told() {
        let mut growth = Growth::within(&Limits { memory_max_bytes: 100, ..Limits::default() });
        assert!(growth.memory_growing(0, 60, None).is_ok_and(|grown| grown));
        assert!(growth.memory_growing(0, 60, None).unwrap_err().to_string().contains("`memory_max_bytes`"));
    }
}
