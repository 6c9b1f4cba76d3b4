//! A counterexample in sentences.

use super::{blocked, left, longest::Longest, needed, text};
use crate::partition::{Leave, Partition, StateId};
use crate::shrink::Core;
use crate::{Blocked, Call, Coordinates, Options, Spec};
use std::collections::BTreeMap;

/// More facts than this about who was first do not help.
const MOST_FACTS: usize = 8;
/// Nor do more other orders.
const MOST_OTHERS: usize = 2;

/// Who had finished before whom, what may have happened, what cannot come next, and what follows.
pub(super) fn sentences<S: Spec>(
    partition: &Partition<S>,
    core: &Core,
    found: &Longest<S>,
    blocked: &[(u32, Blocked)],
    options: &Options<'_>,
) -> Vec<String> {
    let names = names(partition, core, options);
    let teller = Teller { partition, core, found, options, names };
    let mut sentences = teller.precedences();
    sentences.extend(teller.unknown());
    sentences.extend(teller.order());
    for (place, blocked) in blocked {
        let name = teller.name(*place);
        sentences.push(format!("{name} cannot follow: it {}.", blocked.why));
        sentences.extend(teller.no_way_back(*place));
    }
    sentences.extend(teller.others());
    sentences.push(match core.calls.len() {
        1 => "So no order is legal.".to_owned(),
        count => format!("So no order of these {count} operations is legal."),
    });
    sentences
}

/// Each operation with who called whom: `write 3 (c5 → n2)`; of those that would be told alike, also which it is, in the
/// order of their starts: `write 3 (c5 → n2, 1 of 2)`.
fn names<S: Spec>(partition: &Partition<S>, core: &Core, options: &Options<'_>) -> Vec<String> {
    let facts = |place: &u32| {
        let label = (options.label)(partition.calls[*place as usize].index);
        (text(partition, *place), label)
    };
    let told: Vec<(String, Option<String>)> = core.calls.iter().map(facts).collect();
    let name = |(nth, one): (usize, &(String, Option<String>))| {
        let alike = |others: &[(String, Option<String>)]| {
            others.iter().filter(|other| *other == one).count()
        };
        let (number, all) = (alike(&told[..=nth]), alike(&told));
        let which = (all > 1).then(|| format!("{number} of {all}"));
        let facts: Vec<String> = one.1.iter().cloned().chain(which).collect();
        match facts.is_empty() {
            true => one.0.clone(),
            false => format!("{} ({})", one.0, facts.join(", ")),
        }
    };
    told.iter().enumerate().map(name).collect()
}

/// A counterexample that is too large to be told step by step.
pub(super) fn summary<S: Spec>(partition: &Partition<S>, core: &Core) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for place in &core.calls {
        *counts.entry(text(partition, *place)).or_default() += 1;
    }
    let kinds = counts.len();
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut told: Vec<String> = counts
        .into_iter()
        .take(MOST_FACTS)
        .map(|(text, count)| match count {
            1 => text,
            _ => format!("{text} ({count} times)"),
        })
        .collect();
    if kinds > told.len() {
        told.push(format!("and {} others", kinds - told.len()));
    }
    let last = core
        .calls
        .iter()
        .filter(|place| partition.calls[**place as usize].answer.is_some())
        .max_by_key(|place| partition.calls[**place as usize].answer.as_ref().map(|a| a.end));
    let mut sentences = vec![format!("The operations are {}.", told.join(", "))];
    sentences.extend(
        last.map(|place| format!("The last of them to end was {}.", text(partition, *place))),
    );
    sentences.push(format!("No order of these {} operations is legal.", core.calls.len()));
    sentences
}

/// What there is to tell of.
struct Teller<'a, S: Spec> {
    partition: &'a Partition<S>,
    core: &'a Core,
    found: &'a Longest<S>,
    options: &'a Options<'a>,
    /// Of each call of the core, the operation with who called whom.
    names: Vec<String>,
}

impl<S: Spec> Teller<'_, S> {
    fn call(&self, place: u32) -> &Call<S> {
        &self.partition.calls[place as usize]
    }

    /// An operation of the core with who called whom.
    fn name(&self, place: u32) -> &str {
        self.core.calls.binary_search(&place).map_or("", |call| &self.names[call])
    }

    /// Which operations had ended before which began, leaving out what follows from the rest.
    fn precedences(&self) -> Vec<String> {
        let precedes = |a: u32, b: u32| self.partition.precedes(a as usize, b as usize);
        let calls = &self.core.calls;
        let mut pairs = Vec::new();
        for &b in calls {
            for &a in calls {
                let between = |other: &u32| precedes(a, *other) && precedes(*other, b);
                if precedes(a, b) && !calls.iter().any(between) {
                    pairs.push((a, b));
                }
            }
        }
        // The last ones are nearest to what went wrong.
        let surplus = pairs.len().saturating_sub(MOST_FACTS);
        pairs.drain(..surplus);
        pairs.into_iter().map(|(a, b)| self.precedence(a, b)).collect()
    }

    fn precedence(&self, a: u32, b: u32) -> String {
        let end = self.call(a).answer.as_ref().map_or(0, |answer| answer.end);
        let gap = self.call(b).start.saturating_sub(end);
        let (first, second) = (self.name(a), self.name(b));
        match self.options.coordinates {
            Coordinates::Nanoseconds => {
                format!("{first} had finished {} before {second} began.", duration(gap))
            }
            Coordinates::Positions => format!("{first} had finished before {second} began."),
        }
    }

    /// The operations that may have happened.
    fn unknown(&self) -> Vec<String> {
        let unknown = |place: &&u32| self.call(**place).answer.is_none();
        let tell = |place: &u32| {
            format!(
                "The outcome of {} is unknown: it may have happened at any time after it began, or never.",
                self.name(*place)
            )
        };
        self.core.calls.iter().filter(unknown).map(tell).collect()
    }

    /// How far some order comes.
    fn order(&self) -> Option<String> {
        let leaves = self.found.states.last()?.describe_state();
        let order: Vec<String> =
            self.found.order.iter().map(|place| text(self.partition, *place)).collect();
        Some(match (order.is_empty(), self.found.complete) {
            (true, true) => format!("Nothing can come first: the state is {leaves}."),
            (true, false) => return None,
            (false, true) => {
                format!("The longest legal order is {}; it leaves {leaves}.", order.join(", then "))
            }
            (false, false) => {
                format!("A legal order of some is {}; it leaves {leaves}.", order.join(", then "))
            }
        })
    }

    /// Other ways that come as far.
    fn others(&self) -> Vec<String> {
        let tell = |(order, state): &(Vec<u32>, S)| {
            let texts: Vec<String> =
                order.iter().map(|place| text(self.partition, *place)).collect();
            let reasons: Vec<String> =
                blocked(self.partition, &self.core.calls, order, Some(state))
                    .iter()
                    .map(|(place, blocked)| format!("{} {}", self.name(*place), blocked.why))
                    .collect();
            format!("{} comes as far: {}.", texts.join(", then "), reasons.join("; "))
        };
        self.found.others.iter().take(MOST_OTHERS).map(tell).collect()
    }

    /// Whether any operation left could bring about the state that a blocked one needs. Nothing is said where what some
    /// operation leaves depends on what it finds.
    fn no_way_back(&self, place: u32) -> Option<String> {
        let needed = needed(self.partition, place)?;
        if self.partition.effects.iter().any(|effect| effect.leave() == Leave::Unclear) {
            return None;
        }
        let leaves = |other: &&u32| left(self.partition, **other) == Some(needed);
        let (done, to_come): (Vec<u32>, Vec<u32>) = self
            .core
            .calls
            .iter()
            .filter(leaves)
            .partition(|other| self.found.order.contains(other));
        if !to_come.is_empty() {
            return None;
        }
        let state = self.partition.states[needed as usize].describe_state();
        Some(match &done[..] {
            // The number of the initial state.
            [] if needed == 0 => {
                format!("The state was {state} at the very beginning, and nothing brings it back.")
            }
            [] => match self.shield(place).filter(|_| self.was_left(place, needed)) {
                Some(shield) => {
                    format!("What left {state} had finished before {} began.", self.name(shield))
                }
                None => format!("Nothing ever left {state}."),
            },
            [one] => format!("Only {} leaves {state}, and it has been.", self.name(*one)),
            many => format!("All {} operations that leave {state} have been.", many.len()),
        })
    }

    /// Whether some call of the whole partition that started before this one ended leaves the
    /// state.
    fn was_left(&self, place: u32, state: StateId) -> bool {
        let end = self.call(place).answer.as_ref().map_or(u64::MAX, |answer| answer.end);
        (0..self.partition.calls.len() as u32)
            .take_while(|other| self.call(*other).start <= end)
            .any(|other| left(self.partition, other) == Some(state))
    }

    /// The last call of the counterexample that certainly replaced the state before this one began.
    fn shield(&self, place: u32) -> Option<u32> {
        self.core
            .calls
            .iter()
            .copied()
            .filter(|other| self.partition.precedes(*other as usize, place as usize))
            .filter(|other| left(self.partition, *other).is_some())
            .max_by_key(|other| self.call(*other).start)
    }
}

fn duration(nanoseconds: u64) -> String {
    let number = nanoseconds as f64;
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{:.1} µs", number / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", number / 1e6),
        _ => format!("{:.2} s", number / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_have_a_unit_to_their_size() {
        let texts: Vec<String> = [7, 8_100, 8_049_000, 1_234_000_000].map(duration).into();
        assert_eq!(texts, ["7 ns", "8.1 µs", "8.0 ms", "1.23 s"]);
    }
}
