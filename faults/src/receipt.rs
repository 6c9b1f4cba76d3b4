//! The receipt of a fault: what was asked, what took effect, how that is known, when it healed.
//!
//! A fault that did not bite must never count as tested, so a receipt carries the evidence and not
//! only the intention. It is one line of `faults.jsonl`.

use crate::link::{Heal, Link};
use crate::schedule::{Entry, Trigger};
use crate::shape::Shape;
use crate::target::Target;
use history::{Nanos, NodeId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What became of one entry of a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The entry, and the id that pairs the two events in the history.
    pub id: u64,
    /// The class of fault.
    pub fault: String,
    /// The name of who should be hit.
    pub target: Target,
    /// When it was planned; receipts of earlier versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Trigger>,
    /// How the network was divided, for a partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// How the network heals, for a partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heal: Option<Heal>,
    /// What else was asked, as in the entry.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub how: Value,
    /// The nodes that the name stood for at that moment.
    pub nodes: Vec<NodeId>,
    /// What the name could not mean at that moment, such as `leader` while none was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The links held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<Link>,
    /// When the event that it waited for was seen, if it waited for one and it came. The time from here to
    /// `in_effect` is what the injection took, with the delay that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_seen: Option<Nanos>,
    /// When the injection began.
    pub injected: Nanos,
    /// When it was in effect; none if it never was.
    pub in_effect: Option<Nanos>,
    /// When it was healed; none if it could not be.
    pub healed: Option<Nanos>,
    /// What was seen of it.
    pub evidence: Value,
    /// Whether it bit.
    pub effective: bool,
    /// Why that is known, or why it did not bite.
    pub reason: String,
}

impl Receipt {
    /// The receipt of an entry that is about to be injected.
    #[must_use]
    pub fn begin(entry: &Entry, injected: Nanos) -> Self {
        Self {
            id: entry.id,
            fault: entry.fault.clone(),
            target: entry.target,
            planned: Some(entry.trigger),
            shape: entry.shape,
            heal: entry.heal,
            how: entry.how.clone(),
            nodes: Vec::new(),
            note: None,
            cut: Vec::new(),
            event_seen: None,
            injected,
            in_effect: None,
            healed: None,
            evidence: Value::Null,
            effective: false,
            reason: String::new(),
        }
    }
}
