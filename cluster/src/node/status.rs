//! What a node says of itself to whoever asks.

use std::sync::atomic::{AtomicU64, Ordering};

use super::driver::Driver;
use crate::kv::sessions::SESSIONS;
use crate::proto::{self, SessionStatus, SnapshotStatus, StatusResponse, WalStatus};
use crate::raft::Role;

impl Driver {
    /// The node's view of itself, now.
    pub(super) fn status(&self) -> StatusResponse {
        let raft = &self.raft;
        let role = match raft.role() {
            Role::Follower => proto::Role::Follower,
            Role::PreCandidate => proto::Role::PreCandidate,
            Role::Candidate => proto::Role::Candidate,
            Role::Leader => proto::Role::Leader,
        };
        let figures = self.wal.figures();
        let figure = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let sessions = self.answers.store.sessions();
        StatusResponse {
            id: raft.id(),
            role: role.into(),
            term: raft.term(),
            leader: raft.leader().unwrap_or(0),
            commit: raft.commit(),
            applied: self.answers.store.applied(),
            durable: raft.durable(),
            last: raft.last().index,
            wal: Some(WalStatus {
                segments: figure(&figures.segments),
                bytes: figure(&figures.bytes),
                syncs: figure(&figures.syncs),
                batches: figure(&figures.batches),
                slowest_sync_us: figure(&figures.slowest_us),
            }),
            sessions: Some(SessionStatus {
                open: sessions.open_count() as u64,
                limit: SESSIONS as u64,
                evicted: sessions.evicted_count(),
            }),
            keys: self.answers.store.key_count() as u64,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            members: raft.configuration().members().into_iter().collect(),
            voters: raft.configuration().voters.iter().copied().collect(),
            outgoing: raft.configuration().outgoing.iter().copied().collect(),
            learners: raft.configuration().learners.iter().copied().collect(),
            disk_full: self.disk_full,
            identity: self.identities.own(),
            configured: raft.configured_at(),
            truncations: self.seen.truncations,
            leaderless_elections: self.seen.leaderless_elections,
            pending: self.answers.count() as u64,
            first: raft.first(),
            snapshot: Some(SnapshotStatus {
                index: raft.snapshot().map_or(0, |snapshot| snapshot.last.index),
                ..self.snapshots.status()
            }),
        }
    }
}
