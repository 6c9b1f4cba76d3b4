//! What is done to messages, as values: a rule, the fate that it draws for each message, and what came of it.

use crate::link::Link;
use crate::random::Random;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most that may be lost of either kind: a link that loses more is rather a link that is cut.
const MOST_LOST: f64 = 0.5;
/// The longest delay, in milliseconds.
const LONGEST_DELAY: u64 = 2000;
/// Probabilities are compared as whole millionths.
const MILLION: u64 = 1_000_000;
/// The bit of a message's number that tells answers from requests.
const REPLY: u64 = 1 << 63;

/// What is done to the messages of a link; each part of it to every message by itself. The words of
/// [`crate::Entry::how`] for the class `message`; probabilities are between 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessageRule {
    /// How probable it is that a message of a request is lost; with its only message the call is.
    pub drop_request: f64,
    /// How probable it is that a message of an answer is lost, after what was asked has been done.
    pub drop_reply: f64,
    /// How probable it is that a message of a request comes twice; a request of a single message is a second call.
    pub duplicate: f64,
    /// The shortest and the longest time by which a message of a request is late, in milliseconds. The time is drawn for
    /// each, so they overtake each other.
    pub delay_ms: [u64; 2],
    /// Whether messages of some seconds ago are sent again, now and then.
    pub replay: bool,
}

impl MessageRule {
    /// Whether it can be followed and does anything.
    ///
    /// # Errors
    /// What is wrong, as a fragment.
    pub fn check(&self) -> Result<(), String> {
        let within = |word: &str, value: f64, most: f64| {
            let fits = (0.0..=most).contains(&value);
            fits.then_some(()).ok_or_else(|| format!("`{word}` must be from 0 to {most}"))
        };
        within("drop_request", self.drop_request, MOST_LOST)?;
        within("drop_reply", self.drop_reply, MOST_LOST)?;
        within("duplicate", self.duplicate, 1.0)?;
        let [low, high] = self.delay_ms;
        if low > high || high > LONGEST_DELAY {
            return Err(format!("`delay_ms` must be [least, most], at most {LONGEST_DELAY}"));
        }
        let lost = self.drop_request + self.drop_reply + self.duplicate;
        if lost == 0.0 && low == high && !self.replay {
            return Err("its `how` asks for nothing that could be seen".to_owned());
        }
        Ok(())
    }

    /// What becomes of the `number`-th message that was sent over `link`. It depends on nothing else.
    pub(super) fn fate(&self, seed: u64, link: Link, number: u64) -> Fate {
        let mut random = stream(seed, link, number & !REPLY);
        let drop = happens(&mut random, self.drop_request);
        let duplicate = happens(&mut random, self.duplicate);
        let [low, high] = self.delay_ms.map(Duration::from_millis);
        Fate { drop, duplicate, delay: random.between(low, high) }
    }

    /// Whether the `number`-th message that came back over `link` is lost.
    pub(super) fn loses_reply(&self, seed: u64, link: Link, number: u64) -> bool {
        happens(&mut stream(seed, link, number | REPLY), self.drop_reply)
    }
}

/// The draws for one message.
pub(super) fn stream(seed: u64, link: Link, number: u64) -> Random {
    let pair = u64::from(link.from.0) << 32 | u64::from(link.to.0);
    Random::new(seed ^ pair.wrapping_mul(0x9E37_79B9_7F4A_7C15), number)
}

fn happens(random: &mut Random, probability: f64) -> bool {
    // Both are whole numbers below 2^53, so nothing is rounded.
    (random.below(MILLION) as f64) < (probability * MILLION as f64).round()
}

/// What becomes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) drop: bool,
    pub(super) duplicate: bool,
    pub(super) delay: Duration,
}

/// What was done to messages. Each is counted when it is done, not when it is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageCounts {
    /// Messages of requests that arrived.
    pub requests: u64,
    /// Messages of answers that arrived.
    pub replies: u64,
    /// Of the requests, lost.
    pub dropped_requests: u64,
    /// Of the answers, lost.
    pub dropped_replies: u64,
    /// Messages passed on a second time.
    pub duplicated: u64,
    /// Messages passed on late.
    pub delayed: u64,
    /// Of these, passed on after one of the same method that had arrived later.
    pub reordered: u64,
    /// Old messages passed on again.
    pub replayed: u64,
}

impl MessageCounts {
    /// How many messages did not arrive once and in order.
    #[must_use]
    pub fn touched(&self) -> u64 {
        let lost = self.dropped_requests + self.dropped_replies;
        lost + self.duplicated + self.reordered + self.replayed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use history::NodeId;

    const RULE: MessageRule = MessageRule {
        drop_request: 0.2,
        drop_reply: 0.1,
        duplicate: 0.3,
        delay_ms: [5, 90],
        replay: false,
    };

    #[test]
    fn a_fate_depends_on_seed_link_and_number_alone() {
        let link = Link::new(NodeId(1), NodeId(2));
        let fates = |seed, link| -> Vec<Fate> {
            (0..100).map(|number| RULE.fate(seed, link, number)).collect()
        };
        assert_eq!(fates(1, link), fates(1, link));
        assert_ne!(fates(1, link), fates(2, link));
        assert_ne!(fates(1, link), fates(1, link.reversed()));
        let first: Vec<u128> = fates(7, link).iter().take(6).map(|f| f.delay.as_millis()).collect();
        assert_eq!(first, [88, 85, 26, 41, 78, 41], "these values never change");
    }

    #[test]
    fn fates_are_as_frequent_as_asked() {
        let link = Link::new(NodeId(3), NodeId(1));
        let fates: Vec<Fate> = (0..10_000).map(|number| RULE.fate(9, link, number)).collect();
        let count = |is: &dyn Fn(&Fate) -> bool| fates.iter().filter(|fate| is(fate)).count();
        assert!((1800..2200).contains(&count(&|fate| fate.drop)));
        assert!((2800..3200).contains(&count(&|fate| fate.duplicate)));
        let delays = Duration::from_millis(5)..=Duration::from_millis(90);
        assert!(fates.iter().all(|fate| delays.contains(&fate.delay)));
        let lost = (0..10_000).filter(|&number| RULE.loses_reply(9, link, number)).count();
        assert!((850..1150).contains(&lost), "{lost}");
    }

    #[test]
    fn rules_that_ask_for_too_much_or_nothing_are_refused() {
        assert_eq!(RULE.check(), Ok(()));
        let refused = |rule: MessageRule| assert!(rule.check().is_err(), "{rule:?}");
        refused(MessageRule::default());
        refused(MessageRule { drop_request: 0.6, ..RULE });
        refused(MessageRule { drop_reply: -0.1, ..RULE });
        refused(MessageRule { duplicate: f64::NAN, ..RULE });
        refused(MessageRule { delay_ms: [9, 3], ..RULE });
        refused(MessageRule { delay_ms: [0, 5000], ..RULE });
    }
}
