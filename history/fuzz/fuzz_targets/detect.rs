//! The format that some bytes show: the same for all of them as for a beginning that shows any.

#![no_main]

use history::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let whole = Format::detect(input);
    let half = Format::detect(&input[..input.len() / 2]);
    assert!(half.is_none() || half == whole);
});
