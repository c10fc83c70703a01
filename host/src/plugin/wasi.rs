//! WASI for guests whose language needs it: empty. No files, environment, arguments, network or input; a clock and random numbers
//! that tell nothing unless they are granted; what is printed goes to the log.

use std::{
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWrite;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{
    Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

use super::{host::Logged, limits::Reached, rights::Rights, state::State};
use crate::printable::printable;

/// Streams, clocks and sockets that a guest holds at once: an interpreter needs a dozen.
const HANDLES_MAX: usize = 1_024;
/// Random bytes of one call: the host makes them in its own memory.
const RANDOM_MAX_BYTES: u64 = 1 << 20;
/// Of a line without an end, this much is shown as one.
const LINE_MAX_BYTES: usize = 8_192;
/// 2000-01-01 00:00:00 UTC, from which the interface counts its times as well.
const FIXED_TIME: Duration = Duration::from_secs(946_684_800);
/// By so much the ungranted monotonic clock advances whenever it is looked at, so that a loop that waits for it ends.
const TICK_NS: u64 = 1_000_000;
/// Random numbers that are not granted repeat after so many bytes.
const CYCLE_BLOCKS: u32 = 128;

/// The part of a store that only guests with WASI use.
pub struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
}

impl Wasi {
    fn within(rights: &Rights, logged: &Arc<Logged>) -> Self {
        let mut builder = WasiCtx::builder();
        builder
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(RANDOM_MAX_BYTES)
            .stdout(Printed::new(Level::Info, logged))
            .stderr(Printed::new(Level::Warn, logged));
        if !rights.clock {
            builder.wall_clock(FixedClock).monotonic_clock(CountingClock::default());
        }
        if !rights.randomness {
            builder
                .secure_random(Deterministic::new(cycle("random")))
                .insecure_random(Deterministic::new(cycle("insecure")))
                .insecure_random_seed(0);
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self { context: builder.build(), table }
    }
}

impl State {
    fn wasi(&mut self) -> &mut Wasi {
        let (rights, logged) = (&self.rights, &self.logged);
        self.wasi.get_or_insert_with(|| Box::new(Wasi::within(rights, logged)))
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Wasi { context, table } = self.wasi();
        WasiCtxView { ctx: context, table }
    }
}

/// Adds WASI 0.2 to what a guest can import. Sockets and files are among it, since interpreters import them; they are refused when used.
///
/// # Errors
/// Never in practice: no interface is added twice.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)
}

struct FixedClock;

impl HostWallClock for FixedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        FIXED_TIME
    }
}

/// The same in every run: it depends only on how often it was looked at.
#[derive(Default)]
struct CountingClock {
    looks: AtomicU64,
}

impl HostMonotonicClock for CountingClock {
    fn resolution(&self) -> u64 {
        TICK_NS
    }

    fn now(&self) -> u64 {
        self.looks.fetch_add(1, Ordering::Relaxed).saturating_mul(TICK_NS)
    }
}

/// The same bytes in every run. They look random, so that a hash table works as it should; they are no secret.
fn cycle(name: &str) -> Vec<u8> {
    let block = |i: u32| Sha256::new().chain_update(name).chain_update(i.to_le_bytes()).finalize();
    (0..CYCLE_BLOCKS).flat_map(block).collect()
}

#[derive(Clone, Copy)]
enum Level {
    Info,
    Warn,
}

/// What a guest prints, line by line. Both outputs count towards one limit.
#[derive(Clone)]
struct Printed {
    logged: Arc<Logged>,
    rest: Arc<Mutex<Rest>>,
}

/// A line whose end has not come yet. Shown at the latest when the guest ends.
struct Rest {
    level: Level,
    bytes: Vec<u8>,
}

impl Rest {
    fn show(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        let line = printable(String::from_utf8_lossy(&bytes).trim_end());
        match self.level {
            _ if line.is_empty() => {}
            Level::Info => tracing::info!(target: "plugin", "{line}"),
            Level::Warn => tracing::warn!(target: "plugin", "{line}"),
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.show();
    }
}

impl Printed {
    fn new(level: Level, logged: &Arc<Logged>) -> Self {
        let rest = Arc::new(Mutex::new(Rest { level, bytes: Vec::new() }));
        Self { logged: Arc::clone(logged), rest }
    }

    fn print(&self, bytes: &[u8]) -> Result<(), Reached> {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            rest.bytes.extend_from_slice(piece);
            if piece.ends_with(b"\n") || rest.bytes.len() >= LINE_MAX_BYTES {
                if let Err(reached) = self.logged.line(rest.bytes.len()) {
                    rest.bytes.clear();
                    return Err(reached);
                }
                rest.show();
            }
        }
        Ok(())
    }
}

impl IsTerminal for Printed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printed {
    /// WASI 0.3 alone asks for this, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Printed {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.print(&bytes).map_err(|reached| StreamError::Trap(reached.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[async_trait]
impl Pollable for Printed {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::limits::Limits;

    #[test]
    fn clocks_that_are_not_granted_depend_on_nothing() {
        let clock = CountingClock::default();
        assert_eq!((clock.now(), clock.now(), clock.now()), (0, TICK_NS, 2 * TICK_NS));
        assert_eq!(FixedClock.now().as_secs(), 946_684_800);
    }

    #[test]
    fn random_numbers_that_are_not_granted_are_the_same_and_look_random() {
        assert_eq!(cycle("random"), cycle("random"));
        assert_ne!(cycle("random"), cycle("insecure"));
        let ones: u32 = cycle("random").iter().map(|byte| byte.count_ones()).sum();
        assert!(ones.abs_diff(CYCLE_BLOCKS * 32 * 4) < 1_000, "{ones}");
    }

    fn printed(set: impl FnOnce(&mut Limits)) -> (Printed, Printed) {
        let mut rights = Rights::default();
        set(&mut rights.limits);
        let logged = Logged::within(&Arc::new(rights));
        (Printed::new(Level::Info, &logged), Printed::new(Level::Warn, &logged))
    }

    #[test]
    fn printed_lines_are_limited_together() {
        let (out, err) = printed(|limits| limits.log_max_lines = 2);
        assert!(out.print(b"half a").is_ok() && out.print(b" line\n").is_ok() && err.print(b"two\n").is_ok());
        assert!(out.print(b"no end").is_ok() && out.print(b"\n").is_err());
        assert!(err.print(&[b'x'; LINE_MAX_BYTES]).is_err());
    }

    #[test]
    fn printed_bytes_are_limited_together() {
        let (out, err) = printed(|limits| limits.log_max_bytes = 10);
        assert!(out.print(b"12345\n").is_ok());
        let refusal = err.print(b"6789\n").unwrap_err();
        assert!(refusal.to_string().contains("`log_max_bytes`"), "{refusal}");
    }
}
