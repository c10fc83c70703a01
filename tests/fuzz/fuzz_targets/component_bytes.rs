//! No bytes take the host along that loads them as a component.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    lockgate::fuzzing::component(bytes);
});
