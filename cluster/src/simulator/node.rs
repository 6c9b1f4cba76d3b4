//! One simulated process: the core, its state machine, its disk, its timers, and what waits while it is paused.

use super::agenda::Happening;
use super::disk::Disk;
use super::mix::Mix;
use super::server::Server;
use super::{MS, Plan, Time, place};
use crate::kv::Store;
use crate::raft::{Config, Configuration, Lease, NodeId, Now, Raft, Role, Timer};

/// The shortest election timeout, by a node's own clock.
const ELECTION: Time = 300 * MS;
/// What a node's clocks say at the start of an episode.
const DAWN: Time = 1000 * super::SECOND;

/// A node.
pub(super) struct Node {
    pub(super) config: Config,
    /// None while it is down.
    pub(super) raft: Option<Raft>,
    pub(super) role: Role,
    pub(super) disk: Disk,
    pub(super) store: Store,
    /// Depends on all that was applied: nodes that have applied the same have the same.
    pub(super) chain: u64,
    /// Entries applied since the last snapshot; whether one is being written.
    pub(super) unsaved: u64,
    pub(super) writing: bool,
    /// It leads, and has committed nothing since it was elected.
    pub(super) fresh: bool,
    pub(super) server: Server,
    pub(super) timers: [Ticking; 3],
    /// How often it was started.
    pub(super) life: u64,
    /// Counts pauses; what arrives meanwhile.
    pub(super) pause: u64,
    pub(super) held: Option<Vec<Happening>>,
    /// Its disk finishes nothing before this.
    pub(super) stalled_until: Time,
    /// By how much its wall clock was set forward, or back.
    pub(super) wall_off: i64,
    /// Syncs that begin before the second take so much longer.
    pub(super) slowed: (Time, Time),
    /// Its next sync fails, which stops it for so long.
    pub(super) failing: Option<Time>,
    /// It stays as it is: what is broken in the liveness phase.
    pub(super) broken: bool,
}

/// A timer: at most one mark on the agenda, which may be earlier than the deadline.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ticking {
    pub(super) deadline: Option<Time>,
    pub(super) marked: Option<Time>,
}

impl Node {
    pub(super) fn new(id: NodeId, plan: &Plan, mix: &Mix) -> Node {
        // Who is not there from the start waits until a leader tells it who is.
        let knows = id <= plan.nodes;
        let first = Configuration::of((1..=plan.nodes).filter(|_| knows));
        let mut config = Config::new(id, first);
        config.bugs = plan.bugs;
        config.limits = mix.limits;
        let drift_ppm = Mix::DRIFT * 1000;
        config.lease = plan.has_leases().then_some(Lease { election_us: ELECTION, drift_ppm });
        Node {
            config,
            raft: None,
            role: Role::Follower,
            disk: Disk::default(),
            store: Store::new(plan.bugs),
            chain: 0,
            unsaved: 0,
            writing: false,
            fresh: false,
            server: Server::default(),
            timers: [Ticking::default(); 3],
            life: 0,
            pause: 0,
            held: None,
            stalled_until: 0,
            wall_off: 0,
            slowed: (0, 0),
            failing: None,
            broken: false,
        }
    }

    /// Stops at once; what its disk holds stays.
    pub(super) fn stop(&mut self) {
        self.raft = None;
        self.role = Role::Follower;
        self.fresh = false;
        self.failing = None;
        self.server.forget();
        self.disk.forget();
        self.timers.iter_mut().for_each(|timer| timer.deadline = None);
        self.held = None;
    }

    /// The state machine as a start finds it: what the snapshot holds, or nothing.
    pub(super) fn load(&mut self) {
        let file = self.disk.file.as_ref();
        self.store = file.map_or_else(|| Store::new(self.config.bugs), |file| file.store.clone());
        self.chain = file.map_or(0, |file| file.chain);
        (self.unsaved, self.writing) = (0, false);
    }

    /// Whether it runs and takes things in.
    pub(super) fn awake(&self) -> bool {
        self.raft.is_some() && self.held.is_none()
    }

    pub(super) fn timer(&mut self, timer: Timer) -> &mut Ticking {
        &mut self.timers[match timer {
            Timer::Election => 0,
            Timer::Heartbeat => 1,
            Timer::Contact => 2,
        }]
    }

    /// What its clocks say.
    pub(super) fn clocks(&self, now: Time, mix: &Mix) -> Now {
        let steady = DAWN + now * mix.rates[place(self.config.id)] / 1000;
        Now { steady, wall: steady.saturating_add_signed(self.wall_off) }
    }

    /// The term it leads, if it does.
    pub(super) fn leads(&self) -> Option<u64> {
        self.raft.as_ref().filter(|raft| raft.role() == Role::Leader).map(Raft::term)
    }
}

/// How long a timer is, by a clock of this rate; `luck` is for the one that is drawn.
pub(super) fn length(timer: Timer, luck: u64, mix: &Mix, node: NodeId) -> Time {
    let usual = match timer {
        Timer::Election => ELECTION + luck % mix.spread,
        Timer::Heartbeat => 100 * MS,
        Timer::Contact => ELECTION,
    };
    usual * 1000 / mix.rates[place(node)]
}
