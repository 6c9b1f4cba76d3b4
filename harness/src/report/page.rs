//! Everything that a report shows, as one typed value.
//!
//! The page is made from the files of a run folder by `build` and turned into HTML by `html`; the script in the page
//! reads this same value as JSON and only draws it. Times are microseconds since the start of the run. Nothing here is
//! a judgement of its own: rulings come from the verdict document, and roles of nodes are samples by polling.

use crate::verdict::{Check, FaultCoverage, OutcomeCounts, Ruling};
use history::NodeId;
use serde::Serialize;
use std::collections::BTreeMap;

/// The whole page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page {
    /// Version of this value, for whoever reads it out of a page.
    pub page: u32,
    /// Name of the run folder.
    pub run: String,
    /// What clients did, if known.
    pub workload: String,
    /// The ruling.
    pub verdict: Ruling,
    /// The ruling in one line.
    pub title: String,
    /// What was seen, in a few sentences.
    pub paragraph: Vec<String>,
    /// What was run, for the header.
    pub facts: Vec<Fact>,
    /// What was checked.
    pub checks: Vec<Check>,
    /// Outcomes by function.
    pub counts: BTreeMap<String, OutcomeCounts>,
    /// What was put to the test, besides the faults.
    pub coverage: Vec<Fact>,
    /// What became of each class of fault.
    pub fault_coverage: BTreeMap<String, FaultCoverage>,
    /// What is wrong.
    pub violations: Vec<ViolationPanel>,
    /// Where the time axis ends; it starts at 0.
    pub end: u64,
    /// The phases of the run.
    pub phases: Vec<PhaseBand>,
    /// The faults.
    pub faults: Vec<FaultBand>,
    /// What was observed of each node.
    pub nodes: Vec<NodeLane>,
    /// Operations completed over time.
    pub rate: Rate,
    /// Operations, all or a sample.
    pub operations: Operations,
    /// The files beside the page.
    pub files: Vec<FileRow>,
    /// What is missing or odd, in sentences.
    pub notes: Vec<String>,
}

/// A named value for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// What it is worth.
    pub value: String,
}

/// One violation, ready to be drawn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ViolationPanel {
    /// The key, none where the history has none.
    pub key: Option<String>,
    /// Whether the proof is known to be as small as it can be made.
    pub exact: bool,
    /// What is wrong, in plain words.
    pub sentences: Vec<String>,
    /// The operations of the proof in the order of their invocations.
    pub operations: Vec<ProofOperation>,
    /// Faults in effect meanwhile, with their times.
    pub faults: Vec<FaultBand>,
    /// Where its axis starts.
    pub start: u64,
    /// Where its axis ends.
    pub end: u64,
}

/// One operation of a proof.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProofOperation {
    /// Index of its invocation.
    pub index: u64,
    /// Who, such as `c5`.
    pub process: String,
    /// Which node answered or was asked last.
    pub node: Option<NodeId>,
    /// What, with its answer.
    pub text: String,
    /// `ok`, `fail` or `info`.
    pub outcome: &'static str,
    /// When it was invoked.
    pub start: u64,
    /// When it completed; none when it never did, or nobody knows whether it took effect.
    pub end: Option<u64>,
    /// Its place in the longest legal order, from 1.
    pub place: Option<usize>,
    /// The state it met there and the one it left.
    pub states: Option<(String, String)>,
    /// Why it cannot come next, if nothing explains it.
    pub blocked: Option<String>,
}

/// A phase of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhaseBand {
    /// Its name, as everywhere.
    pub name: String,
    /// When it began.
    pub start: u64,
    /// When the next one began, or the record ends.
    pub end: u64,
}

/// A fault in effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultBand {
    /// Pairs it with its receipt and its events.
    pub id: u64,
    /// Its class, such as `partition`.
    pub fault: String,
    /// What it resolved to, such as `n1 ┃ n2 n3`.
    pub detail: String,
    /// Whom and when it was planned for, as `leader, 5.0 s`; empty where no receipt tells.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub planned: String,
    /// When it took effect.
    pub start: u64,
    /// When it was healed; none if it never was.
    pub end: Option<u64>,
    /// Whether it bit; none if nobody knows.
    pub effective: Option<bool>,
    /// Why that is known.
    pub reason: String,
}

/// What was observed of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeLane {
    /// Which.
    pub node: NodeId,
    /// Samples that said the same, one after the other, drawn together.
    pub stretches: Vec<Stretch>,
}

/// A run of equal samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// The first of them.
    pub start: u64,
    /// The last of them.
    pub end: u64,
    /// `leader`, `follower`, `candidate`, `silent` (asked, no answer) or `down` (no process).
    pub role: String,
    /// The term the node said; 0 if it said nothing.
    pub term: u64,
}

/// Completions and latency over time, in buckets of equal length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// Length of a bucket.
    pub bucket: u64,
    /// Operations that ended ok in each.
    pub ok: Vec<u64>,
    /// Operations that ended fail.
    pub fail: Vec<u64>,
    /// Operations given up.
    pub info: Vec<u64>,
    /// Median latency of the ok ones.
    pub p50: Vec<Option<u64>>,
    /// 99th percentile of the latency of the ok ones.
    pub p99: Vec<Option<u64>>,
}

/// The operations drawn as dots and bars.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Operations {
    /// How many there are in the history.
    pub total: usize,
    /// What was left out, in words; empty if nothing was.
    pub sampled: String,
    /// One line for each that were never busy at once; who was in it.
    pub lanes: Vec<Lane>,
    /// The keys that rows refer to.
    pub keys: Vec<String>,
    /// The reason codes that rows refer to.
    pub errors: Vec<String>,
    /// The operations, by time of invocation.
    pub rows: Vec<Row>,
}

/// A line of client processes, each starting after the one before it had ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// The processes, in order.
    pub processes: Vec<u64>,
}

/// One operation, as an array to keep the page small: index, lane, process, start, end (or null), outcome (0 ok,
/// 1 fail, 2 info), key (place in `keys`, or null), node (number, or null), text, error (place in `errors`, or null).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row(
    pub u64,
    pub usize,
    pub u64,
    pub u64,
    pub Option<u64>,
    pub u8,
    pub Option<usize>,
    pub Option<u16>,
    pub String,
    pub Option<usize>,
);

/// A file of the run folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileRow {
    /// Its path from the page.
    pub path: String,
    /// What is in it.
    pub about: String,
}
