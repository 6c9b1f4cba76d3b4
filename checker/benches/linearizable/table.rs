//! Figures for people, and the one place that prints.

use std::io::{self, Write};
use std::time::Duration;

/// Prints a line at once: rows take a while.
pub(crate) fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}

/// `1,000,000`.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Two digits that count, in the unit that fits.
pub(crate) fn duration(time: Duration) -> String {
    let micros = time.as_nanos() as f64 / 1e3;
    match micros {
        _ if micros < 1e3 => format!("{} µs", two_digits(micros)),
        _ if micros < 1e5 => format!("{} ms", two_digits(micros / 1e3)),
        _ => format!("{} s", two_digits(micros / 1e6)),
    }
}

/// Millions of bytes; a dash if they are not known.
pub(crate) fn bytes(number: u64) -> String {
    match number {
        0 => "-".to_owned(),
        1_000_000_000.. => format!("{} GB", two_digits(number as f64 / 1e9)),
        _ => format!("{} MB", two_digits(number as f64 / 1e6)),
    }
}

/// How many times as long: `280×`.
pub(crate) fn ratio(time: Duration, ours: Duration) -> String {
    let times = time.as_secs_f64() / ours.as_secs_f64().max(1e-9);
    match times < 10.0 {
        true => format!("{}×", two_digits(times)),
        false => format!("{}×", count(times.round() as usize)),
    }
}

fn two_digits(number: f64) -> String {
    match number {
        _ if number < 1.0 => format!("{number:.2}"),
        _ if number < 10.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}
