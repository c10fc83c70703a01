//! Whatever the server sends can be read, and whatever a guest sends is written or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lockgate::fuzzing::cell(bytes);
    lockgate::fuzzing::param(bytes);
});
