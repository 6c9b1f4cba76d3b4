//! One node with its disk: a core, what has reached the disk, and what is on its way there.

use cluster::raft::{Batch, Config, Effect, Entry, Event, NodeId, Raft, Recovered, Snapshot, Term};
use std::collections::VecDeque;

/// A node that can crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Machine {
    config: Config,
    /// The running core; none while crashed.
    pub(crate) raft: Option<Raft>,
    /// What a restart would find.
    pub(crate) disk: Recovered,
    /// Written but not synced, oldest first.
    pub(crate) pending: VecDeque<Batch>,
    /// What the state machine has applied: since the node started, and before that what its snapshot holds.
    pub(crate) applied: Vec<Entry>,
    /// The newest snapshot file: what it stands for, and the state.
    pub(crate) file: Option<(Snapshot, Vec<Entry>)>,
    /// How often it was started.
    pub(crate) incarnation: u64,
}

impl Machine {
    /// A node that never ran, not started.
    pub(crate) fn new(config: Config) -> Machine {
        Machine {
            config,
            raft: None,
            disk: Recovered::default(),
            pending: VecDeque::new(),
            applied: Vec::new(),
            file: None,
            incarnation: 0,
        }
    }

    /// Starts from the disk.
    pub(crate) fn start(&mut self) -> Vec<Effect> {
        assert!(self.raft.is_none(), "n{} runs already", self.config.id);
        self.incarnation += 1;
        let (snapshot, applied) = self.file.clone().unzip();
        self.applied = applied.unwrap_or_default();
        let recovered = Recovered { snapshot, ..self.disk.clone() };
        let mut raft = Raft::new(self.config.clone(), recovered);
        let mut effects = Vec::new();
        raft.start(&mut effects);
        self.raft = Some(raft);
        self.keep(&effects, None);
        effects
    }

    /// Stops at once. The first `survivors` unsynced batches happen to have reached the disk.
    pub(crate) fn crash(&mut self, survivors: usize) {
        for _ in 0..survivors {
            self.sync_one();
        }
        self.pending.clear();
        self.applied.clear();
        self.raft = None;
    }

    /// Gives the core an event and keeps what it wants written and applied.
    pub(crate) fn step(&mut self, event: Event) -> Vec<Effect> {
        self.step_with(event, None)
    }

    /// The same, with the state that goes with a snapshot that arrives. Applies until nothing is left.
    fn step_with(&mut self, event: Event, arrived: Option<&[Entry]>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(raft) = &mut self.raft else { return effects };
        raft.step(event, &mut effects);
        while raft.more_to_apply() {
            raft.step(Event::ApplyMore, &mut effects);
        }
        self.keep(&effects, arrived);
        effects
    }

    fn keep(&mut self, effects: &[Effect], arrived: Option<&[Entry]>) {
        for effect in effects {
            match effect {
                Effect::Persist(batch) => self.pending.push_back(batch.clone()),
                Effect::Apply(entries) => self.applied.extend(entries.iter().cloned()),
                Effect::Restore(_) => {
                    self.applied = arrived.expect("only what arrived is restored").to_vec();
                }
                _ => {}
            }
        }
    }

    /// Writes a snapshot of what is applied, durably, and tells the core.
    pub(crate) fn take_snapshot(&mut self) -> Vec<Effect> {
        let snapshot = self.core().snapshot_at_applied();
        self.file = Some((snapshot.clone(), self.applied.clone()));
        self.step(Event::SnapshotTaken(snapshot))
    }

    /// Stores a snapshot that arrives, unless its own is newer, and tells the core.
    pub(crate) fn receive_snapshot(
        &mut self,
        from: NodeId,
        term: Term,
        (snapshot, state): &(Snapshot, Vec<Entry>),
    ) -> Vec<Effect> {
        if self.raft.is_none() {
            return Vec::new();
        }
        if self.file.as_ref().is_none_or(|(own, _)| own.last < snapshot.last) {
            self.file = Some((snapshot.clone(), state.clone()));
        }
        let snapshot = snapshot.clone();
        self.step_with(Event::SnapshotArrived { from, term, snapshot }, Some(state))
    }

    /// Syncs the oldest unsynced batch; returns its ticket. The core is not told.
    pub(crate) fn sync_one(&mut self) -> Option<u64> {
        let batch = self.pending.pop_front()?;
        if let Some(hard_state) = batch.hard_state {
            self.disk.hard_state = hard_state;
        }
        if let Some(snapshot) = batch.reset {
            self.disk.base = snapshot.last;
            self.disk.log.clear();
        }
        let base = self.disk.base.index;
        if let Some(from) = batch.truncate_from {
            self.disk.log.truncate((from - base) as usize - 1);
        }
        self.disk.log.extend(batch.entries);
        for (place, entry) in self.disk.log.iter().enumerate().rev().take(3) {
            assert_eq!(entry.index, base + place as u64 + 1, "n{} wrote a gap", self.config.id);
        }
        if let Some(base) = batch.compact {
            self.disk.log.retain(|entry| entry.index > base.index);
            self.disk.base = base;
        }
        Some(batch.ticket)
    }

    /// Syncs everything and tells the core once.
    pub(crate) fn sync(&mut self) -> Vec<Effect> {
        let mut newest = None;
        while let Some(ticket) = self.sync_one() {
            newest = Some(ticket);
        }
        newest.map_or_else(Vec::new, |ticket| self.step(Event::Durable { ticket }))
    }

    /// The running core.
    pub(crate) fn core(&self) -> &Raft {
        self.raft.as_ref().expect("the node runs")
    }
}
