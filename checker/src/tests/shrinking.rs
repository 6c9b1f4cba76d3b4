//! Counterexamples are illegal, sound and small.

use super::draw::{Draw, Family, history};
use super::{EMPTY, Plain, is_valid, judge, mute, options, retype};
use crate::budget::Budget;
use crate::oracle::is_legal;
use crate::partition::Partition;
use crate::problem::Problem;
use crate::search::{Found, Rules, search};
use crate::shrink::{Draft, Evidence, Kept, Past, guess};
use crate::specs::register::{Op, Ret};
use crate::{Call, Leaves, Limits, Needs, Ruling, SequentialSpec, Shape, Spec};

fn family(seed: u64, draw: &mut Draw) -> Family {
    Family {
        clients: 2 + draw.below(3),
        operations: 3 + draw.below(6),
        values: seed % 4,
        unknown_percent: 20,
        wrong_percent: 0,
        tie_percent: if seed.is_multiple_of(2) { 0 } else { 40 },
    }
}

/// The calls of a set as they stand at the horizon: open where they had not ended.
fn as_of<S: Spec>(partition: &Partition<S>, evidence: &Evidence, kept: &Kept) -> Vec<Call<S>> {
    let open_after = |mut call: Call<S>| {
        call.answer = call.answer.filter(|answer| answer.end <= evidence.horizon());
        call
    };
    let places = evidence.places(kept);
    places.map(|place| open_after(partition.calls[place as usize].clone())).collect()
}

/// The sound set without these, by a draft of its own.
fn without(evidence: &Evidence, whole: &Kept, out: &[usize], budget: &mut Budget<'_>) -> Kept {
    let mut draft = Draft::default();
    evidence.without(whole, out, &mut draft, budget).unwrap();
    draft.kept
}

/// The heart of the shrink: whatever a set leaves out, a legal history stays legal.
fn sound_sets_of_legal_histories_are_legal<S: Spec>(
    initial: &S,
    histories: impl Iterator<Item = (u64, Vec<Call<S>>)>,
) {
    let mut count = 0;
    let budget = &mut Budget::new(Limits::default(), &|| false);
    for (seed, calls) in histories {
        let draw = &mut Draw::new(seed);
        assert!(is_legal(initial, &calls));
        let ends: Vec<u64> =
            calls.iter().filter_map(|call| call.answer.as_ref().map(|answer| answer.end)).collect();
        let partition = super::partition(initial, &calls);
        for horizon in ends.into_iter().chain([u64::MAX]) {
            for round in 0..12 {
                // The last rounds know only the last few calls.
                let most = [usize::MAX, 1, 2, 4][(round as usize).saturating_sub(4) / 2];
                let mut evidence = Evidence::ending(&partition, horizon, most);
                evidence.terse = round % 2 == 1;
                let chosen: Vec<usize> = (0..evidence.len()).filter(|_| draw.percent(35)).collect();
                let mut draft = Draft::default();
                let is = evidence.complete(&chosen, usize::MAX, &mut draft, budget).unwrap();
                assert!(is || most < calls.len());
                let completed = is.then_some(draft.kept);
                let without = without(&evidence, &evidence.all(), &chosen, budget);
                for kept in completed.into_iter().chain([without]) {
                    let part = as_of(&partition, &evidence, &kept);
                    assert!(
                        is_legal(initial, &part),
                        "seed {seed}, horizon {horizon}: {part:#?}\nof {:#?}",
                        partition.calls
                    );
                    count += u64::from(part.len() < partition.calls.len());
                }
            }
        }
    }
    println!("{count} proper sound sets of legal histories: all legal");
    assert!(count > 10_000);
}

#[test]
fn no_sound_set_accuses_a_legal_history() {
    let histories = (0..4_000).map(|seed| {
        let draw = &mut Draw::new(seed);
        let family = family(seed, draw);
        (seed, history(family, draw))
    });
    sound_sets_of_legal_histories_are_legal(&EMPTY, histories);
}

#[test]
fn no_sound_set_accuses_a_legal_history_of_a_spec_without_shapes() {
    let histories = (0..4_000).map(|seed| {
        let draw = &mut Draw::new(seed);
        let family = family(seed, draw);
        (seed, mute(&history(family, draw)))
    });
    let budget = histories.take(2_000);
    sound_sets_of_legal_histories_are_legal(&super::Mute(EMPTY), budget);
}

/// The register whose writes say nothing about themselves, so that reads need states of which it is unclear who left
/// them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ShyWrites(Plain);

impl SequentialSpec for ShyWrites {
    type Op = Op<u8>;
    type Ret = Ret<u8>;
    fn invoke(&mut self, op: &Op<u8>) -> Ret<u8> {
        self.0.invoke(op)
    }
}

impl Spec for ShyWrites {
    fn describe(op: &Op<u8>, ret: Option<&Ret<u8>>) -> String {
        Plain::describe(op, ret)
    }
    fn describe_state(&self) -> String {
        self.0.describe_state()
    }
    fn shape(op: &Op<u8>, ret: Option<&Ret<u8>>) -> Shape<Self> {
        if matches!(op, Op::Write(_)) {
            return Shape { needs: Needs::Unclear, leaves: Leaves::Unclear };
        }
        let Shape { needs, leaves } = Plain::shape(op, ret);
        Shape { needs: needs.map(Self), leaves: leaves.map(Self) }
    }
}

#[test]
fn no_sound_set_accuses_a_legal_history_where_it_is_unclear_who_left_a_state() {
    let histories = (0..2_000).map(|seed| {
        let draw = &mut Draw::new(seed);
        let family = family(seed, draw);
        (seed, retype(&history(family, draw)))
    });
    sound_sets_of_legal_histories_are_legal(&ShyWrites(EMPTY), histories);
}

#[test]
fn every_counterexample_is_illegal_and_no_larger_than_its_history() {
    let (mut illegal, mut inexact) = (0, 0);
    for seed in 0..12_000 {
        let draw = &mut Draw::new(seed);
        let family = Family { wrong_percent: 25, ..family(seed, draw) };
        let calls = history(family, draw);
        let judgement = judge(&EMPTY, &calls);
        if judgement.ruling == Ruling::Valid {
            continue;
        }
        illegal += 1;
        let violation = &judgement.violations[0];
        let part: Vec<Call<Plain>> = calls
            .iter()
            .filter(|call| violation.operations.contains(&call.index))
            .cloned()
            .collect();
        assert_eq!(part.len(), violation.operations.len());
        assert!(!is_legal(&EMPTY, &part), "seed {seed}: {part:#?}");
        assert_eq!(judge(&EMPTY, &part).ruling, Ruling::Invalid, "judged again, seed {seed}");
        inexact += u64::from(!violation.exact);
        assert!(!violation.sentences.is_empty());
    }
    println!("{illegal} counterexamples, all illegal by every order");
    assert!(illegal > 2_000);
    assert_eq!(inexact, 0);
}

#[test]
fn the_write_that_explains_a_mismatch_is_kept() {
    // Legal up to the last read; write 2 has no reader, and the mismatch needs it.
    let calls = [
        super::call(0, 1, Op::Write(1), Ret::Done),
        super::unknown(2, Op::Write(2)),
        super::call(4, 5, Op::Cas(Some(1), 9), Ret::Mismatch),
        super::call(6, 7, Op::Read, Ret::Value(Some(8))),
    ];
    let partition = super::partition(&EMPTY, &calls);
    let evidence = Evidence::new(&partition, 5);
    let budget = &mut Budget::new(Limits::default(), &|| false);
    let without = without(&evidence, &evidence.all(), &[1], budget);
    assert!(!without.has(2), "the mismatch must go with the write that it may have seen");
    assert!(is_valid(&EMPTY, &as_of(&partition, &evidence, &without)));
    // The proof of the violation is the read alone: nobody ever wrote 8.
    let violation = &judge(&EMPTY, &calls).violations[0];
    assert_eq!(violation.operations, [6]);
}

#[test]
fn no_guess_accuses_a_legal_history() {
    let (mut tried, mut accused) = (0, 0);
    for seed in 0..400 {
        let draw = &mut Draw::new(8_000_000 + seed);
        let family = Family {
            clients: 3 + draw.below(4),
            operations: 40 + draw.below(80),
            values: seed % 5,
            unknown_percent: [0, 5, 15][(seed % 3) as usize],
            wrong_percent: [0, 0, 2][(seed / 3 % 3) as usize],
            tie_percent: [0, 40][(seed / 9 % 2) as usize],
        };
        let calls = history(family, draw);
        let partition = super::partition(&EMPTY, &calls);
        let all: Vec<u32> = (0..calls.len() as u32).collect();
        let problem = Problem::new(&partition, &all, u64::MAX);
        let limits = Limits { steps: 2_000_000, ..Limits::default() };
        let budget = &mut Budget::new(limits, &|| false);
        let legal = match search(&partition, &problem, Rules::ALL, budget).0 {
            Found::Legal(_) => true,
            Found::Illegal => false,
            Found::Halted(_) => continue,
        };
        for _ in 0..4 {
            let stuck = draw.below(calls.len() as u64) as u32;
            let budget = &mut Budget::new(limits, &|| false);
            tried += 1;
            if let Some(core) = guess(&partition, stuck, budget, &options()) {
                accused += 1;
                assert!(!legal, "seed {seed}, stuck at {stuck}: {:?}", core.calls);
            }
        }
    }
    println!("{tried} guesses, {accused} counterexamples, none of a legal history");
    assert!(tried > 1_000 && accused > 20);
}

/// What lets a shrink take a set for legal or illegal without a search: of two sound sets, one a part of the other,
/// the part is legal if the whole is, also where the history itself is not.
#[test]
fn sound_parts_of_legal_sound_sets_are_legal() {
    let budget = &mut Budget::new(Limits::default(), &|| false);
    let (mut parts, mut illegal) = (0, 0);
    for seed in 0..6_000 {
        let draw = &mut Draw::new(seed);
        let family = Family { wrong_percent: 25, ..family(seed, draw) };
        let calls = history(family, draw);
        let partition = super::partition(&EMPTY, &calls);
        let mut evidence = Evidence::new(&partition, u64::MAX);
        let mut draft = Draft::default();
        for round in 0..8 {
            // One kind of soundness is as good as the other.
            evidence.terse = round % 2 == 1;
            let mut drop = |kept: &Kept| {
                let dropped: Vec<usize> =
                    (0..evidence.len()).filter(|_| draw.percent(20)).collect();
                evidence.without(kept, &dropped, &mut draft, budget).unwrap();
                let alone = without(&evidence, kept, &dropped, budget);
                assert_eq!(draft.kept, alone, "seed {seed}: what came before changes nothing");
                alone
            };
            let whole = drop(&evidence.all());
            let part = drop(&whole);
            let legal =
                [&whole, &part].map(|kept| is_legal(&EMPTY, &as_of(&partition, &evidence, kept)));
            assert!(!legal[0] || legal[1], "seed {seed}: {part:?} of {whole:?} of {calls:#?}");
            parts += u64::from(part.len() < whole.len() && !part.is_empty());
            illegal += u64::from(!legal[1]);
        }
    }
    println!("{parts} proper parts, {illegal} illegal: none of them of a legal set");
    assert!(parts > 5_000 && illegal > 1_000);
}

/// What came before the windows may be gone through once for all of them.
#[test]
fn windows_that_share_their_past_are_those_that_do_not() {
    for seed in 0..300 {
        let draw = &mut Draw::new(seed);
        let family = Family { operations: 30, ..family(seed, draw) };
        let calls = history(family, draw);
        let partition = super::partition(&EMPTY, &calls);
        let mut ends: Vec<u64> =
            calls.iter().filter_map(|call| call.answer.as_ref().map(|answer| answer.end)).collect();
        ends.sort_unstable();
        let budget = &mut Budget::new(Limits::default(), &|| false);
        let Some(&first) = ends.get(ends.len() / 2) else { continue };
        let past = Past::before(&partition, first, 8);
        for &horizon in ends.iter().filter(|end| **end >= first) {
            for most in [2, 4, 8] {
                for terse in [false, true] {
                    let shared = past.window(&partition, horizon, most);
                    let alone = Evidence::ending(&partition, horizon, most);
                    let sound = [shared, alone].map(|mut evidence| {
                        evidence.terse = terse;
                        let kept = without(&evidence, &evidence.all(), &[], budget);
                        evidence.places(&kept).collect::<Vec<u32>>()
                    });
                    assert_eq!(sound[0], sound[1], "seed {seed}, {horizon}, {most}: {calls:#?}");
                }
            }
        }
    }
}

/// A long busy history with one violation planted at its end.
fn planted(seed: u64, unknown_percent: u64, last: &[Call<Plain>]) -> Vec<Call<Plain>> {
    let family = Family {
        clients: 8,
        operations: 240,
        values: 0,
        unknown_percent,
        wrong_percent: 0,
        tie_percent: 0,
    };
    let mut calls = history(family, &mut Draw::new(seed));
    let end = calls.iter().filter_map(|call| call.answer.as_ref()).map(|answer| answer.end).max();
    let offset = end.unwrap() + 1;
    for call in last {
        let mut call = call.clone();
        call.start += offset;
        call.index += 1_000_000;
        call.process += 1_000_000;
        if let Some(answer) = &mut call.answer {
            answer.end += offset;
        }
        calls.push(call);
    }
    calls
}

#[test]
fn usual_violations_become_small() {
    let call = super::call::<u8>;
    let stale = [
        call(0, 1, Op::Write(251), Ret::Done),
        call(2, 3, Op::Write(252), Ret::Done),
        call(4, 5, Op::Read, Ret::Value(Some(251))),
    ];
    let lost = [call(0, 1, Op::Write(251), Ret::Done), call(2, 3, Op::Read, Ret::Value(None))];
    let double = [
        call(0, 1, Op::Write(251), Ret::Done),
        call(2, 5, Op::Cas(Some(251), 252), Ret::Swapped),
        call(3, 6, Op::Cas(Some(251), 253), Ret::Swapped),
    ];
    let mismatch =
        [call(0, 1, Op::Write(251), Ret::Done), call(2, 3, Op::Cas(Some(251), 252), Ret::Mismatch)];
    let sized = |name: &str, unknown, last: &[Call<Plain>], most: usize| {
        let mut sizes: Vec<usize> = (0..12)
            .map(|seed| {
                let calls = planted(seed, unknown, last);
                let judgement = judge(&EMPTY, &calls);
                assert_eq!(judgement.ruling, Ruling::Invalid, "{name} {seed}");
                judgement.violations[0].operations.len()
            })
            .collect();
        sizes.sort_unstable();
        println!("{name}: {sizes:?} operations of about 240");
        assert!(sizes[sizes.len() / 2] <= most, "{name}: {sizes:?}");
        assert!(sizes[sizes.len() * 9 / 10] <= 12, "{name}: {sizes:?}");
    };
    sized("stale read", 3, &stale, 4);
    // An unknown delete would explain a lost write, any unknown write a mismatch.
    sized("lost write", 0, &lost, 6);
    sized("double cas", 3, &double, 6);
    sized("wrong mismatch", 0, &mismatch, 6);
}
