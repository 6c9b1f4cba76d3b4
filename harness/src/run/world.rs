//! What the nemesis is told and tells: clock, leader, history, receipts. The processes and proxies it acts on are the
//! deployment's.

use crate::deploy::Witness;
use crate::event::{Event, Sink};
use crate::observer::View;
use crate::recorder::{Lines, Recorder};
use crate::verdict::detail;
use faults::Receipt;
use history::{Nanos, NodeId};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The witness of one run.
#[derive(Clone)]
pub(super) struct World {
    pub(super) recorder: Arc<Recorder>,
    pub(super) view: Arc<View>,
    pub(super) receipts: Arc<Lines>,
    pub(super) sink: Arc<dyn Sink>,
    healed: Arc<Notify>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Faults between their start and their end, by id.
    active: BTreeMap<u64, String>,
    failure: Option<String>,
}

impl World {
    pub(super) fn new(
        recorder: Arc<Recorder>,
        view: Arc<View>,
        receipts: Lines,
        sink: Arc<dyn Sink>,
    ) -> Self {
        let (receipts, healed, state) = (Arc::new(receipts), Arc::default(), Arc::default());
        Self { recorder, view, receipts, sink, healed, state }
    }

    /// Told of after every heal.
    pub(super) fn healed(&self) -> Arc<Notify> {
        Arc::clone(&self.healed)
    }

    /// The faults in effect, such as `kill n2`.
    pub(super) fn active(&self) -> Vec<String> {
        self.lock().active.values().cloned().collect()
    }

    /// Why a line of the nemesis is missing, if one is.
    pub(super) fn failure(&self) -> Option<String> {
        self.receipts.failure().or_else(|| self.lock().failure.clone())
    }

    fn tell(&self, fault: &str, value: &Value) {
        let list = |name: &str| value.get(name).cloned().unwrap_or_default();
        let nodes: Vec<NodeId> = serde_json::from_value(list("nodes")).unwrap_or_default();
        let cut: Vec<(NodeId, NodeId)> = serde_json::from_value(list("cut")).unwrap_or_default();
        let shape = value.get("shape").and_then(Value::as_str).unwrap_or_default();
        let detail = detail(&nodes, &cut, shape);
        let id = value.get("id").and_then(Value::as_u64).unwrap_or_default();
        let fault = fault.to_owned();
        let event = if value.get("phase").and_then(Value::as_str) == Some("start") {
            self.lock().active.insert(id, format!("{fault} {detail}"));
            Event::Injected { fault, detail }
        } else {
            self.lock().active.remove(&id);
            Event::Healed { fault, detail }
        };
        self.sink.emit(Duration::from_nanos(self.recorder.now().0), event);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness for World {
    fn now(&self) -> Nanos {
        self.recorder.now()
    }

    fn leader(&self) -> Option<NodeId> {
        self.view.leader().map(|leader| leader.node)
    }

    fn leader_changes(&self) -> u64 {
        self.view.watch_leader_changes()
    }

    fn record(&self, fault: &str, value: Value) {
        self.tell(fault, &value);
        if let Err(error) = self.recorder.nemesis(fault, value) {
            self.lock().failure.get_or_insert(error.to_string());
        }
    }

    fn receipt(&self, receipt: &Receipt) {
        self.receipts.append(receipt);
        // It is the last thing that is told of a fault.
        self.healed.notify_one();
    }
}
