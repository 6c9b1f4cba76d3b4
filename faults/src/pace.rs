//! How slowly a link delivers, and how it treats those who dial.
//!
//! A stream cannot lose, repeat or reorder anything, so a bad network shows to those who use TCP as time: late
//! bytes, bytes in dribs, and pauses of the length of a retransmission. [`Pace`] describes that time. Its draws
//! are made per slot of 10 ms from (seed, link, slot), never per read, because how a stream falls into reads
//! depends on the timing of threads: two connections over one link are late together, and a seed means the same
//! weather whatever the load.
//!
//! What it deliberately does not do: throw bytes away.

use crate::random::Random;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long one draw of a link's weather holds.
pub const SLOT: Duration = Duration::from_millis(10);
/// The wait before TCP sends again what was lost, on Linux; each further loss doubles it.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// How often a retransmission may be lost again: the longest stall is 200 ms × 2⁴.
const MOST_DOUBLINGS: u32 = 4;
/// An exponential draw is cut off at so many times its mean.
const EXPONENTIAL_LIMIT: f64 = 8.0;

/// How extra delay is spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Anything from nothing to the jitter, each equally likely.
    #[default]
    Uniform,
    /// Mostly short, now and then long: the jitter is the mean, eight times that the most.
    Exponential,
}

/// What makes a link slow, beside its delay. All zero: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// Extra delay, drawn anew for each slot. Order is kept: what was sent later never arrives earlier.
    #[serde(rename = "jitter_ms", with = "crate::milliseconds")]
    pub jitter: Duration,
    /// How the extra delay is spread.
    pub distribution: Distribution,
    /// How many bytes pass in a second, over all connections of the link together; 0 for no limit.
    pub bytes_per_second: u64,
    /// The most bytes that are written at once; 0 for no limit.
    pub slice_bytes: u32,
    /// Between two such writes.
    #[serde(rename = "slice_pause_ms", with = "crate::milliseconds")]
    pub slice_pause: Duration,
    /// In how many of a hundred slots something is lost, which shows as the wait for its retransmission: 200 ms,
    /// and twice as long for each time it is lost again.
    pub stall_percent: u8,
    /// Seed of the draws.
    pub seed: u64,
}

impl Pace {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self { seed: self.seed, distribution: self.distribution, ..Self::default() }
    }

    /// How much later than the delay what is sent in this slot arrives. `lane` tells links apart.
    #[must_use]
    pub fn extra(&self, lane: u32, slot: u64) -> Duration {
        if self.jitter.is_zero() && self.stall_percent == 0 {
            return Duration::ZERO;
        }
        // Slots of 10 ms: 32 bits of them are more than a year.
        let mut random = Random::new(self.seed, u64::from(lane) << 32 | (slot & 0xffff_ffff));
        let jitter = self.jitter.mul_f64(self.drawn(&mut random));
        jitter + self.stall(&mut random)
    }

    /// A draw in units of the jitter.
    fn drawn(&self, random: &mut Random) -> f64 {
        // 53 bits are what a double holds; never 1, so that the logarithm is finite.
        let even = (random.draw() >> 11) as f64 / (1_u64 << 53) as f64;
        match self.distribution {
            Distribution::Uniform => even,
            Distribution::Exponential => (-(1.0 - even).ln()).min(EXPONENTIAL_LIMIT),
        }
    }

    fn stall(&self, random: &mut Random) -> Duration {
        let percent = u64::from(self.stall_percent);
        if !random.chance(percent) {
            return Duration::ZERO;
        }
        let lost_again = (0..MOST_DOUBLINGS).take_while(|_| random.chance(percent)).count();
        RETRANSMISSION * (1 << lost_again)
    }

    /// Both at once: the sum of the delays, the narrower of the limits. Where both draw, the first one's seed counts.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        if self.is_plain() || other.is_plain() {
            return if self.is_plain() { other } else { self };
        }
        let narrower = |a: u64, b: u64| if a == 0 || b == 0 { a.max(b) } else { a.min(b) };
        let slice = narrower(self.slice_bytes.into(), other.slice_bytes.into());
        Self {
            jitter: self.jitter + other.jitter,
            distribution: self.distribution,
            bytes_per_second: narrower(self.bytes_per_second, other.bytes_per_second),
            slice_bytes: u32::try_from(slice).unwrap_or(u32::MAX),
            slice_pause: self.slice_pause.max(other.slice_pause),
            stall_percent: self.stall_percent.max(other.stall_percent),
            seed: self.seed,
        }
    }
}

/// What becomes of a connection that somebody dials. Those that exist are not touched by it.
///
/// In this order, the last wins where two faults disagree.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Accept {
    /// It is accepted, and dialled through unless the link is held.
    #[default]
    Serve,
    /// It is accepted and reset at once, as by a load balancer with nobody behind it.
    Reset,
    /// It is refused (`ECONNREFUSED`), as on a machine whose process is gone.
    Refuse,
    /// Nobody answers, as on a machine that is gone: the caller's kernel asks again after 1 s, and so on.
    Hang,
}

/// A hold that comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// How long the link is held each time, at least 1 ms.
    #[serde(rename = "held_ms", with = "crate::milliseconds")]
    pub held: Duration,
    /// How long it delivers in between, at least 1 ms.
    #[serde(rename = "free_ms", with = "crate::milliseconds")]
    pub free: Duration,
}

impl Period {
    /// Whether it is held at this time since it took effect, and until when.
    #[must_use]
    pub(crate) fn at(&self, since: Duration) -> (bool, Duration) {
        let least = Duration::from_millis(1);
        let (held, free) = (self.held.max(least).as_nanos(), self.free.max(least).as_nanos());
        let into = since.as_nanos() % (held + free);
        let (holds, left) =
            if into < held { (true, held - into) } else { (false, held + free - into) };
        (holds, since + Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(distribution: Distribution, stall_percent: u8) -> Pace {
        let jitter = Duration::from_millis(20);
        Pace { jitter, distribution, stall_percent, seed: 7, ..Pace::default() }
    }

    fn mean(pace: &Pace, slots: u64) -> f64 {
        let total: Duration = (0..slots).map(|slot| pace.extra(1 << 16 | 2, slot)).sum();
        total.as_secs_f64() * 1000.0 / slots as f64
    }

    #[test]
    fn draws_never_change_their_values() {
        let extra = |pace: Pace, lane| -> Vec<u128> {
            (0..6).map(|slot| pace.extra(lane, slot).as_micros()).collect()
        };
        let uniform = extra(pace(Distribution::Uniform, 0), 1);
        assert_eq!(uniform, GOLDEN_UNIFORM);
        assert_eq!(extra(pace(Distribution::Exponential, 60), 1), GOLDEN_STALLS);
        assert_ne!(uniform, extra(pace(Distribution::Uniform, 0), 2), "links differ");
    }

    const GOLDEN_UNIFORM: [u128; 6] = [7350, 5871, 15238, 6172, 18450, 8305];
    const GOLDEN_STALLS: [u128; 6] = [809161, 1606950, 28702, 7382, 251150, 10732];

    #[test]
    fn distributions_have_the_means_they_say() {
        let uniform = mean(&pace(Distribution::Uniform, 0), 4000);
        assert!((9.5..10.5).contains(&uniform), "{uniform}");
        let exponential = mean(&pace(Distribution::Exponential, 0), 4000);
        assert!((18.5..21.5).contains(&exponential), "{exponential}");
    }

    #[test]
    fn stalls_are_as_frequent_as_asked_and_as_long_as_retransmissions() {
        let stalls = Pace { stall_percent: 10, seed: 3, ..Pace::default() };
        let drawn: Vec<u128> = (0..4000).map(|slot| stalls.extra(9, slot).as_millis()).collect();
        let (stalled, again) = (
            drawn.iter().filter(|&&ms| ms > 0).count(),
            drawn.iter().filter(|&&ms| ms > 200).count(),
        );
        assert!((320..480).contains(&stalled), "{stalled}");
        assert!((20..70).contains(&again), "{again}");
        assert!(drawn.iter().all(|ms| [0, 200, 400, 800, 1600, 3200].contains(ms)));
    }

    #[test]
    fn a_flap_holds_first_and_then_lets_go() {
        let ms = Duration::from_millis;
        let flap = Period { held: ms(30), free: ms(70) };
        assert_eq!(flap.at(ms(0)), (true, ms(30)));
        assert_eq!(flap.at(ms(30)), (false, ms(100)));
        assert_eq!(flap.at(ms(129)), (true, ms(130)));
        assert_eq!(Period { held: ms(0), free: ms(0) }.at(ms(4)), (true, ms(5)), "never stuck");
    }

    #[test]
    fn two_paces_are_as_slow_as_both() {
        let one = Pace { bytes_per_second: 10, slice_bytes: 5, ..Pace::default() };
        let other = Pace { bytes_per_second: 3, stall_percent: 2, seed: 9, ..Pace::default() };
        let both = one.and(other);
        assert_eq!((both.bytes_per_second, both.slice_bytes, both.stall_percent), (3, 5, 2));
        assert_eq!(Pace::default().and(other), other);
        assert_eq!(other.and(Pace::default()), other);
    }
}
