//! What a component may use up, and the messages when it has.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use wasmtime::ResourceLimiter;

use crate::postgres::QueryLimits;

/// The limits of one call of a component; each is an option under `[plugins]` in `lockgate.toml`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Linear memory in bytes. Default 256 MiB.
    pub memory_max_bytes: usize,
    /// Elements of all tables. Default 20,000.
    pub table_max_elements: usize,
    /// Time on the processor, in seconds; waiting for the database does not count. Default 60.
    pub cpu_max_s: u64,
    /// Time in all, in seconds. Default 3,600.
    pub wall_clock_max_s: u64,
    /// Rows of one result. Default 100,000.
    pub query_max_rows: usize,
    /// Bytes of one result. Default 64 MiB.
    pub query_max_bytes: usize,
    /// Log lines of one call. Default 10,000.
    pub log_max_lines: usize,
    /// The component's file, in bytes. Default 64 MiB.
    pub component_max_bytes: u64,
    /// Compiling it, in seconds. Default 300.
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
            log_max_lines: 10_000,
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

/// A limit that was reached: which, its value, the option that raises it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reached {
    what: &'static str,
    value: u64,
    unit: &'static str,
    option: &'static str,
}

impl Reached {
    pub(super) fn cpu(limits: &Limits) -> Self {
        Self { what: "processor time", value: limits.cpu_max_s, unit: "s", option: "cpu_max_s" }
    }

    pub(super) fn wall_clock(limits: &Limits) -> Self {
        Self { what: "time in all", value: limits.wall_clock_max_s, unit: "s", option: "wall_clock_max_s" }
    }

    pub(super) fn compile(limits: &Limits) -> Self {
        Self { what: "time to compile it", value: limits.compile_max_s, unit: "s", option: "compile_max_s" }
    }

    pub(super) fn rows(limits: &Limits) -> Self {
        Self { what: "rows of a result", value: limits.query_max_rows as u64, unit: "rows", option: "query_max_rows" }
    }

    pub(super) fn bytes(limits: &Limits) -> Self {
        Self {
            what: "bytes of a result",
            value: limits.query_max_bytes as u64,
            unit: "bytes",
            option: "query_max_bytes",
        }
    }

    pub(super) fn log(limits: &Limits) -> Self {
        Self { what: "log lines", value: limits.log_max_lines as u64, unit: "lines", option: "log_max_lines" }
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, unit, option } = self;
        write!(
            f,
            "it reached its limit of {what}, {value} {unit} (raise it with `{option}` under [plugins] in lockgate.toml)"
        )
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
        let value = self.memory_max_bytes as u64;
        Err(Reached { what: "memory", value, unit: "bytes", option: "memory_max_bytes" }.into())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.table_elements = self.table_elements.saturating_add(desired.saturating_sub(current));
        if self.table_elements <= self.table_max_elements {
            return Ok(true);
        }
        let value = self.table_max_elements as u64;
        Err(Reached { what: "table elements", value, unit: "elements", option: "table_max_elements" }.into())
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
