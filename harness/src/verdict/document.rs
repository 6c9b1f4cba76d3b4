//! The verdict document: `verdict.json`, and what `--json` puts on stdout.

use history::{Nanos, NodeId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// A judgement. The order is the order of badness: the worst of several is their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ruling {
    /// A correct system could have behaved so.
    Valid,
    /// Too little is known to say.
    Unknown,
    /// The check itself could not be made.
    Error,
    /// No correct system could have behaved so.
    Invalid,
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Unknown => "unknown",
            Self::Error => "error",
            Self::Invalid => "invalid",
        })
    }
}

/// Everything a judgement says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerdictDocument {
    /// The format version of this document, 1.
    pub format: u32,
    /// The worst of the checks.
    pub verdict: Ruling,
    /// Whether the run still goes on, or its harness died before it could judge.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub provisional: bool,
    /// What was checked, the workload's own check first.
    pub checks: Vec<Check>,
    /// How operations ended, by function.
    pub counts: BTreeMap<String, OutcomeCounts>,
    /// What was put to the test.
    pub coverage: Coverage,
    /// How the harness itself fared.
    pub harness: HarnessFacts,
    /// How long things took.
    pub seconds: Seconds,
    /// Name of the run folder, or of the file that was judged.
    pub run: String,
}

impl VerdictDocument {
    /// The format version that this version of the harness writes.
    pub const FORMAT: u32 = 1;

    /// What stands in the folder while a run goes on; a harness killed now leaves this.
    #[must_use]
    pub fn provisional(run: &str) -> Self {
        Self {
            format: Self::FORMAT,
            verdict: Ruling::Unknown,
            provisional: true,
            checks: Vec::new(),
            counts: BTreeMap::new(),
            coverage: Coverage::default(),
            harness: HarnessFacts::default(),
            seconds: Seconds::default(),
            run: run.to_owned(),
        }
    }

    /// The worst ruling among checks; nothing checked is unknown.
    #[must_use]
    pub fn worst(checks: &[Check]) -> Ruling {
        checks.iter().map(|check| check.verdict).max().unwrap_or(Ruling::Unknown)
    }

    /// The sums over all functions.
    #[must_use]
    pub fn totals(&self) -> OutcomeCounts {
        let mut total = OutcomeCounts::default();
        for count in self.counts.values() {
            total.ok += count.ok;
            total.fail += count.fail;
            total.info += count.info;
        }
        total
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// `linearizable`, `crashes`, `recovery`, `coverage`, `power`, …
    pub name: String,
    /// What it says.
    pub verdict: Ruling,
    /// One line of reason, for people.
    pub message: String,
    /// What makes a valid answer weaker than it looks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What would help, each a sentence with a flag in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// Keys that the search could not decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<UnknownKey>,
    /// What is wrong, each with its proof.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// Further facts of this check.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
}

impl Check {
    /// A check with a name, a ruling and a reason, and nothing else yet.
    #[must_use]
    pub fn new(name: &str, verdict: Ruling, message: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            verdict,
            message: message.into(),
            warnings: Vec::new(),
            hints: Vec::new(),
            unknown: Vec::new(),
            violations: Vec::new(),
            facts: Map::new(),
        }
    }

    /// Adds a fact under a name of its own.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

/// A part of the history that the search could not decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnknownKey {
    /// The key, none where the history has none.
    pub key: Option<String>,
    /// Why it stopped.
    pub reason: String,
    /// How many states it looked at.
    pub explored: u64,
    /// How far it got, in words.
    pub reached: String,
}

/// One thing that no correct system could have done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// The key it is about.
    pub key: Option<String>,
    /// Whether the proof is known to be as small as the shrinker can make it.
    pub exact: bool,
    /// The operations of the proof, in the order of their invocations.
    pub operations: Vec<OperationRow>,
    /// The longest legal order of them.
    pub steps: Vec<Step>,
    /// What cannot come next.
    pub blocked: Vec<Blocked>,
    /// The same in plain words.
    pub sentences: Vec<String>,
    /// Faults that were in effect meanwhile.
    pub faults: Vec<Overlap>,
}

/// One operation of a proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationRow {
    /// Index of its invocation in the history.
    pub operation: u64,
    /// Who, such as `c5`.
    pub process: String,
    /// The node asked, or that answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// What, such as `write 3`.
    pub text: String,
    /// `ok`, `fail` or `info`.
    pub outcome: Outcomes,
    /// When it was invoked.
    pub invoked: Nanos,
    /// When it completed; none when it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Nanos>,
    /// The reason code of a fail or info.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where it began and ended, in a history in which the order of events decides and no clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// Where an operation lies in the sequence of all events, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The place of its invocation.
    pub start: u64,
    /// The place of its completion; none while its outcome is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcomes {
    /// It happened.
    Ok,
    /// It certainly did not.
    Fail,
    /// It may or may not have.
    Info,
}

/// One step of a legal order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Index of the operation's invocation.
    pub operation: u64,
    /// What it does.
    pub text: String,
    /// The state it meets.
    pub before: String,
    /// The state it leaves.
    pub after: String,
}

/// An operation that fits nowhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blocked {
    /// Index of the operation's invocation.
    pub operation: u64,
    /// What it does.
    pub text: String,
    /// Why it cannot come next.
    pub why: String,
}

/// A fault in effect during a violation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// The fault's class.
    pub fault: String,
    /// What it resolved to, such as `n1 n3 | n2 n4 n5`.
    pub detail: String,
    /// When it took effect.
    pub start: Nanos,
    /// When it was healed; none when it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Nanos>,
}

/// How operations of one function ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    /// Happened.
    pub ok: u64,
    /// Certainly did not happen.
    pub fail: u64,
    /// May or may not have happened.
    pub info: u64,
}

impl OutcomeCounts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ok + self.fail + self.info
    }
}

/// What was put to the test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// By class of fault.
    pub faults: BTreeMap<String, FaultCoverage>,
    /// Ok operations that overlapped a fault.
    pub ok_during_faults: u64,
    /// Ok operations invoked after the last heal.
    pub ok_after_heal: u64,
    /// Observed changes of leader after the first.
    pub leader_changes: u64,
    /// Ok reads during which a change of leader was observed.
    pub reads_across_leader_change: u64,
    /// How often nodes were seen to have cut entries off their logs; none where the system does not tell. At least
    /// so often: what a node went through right before it was killed it cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_truncations: Option<u64>,
    /// How often nodes took their state from a snapshot of another one, as told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshots_installed: Option<u64>,
    /// Elections that a node stood in and that ended with nobody known to lead, as told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elections_without_winner: Option<u64>,
    /// Counters of seeded bugs, which no check reads.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub marks: BTreeMap<String, Mark>,
}

/// What became of one class of fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultCoverage {
    /// Injected.
    pub injected: u64,
    /// Of those, how many demonstrably bit.
    pub effective: u64,
    /// Of those injected, how many were healed.
    pub healed: u64,
    /// Ok operations that overlapped one that bit.
    #[serde(default)]
    pub overlapped: u64,
    /// Why the others did not bite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ineffective: Vec<String>,
}

/// Counters of one seeded bug over all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// How often its code ran.
    pub reached: u64,
    /// How often it made a difference.
    pub triggered: u64,
}

/// How the harness itself fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HarnessFacts {
    /// 99th percentile of the delay of a timer, milliseconds: the worst of all samples.
    pub stall_p99_ms: f64,
    /// The worst delay of a timer, milliseconds.
    pub stall_max_ms: f64,
    /// The least share of the processors' time that any sample found idle, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_idle_least: Option<f64>,
    /// The greatest share that any sample found taken away by the hypervisor, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_steal_most: Option<f64>,
    /// Whether the machine was at any time too busy to blame the cluster for being slow.
    pub starved: bool,
}

/// How long things took, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// From the start to the last event of the history.
    pub run: f64,
    /// The work phase.
    pub work: f64,
    /// The search.
    pub check: f64,
}
