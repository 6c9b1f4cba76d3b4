//! Any bytes, read in any format: a history, or an error that names a line.

#![no_main]

use history::{ForeignOptions, Format, read_foreign};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    let choice = usize::from(*choice);
    let mut options = ForeignOptions::new(Format::ALL[choice % 6]);
    options.independent = choice / 6 % 2 == 1;
    options.workload = (choice / 12 % 2 == 1).then(|| "register".to_owned());
    if let Err(error) = read_foreign(bytes, &options) {
        assert!(error.to_string().contains("line "), "{error}");
    }
});
