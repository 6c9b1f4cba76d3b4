//! `g-counter` and `pn-counter`: a counter whose adds all arrive in the end.
//!
//! The promise is eventual, as Maelstrom has it: what a read shows while work goes on proves nothing. At the end, when nothing
//! has been asked for a while, a read through each node, marked as final, shows the sum of all adds that were
//! acknowledged and of any of those whose outcome is unknown. Which sums those are is followed as a set of intervals;
//! where it becomes too many ([`MOST_INTERVALS`]), nobody knows.

use crate::decode::{counter::number, unknown_function};
use crate::draw::Draw;
use crate::finding::{Asked, FINAL, Finding, Found, answered, count, failed, who};
use crate::{
    Caller, Completion, DecodeError, Generator, Invocation, JudgeOptions, Settings, Workload, grow,
};
use checker::Judgement;
use history::{History, NodeId, Operation};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const FUNCTIONS: &[&str] = &["add", "read"];
/// Amounts are drawn as Maelstrom draws them: from -5, or 0, to 4.
const LARGEST: i64 = 4;
const SMALLEST: i64 = -5;
/// More possible sums than fit into so many intervals are not followed.
const MOST_INTERVALS: usize = 10_000;

/// The two workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sums {
    /// Amounts are not negative.
    Growing,
    /// They may be.
    Signed,
}

impl Sums {
    fn smallest(self) -> i64 {
        if self == Self::Signed { SMALLEST } else { 0 }
    }

    fn step(self, operation: &Operation) -> Result<Step, DecodeError> {
        let refuse = |problem| DecodeError::new(operation, problem);
        let whole = |value, what| number(value, what).map(i128::from).map_err(refuse);
        match operation.f.as_str() {
            "add" => {
                let amount = whole(&operation.input, "the value of an add")?;
                match amount < 0 && self == Self::Growing {
                    true => Err(refuse(format!("a g-counter only grows, not by {amount}"))),
                    false => Ok(Step::Add(amount)),
                }
            }
            "read" => {
                let answer =
                    answered(operation).map(|(value, _)| whole(value, "the answer of a read"));
                Ok(Step::Read(answer.transpose()?))
            }
            _ => Err(refuse(unknown_function(operation, FUNCTIONS))),
        }
    }
}

enum Step {
    Add(i128),
    Read(Option<i128>),
}

struct Adding {
    kind: Sums,
    seed: u64,
    draws: BTreeMap<usize, Draw>,
}

fn read(value: Value) -> Invocation {
    Invocation { f: "read", key: None, value }
}

fn add(amount: i64) -> Invocation {
    Invocation { f: "add", key: None, value: json!(amount) }
}

impl Generator for Adding {
    fn next(&mut self, caller: &Caller) -> Invocation {
        let seed = self.seed;
        let stream = || Draw::new(seed, caller.worker as u64);
        let draw = self.draws.entry(caller.worker).or_insert_with(stream);
        if caller.reads_only || draw.below(2) == 0 {
            return read(Value::Null);
        }
        let smallest = self.kind.smallest();
        let amounts = (LARGEST - smallest + 1).unsigned_abs();
        // Below ten.
        add(smallest + i64::try_from(draw.below(amounts)).unwrap_or(0))
    }

    fn complete(&mut self, _: &Caller, _: &Invocation, _: &Completion) {}

    fn final_reads(&self) -> Vec<Invocation> {
        vec![read(json!(FINAL))]
    }
}

impl Workload for Sums {
    fn name(&self) -> &'static str {
        match self {
            Self::Growing => "g-counter",
            Self::Signed => "pn-counter",
        }
    }

    fn about(&self) -> &'static str {
        match self {
            Self::Growing => {
                "a counter that only grows: add, read; in the end all nodes show the sum (Maelstrom)"
            }
            Self::Signed => {
                "a counter up and down: add, read; in the end all nodes show the sum (Maelstrom)"
            }
        }
    }

    fn check(&self) -> &'static str {
        "sum"
    }

    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }

    fn generator(&self, settings: &Settings) -> Option<Box<dyn Generator>> {
        Some(Box::new(Adding { kind: *self, seed: settings.seed, draws: BTreeMap::new() }))
    }

    fn recovery(&self, _: NodeId, _: u64) -> Vec<Invocation> {
        vec![add(1), read(Value::Null)]
    }

    fn quiet(&self) -> Duration {
        grow::QUIET
    }

    fn judge(
        &self,
        history: &History,
        options: &JudgeOptions<'_>,
    ) -> Result<Judgement, DecodeError> {
        let mut adds: Vec<(&Operation, i128)> = Vec::new();
        let (mut last, mut asked) = (Vec::new(), Asked::default());
        for operation in &history.operations {
            match self.step(operation)? {
                Step::Add(_) if failed(operation) => {}
                Step::Add(amount) => adds.push((operation, amount)),
                Step::Read(sum) if operation.input == FINAL => {
                    asked.note(operation);
                    last.extend(sum.map(|sum| (operation, sum)));
                }
                Step::Read(_) => {}
            }
        }
        Ok(found(&adds, &last, &asked, options.stop).into())
    }

    fn describe(&self, operation: &Operation) -> String {
        match self.step(operation) {
            Ok(Step::Add(amount)) => format!("add {amount}"),
            Ok(Step::Read(Some(sum))) => format!("read → {sum}"),
            _ => operation.f.to_string(),
        }
    }
}

fn found(
    adds: &[(&Operation, i128)],
    last: &[(&Operation, i128)],
    asked: &Asked,
    stop: &dyn Fn() -> bool,
) -> Found {
    if last.is_empty() {
        return Found::Open("no final read was answered, so the sum is not known".to_owned());
    }
    let reads = count(last.len(), "final read");
    let (mut wrong, mut first) = (0, None);
    // All that was added before, as a rule, so that the sums of one read are those of the next.
    let mut known: Option<(i128, Vec<i128>, Possible)> = None;
    for &(read, sum) in last {
        let (certain, open) = seen_by(read, adds);
        if known.as_ref().is_none_or(|known| (known.0, &known.1) != (certain, &open)) {
            match Possible::of(certain, &open, stop) {
                Err(why) => {
                    return Found::Open(format!(
                        "{why} {}",
                        count(open.len(), "add of unknown outcome")
                    ));
                }
                Ok(possible) => known = Some((certain, open, possible)),
            }
        }
        let Some((.., possible)) = &known else { continue };
        if !possible.has(sum) {
            wrong += 1;
            first.get_or_insert_with(|| {
                let mut operations: Vec<u64> = adds.iter().map(|(add, _)| add.index).collect();
                operations.push(read.index);
                let sentence = format!(
                    "The final read of {} shows {sum}, and it may be {possible}.",
                    who(read)
                );
                Finding { operations, sentences: vec![sentence] }
            });
        }
    }
    match (first, asked.silent(), known) {
        (Some(finding), ..) => {
            Found::Wrong(format!("{wrong} of {reads} shows a wrong sum"), finding)
        }
        (None, Some(silent), _) => Found::Open(format!(
            "what {silent} shows is not known: no final read was answered there"
        )),
        (None, None, Some((.., possible))) => {
            Found::Right(format!("{} in {reads}, as it may be: {possible}", distinct(last)))
        }
        (None, None, None) => Found::Open("no sum is known".to_owned()),
    }
}

/// The sum of what was acknowledged when a read began, and the amounts besides that it may show: of unknown outcome, or
/// not yet answered then, and begun before it ended.
fn seen_by(read: &Operation, adds: &[(&Operation, i128)]) -> (i128, Vec<i128>) {
    let end = answered(read).map_or(u64::MAX, |(_, end)| end);
    let (mut certain, mut open) = (0, Vec::new());
    for (add, amount) in adds {
        match answered(add) {
            Some((_, ended)) if ended < read.start => certain += amount,
            _ if add.start <= end => open.push(*amount),
            _ => {}
        }
    }
    (certain, open)
}

/// What the final reads show: one sum, or how many.
fn distinct(last: &[(&Operation, i128)]) -> String {
    let sums: std::collections::BTreeSet<i128> = last.iter().map(|(_, sum)| *sum).collect();
    match sums.first() {
        Some(sum) if sums.len() == 1 => sum.to_string(),
        _ => count(sums.len(), "different sum"),
    }
}

/// Sums that are possible: by where an interval begins, where it ends, both included; none touches the next.
struct Possible(BTreeMap<i128, i128>);

impl Possible {
    /// One sum, and to it any of these amounts.
    ///
    /// # Errors
    /// The beginning of a sentence, if it becomes too much or is told to stop.
    fn of(certain: i128, open: &[i128], stop: &dyn Fn() -> bool) -> Result<Self, &'static str> {
        let mut sums = Self([(certain, certain)].into());
        for amount in open.iter().filter(|amount| **amount != 0) {
            if sums.0.len() > MOST_INTERVALS {
                return Err("too many sums are possible with");
            }
            if stop() {
                return Err("there was no time to add up");
            }
            let mut both: Vec<(i128, i128)> = sums.0.into_iter().collect();
            let shifted: Vec<_> =
                both.iter().map(|(from, to)| (from + amount, to + amount)).collect();
            both.extend(shifted);
            both.sort_unstable();
            sums = Self(BTreeMap::new());
            for (from, to) in both {
                match sums.0.last_entry() {
                    Some(mut last) if from <= *last.get() + 1 => {
                        let end = to.max(*last.get());
                        last.insert(end);
                    }
                    _ => {
                        sums.0.insert(from, to);
                    }
                }
            }
        }
        Ok(sums)
    }

    fn has(&self, sum: i128) -> bool {
        self.0.range(..=sum).next_back().is_some_and(|(_, to)| sum <= *to)
    }
}

impl std::fmt::Display for Possible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 4;
        let one = |(from, to): (&i128, &i128)| match from == to {
            true => from.to_string(),
            false => format!("{from} to {to}"),
        };
        let shown: Vec<String> = self.0.iter().take(SHOWN).map(one).collect();
        let more = if self.0.len() > SHOWN { " or some others" } else { "" };
        write!(f, "{}{more}", shown.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::tests::{Line::*, judge, read as history_of};

    #[test]
    fn the_final_sum_is_of_all_that_happened_and_of_any_that_may_have() {
        let adds = |last: &'static str| {
            [
                Ok("add", "3", "3"),
                Ok("read", "null", "0"),
                Fail("add", "1"),
                Info("add", "4"),
                Ok("add", "-5", "-5"),
                Info("add", "10"),
                Ok("read", "\"final\"", last),
            ]
        };
        for right in ["-2", "2", "8", "12"] {
            let judged = judge("pn-counter", &adds(right));
            let said =
                format!("valid: {right} in 1 final read, as it may be: -2 or 2 or 8 or 12 []");
            assert_eq!(judged, said);
        }
        for wrong in ["-1", "3", "0", "22"] {
            let judged = judge("pn-counter", &adds(wrong));
            let said = "invalid: 1 of 1 final read shows a wrong sum [0, 6, 8, 10, 12] \
                        The final read of c6 on n1 shows";
            assert!(judged.starts_with(said), "{judged}");
        }
        let unread = "unknown: no final read was answered, so the sum is not known []";
        assert_eq!(judge("pn-counter", &adds("0")[..6]), unread);
        let mut more = adds("2").to_vec();
        more.push(Ok("add", "1", "1"));
        let judged = judge("pn-counter", &more);
        assert!(judged.starts_with("valid: 2 in 1"), "what comes later is not shown: {judged}");
        more.push(On("n2", "read", "\"final\""));
        let said = "unknown: what n2 shows is not known: no final read was answered there []";
        assert_eq!(judge("pn-counter", &more), said);
        assert!(history_of("g-counter", &adds("2")).is_err(), "it goes down");
        assert!(history_of("g-counter", &[Ok("read", "null", "1.5")]).is_err());
    }

    /// Against every choice of a few amounts.
    #[test]
    fn possible_sums_are_exactly_those_that_some_choice_makes() {
        let mut draw = Draw::new(3, 0);
        for _ in 0..200 {
            let amount = |draw: &mut Draw| i128::from(draw.below(41)) - 20;
            let open: Vec<i128> = (0..draw.below(8)).map(|_| amount(&mut draw)).collect();
            let possible = Possible::of(7, &open, &|| false).expect("few");
            let sums: std::collections::BTreeSet<i128> = (0..1_u32 << open.len())
                .map(|choice| {
                    let chosen = open.iter().enumerate().filter(|(at, _)| choice >> at & 1 == 1);
                    7 + chosen.map(|(_, amount)| amount).sum::<i128>()
                })
                .collect();
            for sum in -200..=200 {
                assert_eq!(possible.has(sum), sums.contains(&sum), "{sum} of {open:?}");
            }
        }
        let many: Vec<i128> = (0..30).map(|power| 3_i128.pow(power)).collect();
        assert!(Possible::of(0, &many, &|| false).is_err_and(|why| why.contains("many")));
        assert!(Possible::of(0, &[1], &|| true).is_err_and(|why| why.contains("time")));
    }

    #[test]
    fn amounts_are_those_of_maelstrom() {
        let settings = Settings { seed: 1, keys: 1, retire_operations: 1, retire_unknown: 1 };
        for (kind, smallest) in [(Sums::Growing, 0), (Sums::Signed, -5)] {
            let mut generator = kind.generator(&settings).expect("it can be run");
            let caller = Caller { worker: 0, reads_only: false };
            let drawn: std::collections::BTreeSet<i64> =
                (0..500).filter_map(|_| generator.next(&caller).value.as_i64()).collect();
            assert_eq!(drawn, (smallest..=4).collect());
            let caller = Caller { worker: 1, reads_only: true };
            assert!((0..50).all(|_| generator.next(&caller).f == "read"));
        }
    }
}
