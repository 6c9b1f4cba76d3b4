//! Who leads, as far as the nodes themselves say.
//!
//! One task a node asks it for its status several times a second, directly and not through the proxies, so that a
//! partition does not blind the observer. What it hears goes to `cluster.jsonl`, to the live line, and to faults that
//! aim at the leader.
//!
//! Samples are coloured glass: a deposed leader still says that it leads, a paused one says nothing. Of several that
//! claim to lead, the highest term counts here. No check of what clients saw ever reads any of this.

use crate::recorder::Journal;
use crate::results::Observed;
use crate::system::{NodeStatus, Probe, Role};
use history::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Between two questions to a node once somebody leads.
const PERIOD: Duration = Duration::from_millis(100);
/// Between two questions until then: the first operation waits for the answer.
const PERIOD_LEADERLESS: Duration = Duration::from_millis(20);
/// Between two questions while something waits for a change of leader, to strike within milliseconds of it.
const PERIOD_WATCHED: Duration = Duration::from_millis(8);
/// How long it counts as waiting after it last looked.
const WATCHED_FOR: Duration = Duration::from_millis(100);
/// How long a node may take to answer.
const LIMIT: Duration = Duration::from_millis(250);
/// An unchanged sample is written no more often than this.
const WRITE_EVERY: Duration = Duration::from_millis(500);

/// Where the nodes are and how to ask them: a deployment.
pub trait Nodes: Send + Sync {
    /// Where `node` answers now; none while it is down.
    fn address(&self, node: NodeId) -> Option<SocketAddr>;

    /// Something that asks the node at `address`.
    fn probe(&self, address: SocketAddr) -> Box<dyn Probe>;
}

/// Who leads, and since which term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The node.
    pub node: NodeId,
    /// Its term.
    pub term: u64,
}

/// What is known now; shared with whoever wants to know.
pub struct View {
    last: Mutex<BTreeMap<NodeId, NodeStatus>>,
    leader: watch::Sender<Option<Leader>>,
    changes: Mutex<Changes>,
    /// Why a node gave no status, the last time one did not.
    trouble: Mutex<Option<String>>,
    /// When somebody last looked for a change of leader.
    looked: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Changes {
    last: Option<Leader>,
    count: u64,
}

impl View {
    fn new() -> Self {
        Self {
            last: Mutex::default(),
            leader: watch::Sender::new(None),
            changes: Mutex::default(),
            trouble: Mutex::default(),
            looked: Mutex::default(),
        }
    }

    /// The node that leads the highest term anybody leads, among those that answered last time.
    #[must_use]
    pub fn leader(&self) -> Option<Leader> {
        *self.leader.borrow()
    }

    /// Why a node gave no status, the last time one did not, with its name.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// To be woken when the leader changes, also to none.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Leader>> {
        self.leader.subscribe()
    }

    /// How often another node, or the same in a new term, was seen to lead; the first leader is no change.
    #[must_use]
    pub fn leader_changes(&self) -> u64 {
        lock(&self.changes).count
    }

    /// The same for somebody who waits for a change: while this is asked again and again, nodes are asked often.
    #[must_use]
    pub fn watch_leader_changes(&self) -> u64 {
        *lock(&self.looked) = Some(Instant::now());
        self.leader_changes()
    }

    fn period(&self) -> Duration {
        if lock(&self.looked).is_some_and(|looked| looked.elapsed() < WATCHED_FOR) {
            PERIOD_WATCHED
        } else if self.leader().is_some() || self.has_no_leaders() {
            PERIOD
        } else {
            PERIOD_LEADERLESS
        }
    }

    /// Whether a node said that it runs and has no word for leading: then nobody waits for a leader.
    fn has_no_leaders(&self) -> bool {
        lock(&self.last).values().any(|status| status.role == Role::Running)
    }

    /// What `node` said last; none if it did not answer then.
    #[must_use]
    pub fn status(&self, node: NodeId) -> Option<NodeStatus> {
        lock(&self.last).get(&node).cloned()
    }

    fn heard(&self, node: NodeId, status: Option<&NodeStatus>) {
        let leader = {
            let mut last = lock(&self.last);
            match status {
                Some(status) => last.insert(node, status.clone()),
                None => last.remove(&node),
            };
            last.iter()
                .filter(|(_, status)| status.role == Role::Leader)
                .map(|(node, status)| Leader { node: *node, term: status.term })
                .max_by_key(|leader| leader.term)
        };
        if let Some(leader) = leader {
            let mut changes = lock(&self.changes);
            if changes.last.is_none_or(|last| leader.term > last.term) {
                changes.count += u64::from(changes.last.is_some());
                changes.last = Some(leader);
            }
        }
        self.leader.send_if_modified(|current| std::mem::replace(current, leader) != leader);
    }
}

/// The tasks; they end when this is dropped.
pub struct Observer {
    view: Arc<View>,
    tasks: JoinSet<()>,
}

impl Observer {
    /// Starts asking. To be called on the runtime.
    #[must_use]
    pub fn start(ids: &[NodeId], nodes: Arc<dyn Nodes>, journal: Arc<Journal>) -> Self {
        let view = Arc::new(View::new());
        let mut tasks = JoinSet::new();
        for id in ids {
            let (view, nodes, journal) =
                (Arc::clone(&view), Arc::clone(&nodes), Arc::clone(&journal));
            let asker = Asker { node: *id, nodes, view, journal, probe: None, written: None };
            tasks.spawn(asker.run());
        }
        Self { view, tasks }
    }

    /// Stops asking: a node that is being stopped has nothing to say.
    pub fn stop(&mut self) {
        self.tasks.abort_all();
    }

    /// What is known.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }
}

/// Asks one node again and again.
struct Asker {
    node: NodeId,
    nodes: Arc<dyn Nodes>,
    view: Arc<View>,
    journal: Arc<Journal>,
    probe: Option<(SocketAddr, Box<dyn Probe>)>,
    /// What was written last, and when.
    written: Option<(Observed, Instant)>,
}

impl Asker {
    async fn run(mut self) {
        loop {
            let asked = Instant::now();
            let status = self.ask().await;
            self.view.heard(self.node, status.as_ref());
            self.write(status);
            // In steps, because it may become worth asking again sooner.
            loop {
                let left = (asked + self.view.period()).saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                tokio::time::sleep(left.min(PERIOD_WATCHED)).await;
            }
        }
    }

    /// The node's status; none when it is down or does not answer in time.
    async fn ask(&mut self) -> Option<NodeStatus> {
        let address = self.nodes.address(self.node)?;
        if self.probe.as_ref().is_none_or(|(known, _)| *known != address) {
            self.probe = Some((address, self.nodes.probe(address)));
        }
        let (_, probe) = self.probe.as_mut()?;
        let answer = tokio::time::timeout(2 * LIMIT, probe.status(LIMIT)).await;
        match answer.unwrap_or_else(|_| Err(format!("no answer in {:?}", 2 * LIMIT))) {
            Ok(status) => Some(status),
            Err(why) => {
                *lock(&self.view.trouble) = Some(format!("{}: {why}", self.node));
                // A connection that went silent may stay so for longer than the node does.
                self.probe = None;
                None
            }
        }
    }

    fn write(&mut self, status: Option<NodeStatus>) {
        let node = self.node;
        let seen = match status {
            None => Observed::Silent { node },
            Some(status) => Observed::Status {
                node,
                role: status.role.to_string(),
                term: status.term,
                leader: status.leader,
                commit: status.commit,
                last: status.last,
                counters: status.counters,
            },
        };
        let due = self
            .written
            .as_ref()
            .is_none_or(|(written, at)| changed(written, &seen) || at.elapsed() >= WRITE_EVERY);
        if due {
            self.journal.observe(seen.clone());
            self.written = Some((seen, Instant::now()));
        }
    }
}

/// Whether more than an index moved.
fn changed(from: &Observed, to: &Observed) -> bool {
    match (from, to) {
        (
            Observed::Status { role, term, leader, counters, .. },
            Observed::Status {
                role: new_role,
                term: new_term,
                leader: new_leader,
                counters: new_counters,
                ..
            },
        ) => (role, term, leader, counters) != (new_role, new_term, new_leader, new_counters),
        (from, to) => from != to,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nodes_are_asked_often_only_while_somebody_waits_for_a_change() {
        let view = View::new();
        view.heard(NodeId(1), Some(&NodeStatus::of(Role::Leader, 3)));
        assert_eq!((view.leader_changes(), view.period()), (0, PERIOD));
        assert_eq!((view.watch_leader_changes(), view.period()), (0, PERIOD_WATCHED));
        tokio::time::advance(WATCHED_FOR).await;
        assert_eq!(view.period(), PERIOD);
    }

    #[test]
    fn only_a_leader_that_there_can_be_is_asked_for_often() {
        let view = View::new();
        view.heard(NodeId(1), Some(&NodeStatus::of(Role::Follower, 3)));
        assert_eq!(view.period(), PERIOD_LEADERLESS);
        view.heard(NodeId(2), Some(&NodeStatus::running()));
        assert_eq!((view.period(), view.leader()), (PERIOD, None));
    }

    #[test]
    fn the_highest_term_leads_and_an_old_claim_changes_nothing() {
        let view = View::new();
        let (old, new) = (NodeId(1), NodeId(2));
        view.heard(old, Some(&NodeStatus::of(Role::Leader, 3)));
        assert_eq!(view.leader(), Some(Leader { node: old, term: 3 }));
        assert_eq!(view.leader_changes(), 0, "the first leader is no change");
        view.heard(new, Some(&NodeStatus::of(Role::Candidate, 4)));
        view.heard(new, Some(&NodeStatus::of(Role::Leader, 4)));
        assert_eq!(view.leader(), Some(Leader { node: new, term: 4 }));
        view.heard(new, None);
        assert_eq!(view.leader(), Some(Leader { node: old, term: 3 }), "all that is heard of");
        view.heard(new, Some(&NodeStatus::of(Role::Leader, 4)));
        assert_eq!(view.leader_changes(), 1, "a silence is not a change");
        view.heard(old, None);
        view.heard(new, Some(&NodeStatus::of(Role::Follower, 5)));
        assert_eq!(view.leader(), None);
        view.heard(new, Some(&NodeStatus::of(Role::Leader, 6)));
        assert_eq!(view.leader_changes(), 2, "the same node in a new term");
    }
}
