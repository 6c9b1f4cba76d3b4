//! Durations as people type them (`500ms`, `90s`, `5m`, `1m30s`) and as they read them (`0.6 s`).
//!
//! `text` and `parse` are exact inverses to the microsecond; `short` rounds for the screen and is
//! never parsed.

use std::time::Duration;

/// The units, longest first; `parse` takes any of them once, in this order.
const UNITS: [(&str, u64); 5] =
    [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

/// The text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration; write it like `500ms`, `90s`, `5m` or `1m30s`")]
pub struct ParseDurationError(String);

/// Reads `500ms`, `90s`, `1.5s`, `5m`, `1m30s`.
///
/// # Errors
/// When the text has no unit, an unknown one, units out of order, or overflows.
pub fn parse(text: &str) -> Result<Duration, ParseDurationError> {
    let error = || ParseDurationError(text.to_owned());
    let mut rest = text;
    let mut total: u64 = 0;
    let mut allowed = &UNITS[..];
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(error)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let at = allowed.iter().position(|(name, _)| *name == unit).ok_or_else(error)?;
        let part = micros(number, allowed[at].1).ok_or_else(error)?;
        total = total.checked_add(part).ok_or_else(error)?;
        allowed = &allowed[at + 1..];
        rest = tail;
    }
    if text.is_empty() { Err(error()) } else { Ok(Duration::from_micros(total)) }
}

/// A decimal number of units of `scale` microseconds; none if malformed, finer than a microsecond or too large.
fn micros(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let mut total = whole.checked_mul(scale)?;
    let mut unit = scale;
    for digit in fraction.bytes() {
        if !unit.is_multiple_of(10) {
            return None;
        }
        unit /= 10;
        total = total.checked_add(u64::from(digit - b'0') * unit)?;
    }
    Some(total)
}

/// The shortest exact text, to the microsecond: `30s`, `1m30s`, `500ms`, `0s`.
#[must_use]
pub fn text(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, scale) in UNITS {
        if left >= scale {
            text.push_str(&format!("{}{unit}", left / scale));
            left %= scale;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// For the screen: `3 ms`, `0.6 s`, `41 s`, `12 min`.
#[must_use]
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 0.0995 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 99.95 {
        format!("{seconds:.1} s")
    } else if seconds < 600.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.0} min", seconds / 60.0)
    }
}

/// Durations in JSON as their exact text; `#[serde(with = "duration::as_text")]`.
pub mod as_text {
    use super::{parse, text};
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    /// Writes `"1m30s"`.
    ///
    /// # Errors
    /// Whatever the serializer reports.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*duration))
    }

    /// Reads `"1m30s"`.
    ///
    /// # Errors
    /// When the text is not a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, short, text};
    use std::time::Duration;

    #[test]
    fn what_people_type() {
        for (typed, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("1.5s", 1_500),
            ("5m", 300_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(typed), Ok(Duration::from_millis(millis)), "{typed}");
        }
        for bad in [
            "",
            "abc",
            "30",
            "s",
            "30x",
            "1s1m",
            "1s1s",
            "-1s",
            "1..5s",
            ".5s",
            "5.s",
            "99999999999999h",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn text_is_the_inverse_of_parse() {
        for micros in [0, 1, 999, 1_000, 1_500_000, 60_000_000, 90_000_001, 3_661_001_001] {
            let duration = Duration::from_micros(micros);
            assert_eq!(parse(&text(duration)), Ok(duration));
        }
    }

    #[test]
    fn short_rounds() {
        let cases =
            [(3, "3 ms"), (99, "99 ms"), (600, "0.6 s"), (41_000, "41.0 s"), (900_000, "15 min")];
        for (millis, expected) in cases {
            assert_eq!(short(Duration::from_millis(millis)), expected);
        }
    }
}
