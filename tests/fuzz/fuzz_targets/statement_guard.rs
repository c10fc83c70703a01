//! No statement that would end the transaction gets past the guard.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lockgate::fuzzing::guard(bytes);
});
