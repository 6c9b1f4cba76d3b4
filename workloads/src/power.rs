//! How much a run could have shown.
//!
//! A history in which nothing succeeded, or in which no two calls met on a key, is valid and proves nothing. These are
//! the facts that tell such runs apart; what to conclude from them is the verdict's business.

use history::{History, Operation, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was exercised; pure facts about one history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Power {
    /// Outcomes by function, for every function named or seen.
    pub functions: BTreeMap<String, Tally>,
    /// Functions that were issued and never ended ok.
    pub never_ok: Vec<String>,
    /// Functions that the workload names and nobody issued.
    pub never_issued: Vec<String>,
    /// How many operations were open on a key at once.
    pub concurrency: Concurrency,
    /// How compare-and-sets ended; none if none was decided.
    pub cas: Option<CasPower>,
}

/// Outcomes of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Happened.
    pub ok: u64,
    /// Certainly did not.
    pub fail: u64,
    /// May or may not have.
    pub info: u64,
}

/// Operations open on the same key at the moment when one is invoked, that one included. An operation of unknown
/// outcome counts until its caller gave up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Concurrency {
    /// Over all operations; 1 means that calls never met.
    pub mean: f64,
    /// The most at any time on any key.
    pub max: u64,
}

/// Compare-and-sets that a node decided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CasPower {
    /// Those that found what they expected.
    pub swapped: u64,
    /// Those that did not.
    pub mismatched: u64,
    /// The share that swapped, from 0 to 1.
    pub success_rate: f64,
}

/// The facts about `history`; `functions` are those that its workload may issue.
#[must_use]
pub fn power(history: &History, functions: &[&str]) -> Power {
    let tallies = tally(&history.operations, functions);
    let named = |keep: fn(&Tally) -> bool| -> Vec<String> {
        tallies.iter().filter(|(_, tally)| keep(tally)).map(|(f, _)| f.clone()).collect()
    };
    Power {
        never_ok: named(|tally| tally.ok == 0 && tally.fail + tally.info > 0),
        never_issued: named(|tally| *tally == Tally::default()),
        concurrency: concurrency(&history.operations),
        cas: cas(&history.operations),
        functions: tallies,
    }
}

fn tally(operations: &[Operation], functions: &[&str]) -> BTreeMap<String, Tally> {
    let mut tallies: BTreeMap<&str, Tally> =
        functions.iter().map(|f| (*f, Tally::default())).collect();
    for operation in operations {
        let tally = tallies.entry(operation.f.as_str()).or_default();
        match operation.outcome {
            Outcome::Ok { .. } => tally.ok += 1,
            Outcome::Fail { .. } => tally.fail += 1,
            Outcome::Info { .. } => tally.info += 1,
        }
    }
    tallies.into_iter().map(|(f, tally)| (f.to_owned(), tally)).collect()
}

fn cas(operations: &[Operation]) -> Option<CasPower> {
    let (mut swapped, mut mismatched) = (0_u64, 0_u64);
    for operation in operations.iter().filter(|operation| operation.f == "cas") {
        match &operation.outcome {
            Outcome::Ok { .. } => swapped += 1,
            Outcome::Fail { error: Some(error), .. } if error == crate::MISMATCH => mismatched += 1,
            _ => {}
        }
    }
    let decided = swapped + mismatched;
    (decided > 0).then(|| CasPower { swapped, mismatched, success_rate: share(swapped, decided) })
}

/// By key, a sweep over starts with the ends of those still open; an end at the instant of a start is still open.
fn concurrency(operations: &[Operation]) -> Concurrency {
    let mut by_key: BTreeMap<Option<&str>, Vec<(u64, u64)>> = BTreeMap::new();
    for operation in operations {
        let (start, end) = span(operation);
        by_key.entry(operation.key.as_deref()).or_default().push((start, end));
    }
    let (mut sum, mut max, mut count) = (0_u64, 0_u64, 0_u64);
    for spans in by_key.values_mut() {
        spans.sort_unstable();
        let mut open: Vec<u64> = Vec::new();
        for &(start, end) in spans.iter() {
            open.retain(|&end| end >= start);
            open.push(end);
            let now = open.len() as u64;
            (sum, max, count) = (sum + now, max.max(now), count + 1);
        }
    }
    Concurrency { mean: share(sum, count), max }
}

/// From invocation to completion, or to where the caller gave up, in nanoseconds.
fn span(operation: &Operation) -> (u64, u64) {
    let start = operation.invoked.0;
    let end = match &operation.outcome {
        Outcome::Ok { time, .. } | Outcome::Fail { time, .. } => Some(time.0),
        Outcome::Info { time, .. } => time.map(|time| time.0),
    };
    (start, end.unwrap_or(start).max(start))
}

/// `part / whole` to four decimals, 0 for an empty whole.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 1e4).round() / 1e4 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use history::{Nanos, Process};
    use serde_json::Value;

    fn operation(f: &str, key: &str, from: u64, to: u64, outcome: &str) -> Operation {
        let time = Nanos(to);
        Operation {
            index: 0,
            process: Process::Client(0),
            f: f.into(),
            key: Some(key.into()),
            input: Value::Null,
            node: None,
            invoked: Nanos(from),
            start: from,
            end: Some(to),
            outcome: match outcome {
                "ok" => Outcome::Ok { index: 1, time, value: Value::Null },
                "info" => Outcome::Info { index: None, time: None, error: None },
                error => Outcome::Fail { index: 1, time, error: Some(error.into()) },
            },
            unusual: None,
        }
    }

    #[test]
    fn functions_that_never_succeed_are_named() {
        let operations = [
            operation("read", "a", 0, 1, "ok"),
            operation("write", "a", 2, 3, "overloaded"),
            operation("write", "a", 4, 5, "info"),
        ];
        let tallies = tally(&operations, &["read", "write", "delete"]);
        assert_eq!(tallies["write"], Tally { ok: 0, fail: 1, info: 1 });
        assert_eq!(tallies["read"], Tally { ok: 1, fail: 0, info: 0 });
        assert_eq!(tallies["delete"], Tally::default());
    }

    #[test]
    fn concurrency_is_counted_by_key() {
        let operations = [
            operation("read", "a", 0, 10, "ok"),
            operation("read", "a", 10, 20, "ok"),
            operation("read", "b", 11, 20, "ok"),
            operation("read", "a", 15, 30, "ok"),
        ];
        assert_eq!(concurrency(&operations), Concurrency { mean: 1.5, max: 2 });
        assert_eq!(concurrency(&[]), Concurrency::default());
    }

    #[test]
    fn a_cas_counts_when_a_node_decided_it() {
        let operations = [
            operation("cas", "a", 0, 1, "ok"),
            operation("cas", "a", 2, 3, "mismatch"),
            operation("cas", "a", 4, 5, "mismatch"),
            operation("cas", "a", 6, 7, "overloaded"),
            operation("cas", "a", 8, 9, "info"),
            operation("write", "a", 8, 9, "mismatch"),
        ];
        let expected = CasPower { swapped: 1, mismatched: 2, success_rate: 0.3333 };
        assert_eq!(cas(&operations), Some(expected));
        assert_eq!(cas(&operations[5..]), None);
    }
}
