//! Snapshots: when they are taken, how long that takes, and their way to other nodes.
//!
//! The content of a snapshot is a copy of the state machine. Writing one takes a while and is lost with the
//! node. One that is sent is on its way for a while; it breaks with either node or the link between them, and a
//! sender may give one up that arrives all the same. The receiver has it in its file before its core hears of
//! it. What the log then says becomes durable later, so a crash may leave the file without the log's agreement.

use super::agenda::Happening;
use super::disk::File;
use super::world::World;
use super::{MS, Time, place};
use crate::bug::{Bug, Mark};
use crate::kv::Store;
use crate::raft::{Event, Index, NodeId, Snapshot, Term};

/// A snapshot on its way.
#[derive(Clone, Debug)]
pub(super) struct Shipment {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    term: Term,
    /// The starts of sender and receiver that it belongs to.
    lives: (u64, u64),
    /// The sender has given it up.
    given_up: bool,
    file: File,
}

impl World {
    /// Takes a snapshot if enough was applied since the last.
    pub(super) fn snapshot_if_due(&mut self, id: NodeId) {
        let every = self.mix.snapshot_every;
        if every > 0 && self.nodes[place(id)].unsaved >= every {
            self.take_snapshot(id);
        }
    }

    /// Starts to write a snapshot, unless one is being written.
    pub(super) fn take_snapshot(&mut self, id: NodeId) {
        let node = &mut self.nodes[place(id)];
        let Some(raft) = node.raft.as_ref().filter(|raft| raft.applied() > 0) else { return };
        if node.writing {
            return;
        }
        (node.writing, node.unsaved) = (true, 0);
        let (snapshot, bugs) = (raft.snapshot_at_applied(), self.plan.bugs);
        let store = if bugs.has(Bug::SnapshotDropsSessions) {
            let blocks = node.store.export().map(Ok);
            Store::import(bugs, blocks).unwrap_or_default()
        } else {
            node.store.clone()
        };
        for bug in [Bug::SnapshotDropsSessions, Bug::SnapshotOffByOne] {
            if bugs.has(bug) {
                self.mark(id, bug, Mark::Reached);
                self.mark(id, bug, Mark::Triggered);
            }
        }
        let node = &self.nodes[place(id)];
        let file = File { snapshot, store, chain: node.chain };
        let time = self.now + self.snapshots.between(MS / 2, self.mix.snapshot_time);
        let life = node.life;
        let file = Box::new(file);
        self.agenda.add(time.max(node.stalled_until), Happening::Written { node: id, life, file });
    }

    /// A snapshot of a node is in its file, if the node still is in this life.
    pub(super) fn written(&mut self, id: NodeId, life: u64, file: File) {
        let node = &mut self.nodes[place(id)];
        if node.life != life || node.raft.is_none() {
            return;
        }
        node.writing = false;
        let snapshot = file.snapshot.clone();
        node.disk.keep(file);
        self.oracle.facts.snapshots_taken += 1;
        self.note(|| format!("n{id} has taken a snapshot up to {}", snapshot.last));
        self.event(id, Event::SnapshotTaken(snapshot));
    }

    /// A leader sends its newest snapshot; `snapshot` is the least that it must cover.
    pub(super) fn ship(&mut self, from: NodeId, to: NodeId, snapshot: &Snapshot) {
        let [luck, long, late] = [(); 3].map(|()| self.snapshots.next());
        let is_cut = self.network.is_cut(self.now, from, to);
        let [sender, receiver] = [from, to].map(|id| &self.nodes[place(id)]);
        let (Some(raft), Some(file)) = (&sender.raft, &sender.disk.file) else { return };
        let lives = (sender.life, receiver.life);
        let mut shipment =
            Shipment { from, to, term: raft.term(), lives, given_up: false, file: file.clone() };
        let at = |shift: u32, per_thousand: u64| (luck >> shift) % 1000 < per_thousand;
        let time = MS + long % self.mix.transfer_time;
        let breaks = is_cut || receiver.raft.is_none() || at(0, self.mix.broken_transfers);
        if breaks && !self.network.calm {
            return self.ended(&shipment, self.now + time, snapshot.last.index, false);
        }
        shipment.given_up = at(16, self.mix.late_transfers) && !self.network.calm;
        let mut arrival = self.now + time;
        if shipment.given_up {
            self.ended(&shipment, arrival, snapshot.last.index, false);
            arrival += late % self.mix.transfers_late_by;
        }
        self.agenda.add(arrival, Happening::Arrive(Box::new(shipment)));
    }

    fn ended(&mut self, shipment: &Shipment, time: Time, index: Index, arrived: bool) {
        let Shipment { from: node, to, lives: (life, _), .. } = *shipment;
        self.agenda.add(time, Happening::Shipped { node, life, to, index, arrived });
    }

    /// A snapshot is whole at its receiver, if both nodes still are in their lives and the link works.
    pub(super) fn arrive(&mut self, shipment: Shipment) {
        let Shipment { from, to, term, lives, given_up, .. } = shipment;
        let index = shipment.file.snapshot.last.index;
        let lived = [from, to].map(|id| self.nodes[place(id)].life) == [lives.0, lives.1];
        let both = [from, to].iter().all(|id| self.nodes[place(*id)].raft.is_some());
        if !lived || !both || self.network.is_cut(self.now, from, to) {
            if !given_up {
                self.ended(&shipment, self.now, index, false);
            }
            return;
        }
        if !given_up {
            let time = self.now + self.snapshots.between(MS / 5, 3 * MS);
            self.ended(&shipment, time, index, true);
        }
        let snapshot = shipment.file.snapshot.clone();
        self.note(|| format!("n{to} gets a snapshot up to {} from n{from}", snapshot.last));
        self.nodes[place(to)].disk.keep(shipment.file.clone());
        self.arrived = Some(shipment.file);
        self.event(to, Event::SnapshotArrived { from, term, snapshot });
        self.arrived = None;
    }

    /// The sending of a snapshot has ended, if the sender still is in this life.
    pub(super) fn shipped(
        &mut self,
        id: NodeId,
        life: u64,
        to: NodeId,
        index: Index,
        arrived: bool,
    ) {
        if self.nodes[place(id)].life == life {
            self.event(id, Event::SnapshotSent { to, index, arrived });
        }
    }

    /// The state machine is replaced by the one that has just arrived.
    pub(super) fn restore(&mut self, id: NodeId, snapshot: &Snapshot) {
        let Some(file) = self.arrived.take() else { return };
        let node = &mut self.nodes[place(id)];
        (node.store, node.chain, node.unsaved) = (file.store, file.chain, 0);
        self.oracle.facts.snapshots_installed += 1;
        self.oracle.restores(id, snapshot.last, file.chain);
    }
}
