//! A migration that uses WASI, written down as WebAssembly text: it tells in the log what it sees there, then plans `SELECT 1`.

use std::fmt::Write as _;

use crate::components::of_module;

/// What of WASI it uses, as far as it uses it; the real interfaces have more.
const WASI: &str = r"
package wasi:io@0.2.0 {
    interface error { resource error; }
    interface poll { resource pollable { block: func(); } }
    interface streams {
        use error.{error};
        variant stream-error { last-operation-failed(error), closed }
        resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
    }
}
package wasi:clocks@0.2.0 {
    interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
    interface monotonic-clock {
        use wasi:io/poll@0.2.0.{pollable};
        now: func() -> u64;
        subscribe-duration: func(when: u64) -> pollable;
    }
}
package wasi:random@0.2.0 { interface random { get-random-u64: func() -> u64; } }
package wasi:cli@0.2.0 {
    interface environment {
        get-environment: func() -> list<tuple<string, string>>;
        get-arguments: func() -> list<string>;
    }
    interface stderr { use wasi:io/streams@0.2.0.{output-stream}; get-stderr: func() -> output-stream; }
}
package wasi:filesystem@0.2.0 {
    interface types { resource descriptor; }
    interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }
}
";

const IMPORTS: &str = "
    import wasi:clocks/wall-clock@0.2.0;
    import wasi:clocks/monotonic-clock@0.2.0;
    import wasi:random/random@0.2.0;
    import wasi:cli/environment@0.2.0;
    import wasi:cli/stderr@0.2.0;
    import wasi:filesystem/preopens@0.2.0;
";

/// How the guest is made.
#[derive(Default)]
pub struct WasiGuest {
    grants: Vec<(u8, &'static str, bool)>,
    sleep_ns: u64,
}

impl WasiGuest {
    /// Asks for the clock.
    #[must_use]
    pub fn wants_clock(mut self, required: bool) -> Self {
        self.grants.push((0, "", required));
        self
    }

    /// Asks for random numbers.
    #[must_use]
    pub fn wants_randomness(mut self, required: bool) -> Self {
        self.grants.push((1, "", required));
        self
    }

    /// Asks for a key of the configuration.
    #[must_use]
    pub fn wants_config(mut self, key: &'static str, required: bool) -> Self {
        self.grants.push((2, key, required));
        self
    }

    /// Asks for something that no host knows.
    #[must_use]
    pub fn wants_other(mut self, what: &'static str, required: bool) -> Self {
        self.grants.push((3, what, required));
        self
    }

    /// Sleeps in its preflight.
    #[must_use]
    pub fn sleeps_s(mut self, seconds: u64) -> Self {
        self.sleep_ns = seconds * 1_000_000_000;
        self
    }

    /// The component.
    pub fn build(&self) -> Vec<u8> {
        let (grants, data) = self.grants();
        let text = MODULE
            .replace("$GRANTS", &self.grants.len().to_string())
            .replace("$SLEEP", &self.sleep_ns.to_string())
            .replace(
                "(; DATA ;)",
                &format!("(data (i32.const 4096) \"{grants}\")\n(data (i32.const 8192) \"{data}\")"),
            );
        let module = wat::parse_str(&text).unwrap_or_else(|e| panic!("{e}"));
        of_module(module, IMPORTS, WASI)
    }

    /// The list of records `wanted-grant`, from address 4096, and their texts, from 8192; as text for WebAssembly.
    fn grants(&self) -> (String, String) {
        let mut records = String::new();
        let mut texts = "to see the world".to_owned();
        let why = (8192_u32, u32::try_from(texts.len()).unwrap());
        for (case, text, required) in &self.grants {
            let at = 8192 + u32::try_from(texts.len()).unwrap();
            texts += text;
            let length = u32::try_from(text.len()).unwrap();
            for word in [u32::from(*case), at, length, u32::from(*required), why.0, why.1] {
                for byte in word.to_le_bytes() {
                    let _ = write!(records, "\\{byte:02x}");
                }
            }
        }
        (records, texts)
    }
}

/// 256: the description. 512: what `preflight`, `verify` and `plan` return. 1024: a line for the log. 2048: what WASI returns.
const MODULE: &str = r#"
(module
  (import "lockgate:migration/log@0.1.0" "log" (func $log (param i32 i32 i32)))
  (import "lockgate:migration/database@0.1.0" "[resource-drop]reader" (func $drop_reader (param i32)))
  (import "wasi:clocks/wall-clock@0.2.0" "now" (func $wall (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $monotonic (result i64)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.0" "[resource-drop]pollable" (func $drop_pollable (param i32)))
  (import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
  (import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))
  (import "wasi:cli/environment@0.2.0" "get-arguments" (func $arguments (param i32)))
  (import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $directories (param i32)))
  (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop_stream (param i32)))

  (memory (export "memory") 2)
  (global $free (mut i32) (i32.const 65536))
  (data (i32.const 1024) "seconds ________________ random ________________ monotonic ________________ given ________________")
  (data (i32.const 3072) "printed to stderr\n")
  (data (i32.const 3100) "wasi guest")
  (data (i32.const 3120) "SELECT 1")
  (; DATA ;)

  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get 3)))
    (local.get $at))

  (func $hex (param $at i32) (param $number i64)
    (local $i i32) (local $digit i32)
    (local.set $i (i32.const 16))
    (loop $next
      (local.set $i (i32.sub (local.get $i) (i32.const 1)))
      (local.set $digit (i32.wrap_i64 (i64.and (local.get $number) (i64.const 15))))
      (i32.store8 (i32.add (local.get $at) (local.get $i))
        (i32.add (local.get $digit) (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $digit) (i32.const 10)))))
      (local.set $number (i64.shr_u (local.get $number) (i64.const 4)))
      (br_if $next (local.get $i))))

  (func (export "lockgate:migration/program@0.1.0#describe") (result i32)
    (i32.store (i32.const 256) (i32.const 3100)) (i32.store (i32.const 260) (i32.const 10))
    (i32.store (i32.const 264) (i32.const 3100)) (i32.store (i32.const 268) (i32.const 4))
    (i32.store8 (i32.const 272) (i32.const 1))
    (i32.store (i32.const 276) (i32.const 4096)) (i32.store (i32.const 280) (i32.const $GRANTS))
    (i32.const 256))

  (func (export "lockgate:migration/program@0.1.0#preflight") (param $db i32) (result i32)
    (local $handle i32)
    (call $drop_reader (local.get $db))
    (if (i64.ne (i64.const $SLEEP) (i64.const 0)) (then
      (local.set $handle (call $subscribe (i64.const $SLEEP)))
      (call $block (local.get $handle))
      (call $drop_pollable (local.get $handle))))
    (call $wall (i32.const 2048))
    (call $hex (i32.const 1032) (i64.load (i32.const 2048)))
    (call $hex (i32.const 1056) (call $random))
    (call $hex (i32.const 1083) (call $monotonic))
    (call $environment (i32.const 2048)) (call $arguments (i32.const 2056)) (call $directories (i32.const 2064))
    (call $hex (i32.const 1106) (i64.extend_i32_u
      (i32.add (i32.load (i32.const 2052)) (i32.add (i32.load (i32.const 2060)) (i32.load (i32.const 2068))))))
    (call $log (i32.const 1) (i32.const 1024) (i32.const 98))
    (local.set $handle (call $stderr))
    (call $write (local.get $handle) (i32.const 3072) (i32.const 18) (i32.const 2048))
    (call $drop_stream (local.get $handle))
    (i32.const 512))

  (func (export "lockgate:migration/program@0.1.0#plan") (param i32) (param $db i32) (result i32)
    (call $drop_reader (local.get $db))
    (i32.store (i32.const 516) (i32.const 600)) (i32.store (i32.const 520) (i32.const 1))
    (i32.store8 (i32.const 600) (i32.const 0))
    (i32.store (i32.const 604) (i32.const 3120)) (i32.store (i32.const 608) (i32.const 8))
    (i32.const 512))

  (func (export "lockgate:migration/program@0.1.0#run") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "lockgate:migration/program@0.1.0#run-batch") (param i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)

  (func (export "lockgate:migration/program@0.1.0#verify") (param i32) (param $db i32) (result i32)
    (call $drop_reader (local.get $db))
    (i32.const 512)))
"#;
