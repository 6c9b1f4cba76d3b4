//! A counterexample in sentences.

use super::{left, longest::Longest, needed, text};
use crate::partition::Partition;
use crate::shrink::Core;
use crate::{Blocked, Coordinates, Spec};

/// More facts than this about who was first do not help.
const MOST_FACTS: usize = 8;

/// Who had finished before whom, what may have happened, what cannot come next, and what follows.
pub(super) fn sentences<S: Spec>(
    partition: &Partition<S>,
    core: &Core,
    found: &Longest<S>,
    blocked: &[(u32, Blocked)],
    coordinates: Coordinates,
) -> Vec<String> {
    let mut sentences = precedences(partition, &core.calls, coordinates);
    for place in &core.calls {
        if partition.calls[*place as usize].answer.is_none() {
            sentences.push(format!(
                "The outcome of {} is unknown: it may have happened at any time after it began, or never.",
                name(partition, *place)
            ));
        }
    }
    if let Some(state) = found.states.last() {
        let order: Vec<String> = found.order.iter().map(|place| text(partition, *place)).collect();
        sentences.push(match order.is_empty() {
            true => format!("Nothing can come first: the state is {}.", state.describe_state()),
            false => format!(
                "The longest legal order is {}; it leaves {}.",
                order.join(", then "),
                state.describe_state()
            ),
        });
    }
    for (place, blocked) in blocked {
        sentences.push(format!("{} cannot follow: it {}.", name(partition, *place), blocked.why));
        sentences.extend(no_way_back(partition, core, found, *place));
    }
    sentences.push(match core.calls.len() {
        1 => "So no order is legal.".to_owned(),
        count => format!("So no order of these {count} operations is legal."),
    });
    sentences
}

/// An operation with who called whom.
fn name<S: Spec>(partition: &Partition<S>, place: u32) -> String {
    match &partition.calls[place as usize].label {
        Some(label) => format!("{} ({label})", text(partition, place)),
        None => text(partition, place),
    }
}

/// Which operations had ended before which began, leaving out what follows from the rest.
fn precedences<S: Spec>(
    partition: &Partition<S>,
    calls: &[u32],
    coordinates: Coordinates,
) -> Vec<String> {
    let precedes = |a: u32, b: u32| partition.precedes(a as usize, b as usize);
    let mut sentences = Vec::new();
    for &b in calls {
        for &a in calls {
            let between = |other: &u32| precedes(a, *other) && precedes(*other, b);
            if precedes(a, b) && !calls.iter().any(between) {
                let end =
                    partition.calls[a as usize].answer.as_ref().map_or(0, |answer| answer.end);
                let gap = partition.calls[b as usize].start.saturating_sub(end);
                let (first, second) = (name(partition, a), name(partition, b));
                sentences.push(match coordinates {
                    Coordinates::Nanoseconds => {
                        format!("{first} had finished {} before {second} began.", duration(gap))
                    }
                    Coordinates::Positions => {
                        format!("{first} had finished before {second} began.")
                    }
                });
            }
        }
    }
    // The last ones are nearest to what went wrong.
    let surplus = sentences.len().saturating_sub(MOST_FACTS);
    sentences.drain(..surplus);
    sentences
}

/// Whether any operation left could bring about the state that a blocked one needs.
fn no_way_back<S: Spec>(
    partition: &Partition<S>,
    core: &Core,
    found: &Longest<S>,
    place: u32,
) -> Option<String> {
    let needed = needed(partition, place)?;
    let leaves = |other: &&u32| left(partition, **other).as_ref() == Some(&needed);
    let (done, to_come): (Vec<u32>, Vec<u32>) =
        core.calls.iter().filter(leaves).partition(|other| found.order.contains(other));
    if !to_come.is_empty() {
        return None;
    }
    let state = needed.describe_state();
    Some(match &done[..] {
        [] if needed == partition.states[0] => {
            format!("The state was {state} at the very beginning, and nothing brings it back.")
        }
        [] => {
            match shield(partition, core, place).filter(|_| was_left(partition, place, &needed)) {
                Some(shield) => format!(
                    "What left {state} had finished before {} began.",
                    name(partition, shield)
                ),
                None => format!("Nothing ever left {state}."),
            }
        }
        [one] => format!("Only {} leaves {state}, and it has been.", name(partition, *one)),
        many => format!("All {} operations that leave {state} have been.", many.len()),
    })
}

/// Whether some call of the whole partition that started before this one ended leaves the state.
fn was_left<S: Spec>(partition: &Partition<S>, place: u32, state: &S) -> bool {
    let end = partition.calls[place as usize].answer.as_ref().map_or(u64::MAX, |answer| answer.end);
    (0..partition.calls.len() as u32)
        .take_while(|other| partition.calls[*other as usize].start <= end)
        .any(|other| left(partition, other).as_ref() == Some(state))
}

/// The last call of the counterexample that certainly replaced the state before this one began.
fn shield<S: Spec>(partition: &Partition<S>, core: &Core, place: u32) -> Option<u32> {
    core.calls
        .iter()
        .copied()
        .filter(|other| partition.precedes(*other as usize, place as usize))
        .filter(|other| left(partition, *other).is_some())
        .max_by_key(|other| partition.calls[*other as usize].start)
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
