//! `g-set` and `broadcast`: a set that only grows, known to all nodes in the end.
//!
//! The promise is eventual: a read may be as old as it likes, and what one node shows another one need not. What it may not
//! do is show what nobody added by then. And at the end, when nothing has been asked for as long as Maelstrom waits too
//! ([`QUIET`]), a read through each node shows everything that was acknowledged. These reads are marked
//! ([`FINAL`]); where there is none, what is lost is not known. An element that is shown twice is no mistake, here as
//! there. What is lost is told first, and only if nothing is, what came from nowhere.
//!
//! Reads of a set that grows are long, so they become rarer as it does, for all clients: those that only read elsewhere add
//! here, too.

use crate::decode::{data, datum, unknown_function};
use crate::draw::Draw;
use crate::finding::{Asked, FINAL, Finding, Found, answered, count, cut, failed, who};
use crate::{
    Caller, Completion, Datum, DecodeError, Generator, Invocation, JudgeOptions, Settings, Workload,
};
use checker::Judgement;
use history::{History, NodeId, Operation};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// How long Maelstrom waits before its final reads.
pub(crate) const QUIET: Duration = Duration::from_secs(10);
/// Every so manieth operation reads, as long as the set is small.
const READ_EVERY: u64 = 2;
/// A read shows on average as many elements as so many operations add, however large the set is.
const SHOWN_PER_OPERATION: u64 = 50;
/// The first element that is added to see whether a node serves again: a run adds fewer others, and a node with numbers
/// of 32 bits can keep it.
const RECOVERY_ELEMENTS: u64 = 1_000_000_000;
/// Each node has as many of those, more than there is time to try.
const RECOVERY_ATTEMPTS: u64 = 100_000;

/// The two workloads; they differ in words only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grow {
    Set,
    Broadcast,
}

impl Grow {
    fn add(self) -> &'static str {
        self.functions()[0]
    }

    fn add_of(self, element: u64) -> Invocation {
        Invocation { f: self.add(), key: None, value: json!(element) }
    }

    /// What an operation is, or why it is none.
    fn step(self, operation: &Operation) -> Result<Step, DecodeError> {
        let refuse = |problem| DecodeError::new(operation, problem);
        if operation.f.as_str() == self.add() {
            return datum(&operation.input, "an element").map(Step::Add).map_err(refuse);
        }
        if operation.f != "read" {
            return Err(refuse(unknown_function(operation, self.functions())));
        }
        let shown = answered(operation)
            .map(|(value, _)| data(value, "the answer of a read"))
            .transpose()
            .map_err(refuse)?;
        Ok(Step::Read { last: operation.input == FINAL, shown })
    }
}

enum Step {
    Add(Datum),
    Read { last: bool, shown: Option<Vec<Datum>> },
}

struct Growing {
    kind: Grow,
    seed: u64,
    draws: BTreeMap<usize, Draw>,
    added: u64,
}

fn read(value: Value) -> Invocation {
    Invocation { f: "read", key: None, value }
}

impl Generator for Growing {
    fn next(&mut self, caller: &Caller) -> Invocation {
        let seed = self.seed;
        let stream = || Draw::new(seed, caller.worker as u64);
        let draw = self.draws.entry(caller.worker).or_insert_with(stream);
        if draw.below(READ_EVERY.max(self.added / SHOWN_PER_OPERATION)) == 0 {
            return read(Value::Null);
        }
        self.added += 1;
        self.kind.add_of(self.added - 1)
    }

    fn complete(&mut self, _: &Caller, _: &Invocation, _: &Completion) {}

    fn final_reads(&self) -> Vec<Invocation> {
        vec![read(json!(FINAL))]
    }
}

impl Workload for Grow {
    fn name(&self) -> &'static str {
        match self {
            Self::Set => "g-set",
            Self::Broadcast => "broadcast",
        }
    }

    fn about(&self) -> &'static str {
        match self {
            Self::Set => {
                "a set that only grows: add, read; in the end all nodes show all of it (Maelstrom)"
            }
            Self::Broadcast => {
                "messages for everybody: broadcast, read; in the end all nodes show all of them (Maelstrom)"
            }
        }
    }

    fn check(&self) -> &'static str {
        "complete"
    }

    fn functions(&self) -> &'static [&'static str] {
        match self {
            Self::Set => &["add", "read"],
            Self::Broadcast => &["broadcast", "read"],
        }
    }

    fn generator(&self, settings: &Settings) -> Option<Box<dyn Generator>> {
        let (kind, seed) = (*self, settings.seed);
        Some(Box::new(Growing { kind, seed, draws: BTreeMap::new(), added: 0 }))
    }

    fn recovery(&self, node: NodeId, attempt: u64) -> Vec<Invocation> {
        let element = RECOVERY_ELEMENTS + RECOVERY_ATTEMPTS * u64::from(node.0) + attempt;
        vec![self.add_of(element), read(Value::Null)]
    }

    fn quiet(&self) -> Duration {
        QUIET
    }

    fn judge(&self, history: &History, _: &JudgeOptions<'_>) -> Result<Judgement, DecodeError> {
        let mut seen = Seen::default();
        for operation in &history.operations {
            match self.step(operation)? {
                Step::Add(element) => seen.adds.entry(element).or_default().push(operation),
                Step::Read { last, shown } => {
                    if last {
                        seen.asked.note(operation);
                    }
                    seen.reads.extend(shown.map(|shown| Read { operation, last, shown }));
                }
            }
        }
        Ok(seen.found().into())
    }

    fn describe(&self, operation: &Operation) -> String {
        match self.step(operation) {
            Ok(Step::Read { shown: Some(shown), .. }) => {
                format!("read → {}", count(shown.len(), "element"))
            }
            Ok(Step::Add(element)) => format!("{} {}", self.add(), cut(element.to_string())),
            _ => operation.f.to_string(),
        }
    }
}

struct Read<'a> {
    operation: &'a Operation,
    last: bool,
    shown: Vec<Datum>,
}

/// All that was added, by whom, and all that was shown.
#[derive(Default)]
struct Seen<'a> {
    adds: HashMap<Datum, Vec<&'a Operation>>,
    reads: Vec<Read<'a>>,
    asked: Asked,
}

impl Seen<'_> {
    fn found(&self) -> Found {
        let lost = self.lost();
        if let Some((first, finding)) = lost.first {
            let from = match lost.elements.len() {
                1 => format!("{first} is"),
                more => format!("{first} and {} more are", more - 1),
            };
            return Found::Wrong(
                format!("{from} lost: acknowledged, and not there at the end"),
                finding,
            );
        }
        if let Some((message, finding)) = self.strange() {
            return Found::Wrong(message, finding);
        }
        let last = self.reads.iter().filter(|read| read.last).count();
        let kept = count(lost.acknowledged, "acknowledged element");
        match (last, lost.acknowledged, self.asked.silent()) {
            (0, ..) => {
                Found::Open("no final read was answered, so what is lost is not known".to_owned())
            }
            (_, 0, _) => Found::Open("nothing that was added was acknowledged".to_owned()),
            (.., Some(silent)) => Found::Open(format!(
                "what {silent} holds is not known: no final read was answered there"
            )),
            (last, _, None) => {
                Found::Right(format!("{kept}, all in each of {}", count(last, "final read")))
            }
        }
    }

    /// What was acknowledged before a final read that does not show it.
    fn lost(&self) -> Lost {
        let mut acknowledged: Vec<(&Datum, &Operation, u64)> = Vec::new();
        for (element, adds) in &self.adds {
            let ends = adds.iter().filter_map(|add| Some((add, answered(add)?.1)));
            if let Some((add, end)) = ends.min_by_key(|(_, end)| *end) {
                acknowledged.push((element, add, end));
            }
        }
        acknowledged.sort_by_key(|(_, add, _)| add.index);
        let mut lost =
            Lost { acknowledged: acknowledged.len(), elements: HashSet::new(), first: None };
        for read in self.reads.iter().filter(|read| read.last) {
            let shown: HashSet<&Datum> = read.shown.iter().collect();
            for (element, add, end) in &acknowledged {
                if *end > read.operation.start || shown.contains(element) {
                    continue;
                }
                lost.elements.insert((*element).clone());
                let element = cut(element.to_string());
                if lost.first.is_none() {
                    let finding = Finding {
                        operations: vec![add.index, read.operation.index],
                        sentences: vec![format!(
                            "{} added {element} and was told that it is there; the final read of {} does not show it.",
                            who(add),
                            who(read.operation)
                        )],
                    };
                    lost.first = Some((element, finding));
                }
            }
        }
        lost
    }

    /// The first read that shows what nobody had asked to add by then.
    fn strange(&self) -> Option<(String, Finding)> {
        let end = |read: &Read<'_>| answered(read.operation).map_or(u64::MAX, |(_, end)| end);
        let began = |element: &Datum, end: u64| {
            let adds = self.adds.get(element);
            adds.is_some_and(|adds| adds.iter().any(|add| !failed(add) && add.start <= end))
        };
        self.reads.iter().find_map(|read| {
            let stranger = read.shown.iter().find(|element| !began(element, end(read)))?;
            // The adds of all else that it shows, or it would show more from nowhere; and what there was of this one.
            let adds = read.shown.iter().filter_map(|element| self.adds.get(element)).flatten();
            let mut operations: Vec<u64> = adds.map(|add| add.index).collect();
            operations.push(read.operation.index);
            let why = match self.adds.get(stranger) {
                None => "which nobody added",
                Some(adds) if adds.iter().all(|add| failed(add)) => "and to add it had failed",
                Some(_) => "which was added only later",
            };
            let stranger = cut(stranger.to_string());
            let message = format!("a read shows {stranger}, {why}");
            let sentence = format!("The read of {} shows {stranger}, {why}.", who(read.operation));
            Some((message, Finding { operations, sentences: vec![sentence] }))
        })
    }
}

struct Lost {
    acknowledged: usize,
    elements: HashSet<Datum>,
    first: Option<(String, Finding)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::tests::{Line::*, judge, read as history_of};

    #[test]
    fn what_was_acknowledged_is_there_at_the_end() {
        let stale = [
            Ok("add", "1", "1"),
            Ok("read", "null", "[]"),
            Info("add", "2"),
            Fail("add", "3"),
            Ok("add", "4", "4"),
            Ok("read", "null", "[4]"),
            Ok("read", "\"final\"", "[4,1,1]"),
            Ok("read", "\"final\"", "[1,2,4]"),
        ];
        let right = "valid: 2 acknowledged elements, all in each of 2 final reads []";
        assert_eq!(judge("g-set", &stale), right);
        let mut lost = stale.to_vec();
        lost.push(Ok("read", "\"final\"", "[4]"));
        let said = "invalid: 1 is lost: acknowledged, and not there at the end [0, 16] \
                    c0 on n1 added 1 and was told that it is there; the final read of c8 on n1 \
                    does not show it.";
        assert_eq!(judge("g-set", &lost), said);
        let unread = "unknown: no final read was answered, so what is lost is not known []";
        assert_eq!(judge("g-set", &stale[..6]), unread);
        let mut silent = stale.to_vec();
        silent.push(On("n3", "read", "\"final\""));
        let said = "unknown: what n3 holds is not known: no final read was answered there []";
        assert_eq!(judge("g-set", &silent), said);
        let nothing = [Fail("add", "1"), Ok("read", "\"final\"", "[]")];
        assert_eq!(judge("g-set", &nothing), "unknown: nothing that was added was acknowledged []");
    }

    #[test]
    fn nothing_comes_from_nowhere() {
        for (lines, said) in [
            (
                vec![Ok("broadcast", "1", "1"), Ok("read", "null", "[1,7]")],
                "a read shows 7, which nobody added [0, 2]",
            ),
            (
                vec![Fail("broadcast", "7"), Ok("read", "null", "[7]")],
                "a read shows 7, and to add it had failed [0, 2]",
            ),
            (
                vec![Ok("read", "null", "[7]"), Ok("broadcast", "7", "7")],
                "a read shows 7, which was added only later [0, 2]",
            ),
        ] {
            let judged = judge("broadcast", &lines);
            assert!(judged.starts_with(&format!("invalid: {said}")), "{judged}");
        }
        assert!(history_of("broadcast", &[Ok("add", "1", "1")]).is_err());
        assert!(history_of("broadcast", &[Ok("read", "null", "3")]).is_err());
    }

    /// What a run shows in all its reads stays in proportion to its operations.
    #[test]
    fn reads_become_rarer_as_the_set_grows_and_never_end() {
        let settings = Settings { seed: 1, keys: 1, retire_operations: 1, retire_unknown: 1 };
        let mut generator = Grow::Set.generator(&settings).expect("it can be run");
        let (mut added, mut shown, mut late) = (0_u64, 0, 0);
        for number in 0..40_000_u64 {
            let caller = Caller { worker: usize::from(number % 3 == 0), reads_only: false };
            let next = generator.next(&caller);
            if next.f == "read" {
                (shown, late) = (shown + added, late + u64::from(number >= 20_000));
            } else {
                assert_eq!(next.value, json!(added), "no element twice");
                added += 1;
            }
        }
        assert!(late > 20, "{late} reads in the second half");
        assert!(shown < 60 * 40_000, "{shown} elements shown");
    }
}
