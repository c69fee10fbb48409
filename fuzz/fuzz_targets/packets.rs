#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vrrp_linux::fuzz::packets(bytes));
