//! The seed: one number that fixes a plan.
//!
//! Everything random in a plan is drawn from named streams of one seed, one stream per purpose, so
//! that a new draw in one place moves nothing elsewhere. A seed fixes the plan, not the
//! interleaving: the operating system still schedules the processes.
//!
//! Written as typed when it is small (`7`), else as groups of four hex digits (`5eed-a0b3-9d44`);
//! both forms read back to the same number.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io::Read;
use std::str::FromStr;

/// Seeds from here on are written in hex groups, below it in decimal.
const FIRST_HEX: u64 = 1 << 32;

/// The seed of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seed(pub u64);

impl Seed {
    /// Draws a fresh seed of 48 bits from the operating system.
    ///
    /// # Errors
    /// When the system's random source cannot be read.
    pub fn draw() -> std::io::Result<Self> {
        let mut bytes = [0; 8];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let bits = u64::from_le_bytes(bytes) & 0xffff_ffff_ffff;
        Ok(Self(bits | FIRST_HEX))
    }

    /// The stream of draws for one purpose, such as `"schedule"`.
    #[must_use]
    pub fn stream(self, purpose: &str) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.0);
        rng.set_stream(fnv1a(purpose.as_bytes()));
        rng
    }

    /// A seed of its own for one purpose, for parts that take a number.
    #[must_use]
    pub fn derive(self, purpose: &str) -> u64 {
        self.stream(purpose).next_u64()
    }

    /// The seed of the `n`th run (from 0) of a `--count`.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        Self(self.0.wrapping_add(n))
    }
}

/// FNV-1a, 64 bits: stable for ever, and all a stream name needs.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < FIRST_HEX {
            return write!(f, "{}", self.0);
        }
        let hex =
            if self.0 < 1 << 48 { format!("{:012x}", self.0) } else { format!("{:016x}", self.0) };
        for (at, digit) in hex.chars().enumerate() {
            if at > 0 && at % 4 == 0 {
                f.write_str("-")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// The text is not a seed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a seed; give a number such as `7`, or hex groups such as `5eed-a0b3-9d44`")]
pub struct ParseSeedError(String);

impl FromStr for Seed {
    type Err = ParseSeedError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseSeedError(text.to_owned());
        if !text.contains('-') {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let number = digits.then(|| text.parse().ok()).flatten();
            return number.map(Self).ok_or_else(error);
        }
        let groups: Vec<&str> = text.split('-').collect();
        let shaped = groups.len() <= 4
            && groups.iter().all(|g| g.len() == 4 && g.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = shaped.then(|| u64::from_str_radix(&groups.concat(), 16).ok()).flatten();
        number.map(Self).ok_or_else(error)
    }
}

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Seed;

    #[test]
    fn every_form_reads_back() {
        let cases = [
            (0, "0"),
            (7, "7"),
            (u64::from(u32::MAX), "4294967295"),
            (1 << 32, "0001-0000-0000"),
            (0x5eed_a0b3_9d44, "5eed-a0b3-9d44"),
            (u64::MAX, "ffff-ffff-ffff-ffff"),
        ];
        for (number, text) in cases {
            assert_eq!(Seed(number).to_string(), text);
            assert_eq!(text.parse(), Ok(Seed(number)));
        }
        for bad in ["", "-", "abc", "+7", "-7", "5eed-a0b", "1-2", "18446744073709551616"] {
            assert!(bad.parse::<Seed>().is_err(), "{bad}");
        }
    }

    #[test]
    fn streams_are_stable_and_apart() {
        assert_eq!(Seed(7).derive("schedule"), 3_548_738_182_328_349_029);
        assert_ne!(Seed(7).derive("schedule"), Seed(7).derive("workload"));
    }

    #[test]
    fn a_drawn_seed_prints_in_three_groups() {
        let seed = Seed::draw().unwrap();
        assert_eq!(seed.to_string().len(), 14, "{seed}");
    }
}
