#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| faregate_fuzz::frames(data));
