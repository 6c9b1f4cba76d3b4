//! What became of each process, and why: the one place that knows which exit was asked for.

use super::Clock;
use super::logs::last_lines;
use crate::guardian::{Exit, ExitStatus};
use crate::results::ExitCause;
use crate::system::NodeAddresses;
use history::{Nanos, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// How a node ends that is told that it is no member any more: EX_CONFIG, or this command's own word for an error.
const REMOVED: [i32; 2] = [78, 255];
/// How many lines of its log are kept with an exit that nothing explains.
const LOG_LINES: usize = 20;

/// Something that became of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It serves.
    Ready {
        /// Which.
        node: NodeId,
        /// Its process.
        pid: i32,
        /// When its ready line was taken in.
        at: Nanos,
    },
    /// It ended.
    Exit(NodeExit),
}

/// A node's process that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeExit {
    /// Which node.
    pub node: NodeId,
    /// Its process, reaped.
    pub pid: i32,
    /// When that was heard of.
    pub at: Nanos,
    /// How it ended.
    pub status: ExitStatus,
    /// Why.
    pub cause: ExitCause,
    /// The last lines of its log if nothing explains the exit, newest last.
    pub log: Vec<String>,
}

/// What the harness means to do with a process, noted before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// A fault kills it.
    Kill,
    /// It is taken out of the cluster, which may tell it so before it is killed.
    Remove,
    /// The run is over; it is to stop in good order.
    Stop,
    /// The run is over and it did not stop.
    Force,
    /// It did not become ready after a restart; it is killed so that the next restart is one.
    PutAway,
    /// A fault gives it a reason to stop by itself: a sync that fails, a file that is damaged.
    Permit,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// The live process.
    pid: Option<i32>,
    addresses: Option<NodeAddresses>,
    /// All that was meant, in order: one that was noted later takes none back.
    intents: Vec<Intent>,
    paused: bool,
}

/// Who is told of each change as it happens, on the thread that hears of it.
pub type Listener = Box<dyn Fn(&Change) + Send>;

/// The processes of one deployment.
pub(super) struct Ledger {
    slots: BTreeMap<NodeId, Slot>,
    logs: BTreeMap<NodeId, PathBuf>,
    changes: Vec<Change>,
    listener: Option<Listener>,
    /// Exits heard of before the reply that named the process: a node may die at once.
    early: BTreeMap<i32, Exit>,
    /// Nodes whose files are damaged: whatever is started on them may refuse.
    damaged: BTreeSet<NodeId>,
    clock: Clock,
}

impl Ledger {
    pub(super) fn new(logs: BTreeMap<NodeId, PathBuf>, clock: Clock) -> Self {
        let slots = logs.keys().map(|node| (*node, Slot::default())).collect();
        Self {
            slots,
            logs,
            changes: Vec::new(),
            listener: None,
            early: BTreeMap::new(),
            damaged: BTreeSet::new(),
            clock,
        }
    }

    pub(super) fn spawned(&mut self, node: NodeId, pid: i32) {
        let intents = if self.damaged.contains(&node) { vec![Intent::Permit] } else { Vec::new() };
        self.slots.insert(node, Slot { pid: Some(pid), intents, ..Slot::default() });
        if let Some(exit) = self.early.remove(&pid) {
            self.exited(exit);
        }
    }

    /// Notes that a process serves; false if it has ended since.
    pub(super) fn ready(&mut self, node: NodeId, pid: i32, addresses: NodeAddresses) -> bool {
        let at = (self.clock)();
        let Some(slot) = self.slots.get_mut(&node).filter(|slot| slot.pid == Some(pid)) else {
            return false;
        };
        slot.addresses = Some(addresses);
        self.change(Change::Ready { node, pid, at });
        true
    }

    /// Tells `listener` of every change so far, and of each further one.
    pub(super) fn tell(&mut self, listener: Listener) {
        self.changes.iter().for_each(&listener);
        self.listener = Some(listener);
    }

    fn change(&mut self, change: Change) {
        if let Some(listener) = &self.listener {
            listener(&change);
        }
        self.changes.push(change);
    }

    /// Notes what is about to be done to a node's live process; returns that process.
    pub(super) fn intend(&mut self, node: NodeId, intent: Intent) -> Option<i32> {
        let slot = self.slots.get_mut(&node)?;
        let over = slot.intents.iter().any(|one| matches!(one, Intent::Stop | Intent::Force));
        let intent = if over && intent == Intent::PutAway { Intent::Force } else { intent };
        slot.intents.push(intent);
        slot.pid
    }

    /// Notes whether the files of a node are damaged from now on.
    pub(super) fn damage(&mut self, node: NodeId, damaged: bool) {
        if damaged {
            self.damaged.insert(node);
        } else {
            self.damaged.remove(&node);
        }
    }

    /// Takes an intent back that certainly came to nothing; one that was noted twice is still meant once.
    pub(super) fn forget_intent(&mut self, node: NodeId, intent: Intent) {
        if let Some(slot) = self.slots.get_mut(&node)
            && let Some(place) = slot.intents.iter().rposition(|one| *one == intent)
        {
            slot.intents.remove(place);
        }
    }

    pub(super) fn paused(&mut self, node: NodeId, paused: bool) {
        if let Some(slot) = self.slots.get_mut(&node) {
            slot.paused = paused;
        }
    }

    /// Notes an exit; false if the process is not (yet) known.
    pub(super) fn exited(&mut self, exit: Exit) -> bool {
        let at = (self.clock)();
        let Exit { node, pid, status } = exit;
        let Some(slot) = self.slots.get_mut(&node).filter(|slot| slot.pid == Some(pid)) else {
            self.early.insert(pid, exit);
            return false;
        };
        let cause = cause(&slot.intents, status);
        *slot = Slot::default();
        let log = match (&cause, self.logs.get(&node)) {
            (ExitCause::Unexplained | ExitCause::Permitted, Some(path)) => {
                last_lines(path, LOG_LINES)
            }
            _ => Vec::new(),
        };
        self.change(Change::Exit(NodeExit { node, pid, at, status, cause, log }));
        true
    }

    pub(super) fn pid(&self, node: NodeId) -> Option<i32> {
        self.slots.get(&node)?.pid
    }

    pub(super) fn addresses(&self, node: NodeId) -> Option<NodeAddresses> {
        self.slots.get(&node)?.addresses
    }

    pub(super) fn running(&self) -> Vec<(NodeId, i32)> {
        self.slots.iter().filter_map(|(node, slot)| Some((*node, slot.pid?))).collect()
    }

    pub(super) fn live(&self) -> Vec<NodeId> {
        let serving = |slot: &Slot| slot.addresses.is_some() && !slot.paused;
        self.slots.iter().filter(|(_, slot)| serving(slot)).map(|(node, _)| *node).collect()
    }

    pub(super) fn changes(&self, from: usize) -> Vec<Change> {
        self.changes.get(from..).unwrap_or_default().to_vec()
    }

    pub(super) fn exits(&self) -> Vec<NodeExit> {
        let exit = |change: &Change| match change {
            Change::Exit(exit) => Some(exit.clone()),
            Change::Ready { .. } => None,
        };
        self.changes.iter().filter_map(exit).collect()
    }
}

/// Why a process ended: the first thing that was meant to happen that is also how it ended.
fn cause(intents: &[Intent], status: ExitStatus) -> ExitCause {
    let killed = status == ExitStatus::Signal(libc::SIGKILL);
    // SIGTERM itself ends a process that had no time yet to install its handler, and some programs say so by a code; a
    // system may stop its nodes by SIGINT.
    let told = [libc::SIGTERM, libc::SIGINT];
    let stopped = status.is_success()
        || told
            .iter()
            .any(|n| [ExitStatus::Signal(*n), ExitStatus::Code(128 + *n)].contains(&status));
    // A panic ends with 101, and is no way to stop.
    let gave_up = matches!(status, ExitStatus::Code(code) if code != 0 && code != 101);
    // A start on damaged files may hang as well as refuse.
    let permitted = intents.contains(&Intent::Permit);
    let explained = intents.iter().find_map(|intent| match intent {
        Intent::Kill if killed => Some(ExitCause::Fault),
        Intent::Remove if REMOVED.map(ExitStatus::Code).contains(&status) => Some(ExitCause::Fault),
        Intent::PutAway if killed && permitted => Some(ExitCause::Permitted),
        Intent::PutAway if killed => Some(ExitCause::NotReady),
        Intent::Stop if stopped => Some(ExitCause::Stop),
        Intent::Force if killed || stopped => Some(ExitCause::Stop),
        Intent::Permit if gave_up => Some(ExitCause::Permitted),
        _ => None,
    });
    explained.unwrap_or(ExitCause::Unexplained)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const NODE: NodeId = NodeId(1);

    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(
            BTreeMap::from([(NODE, PathBuf::from("/nonexistent"))]),
            Arc::new(|| Nanos(7)),
        );
        ledger.spawned(NODE, 42);
        ledger
    }

    fn exit(status: ExitStatus) -> Exit {
        Exit { node: NODE, pid: 42, status }
    }

    #[test]
    fn only_what_was_asked_for_explains_an_exit() {
        use ExitStatus::{Code, Signal};
        use Intent::{Force, Kill, Permit, PutAway, Remove, Stop};
        let cases: [(&[Intent], _, _); 33] = [
            (&[Stop], Code(143), ExitCause::Stop),
            (&[Stop], Signal(2), ExitCause::Stop),
            (&[], Code(143), ExitCause::Unexplained),
            (&[Remove], Code(255), ExitCause::Fault),
            (&[Remove], Code(101), ExitCause::Unexplained),
            (&[Kill], Code(255), ExitCause::Unexplained),
            (&[Remove, Kill], Signal(9), ExitCause::Fault),
            (&[], Code(0), ExitCause::Unexplained),
            (&[], Signal(9), ExitCause::Unexplained),
            (&[], Signal(15), ExitCause::Unexplained),
            (&[Kill], Signal(9), ExitCause::Fault),
            (&[Kill], Signal(6), ExitCause::Unexplained),
            (&[Kill], Signal(15), ExitCause::Unexplained),
            (&[Kill], Code(101), ExitCause::Unexplained),
            (&[Kill, Stop], Signal(9), ExitCause::Fault),
            (&[PutAway], Signal(9), ExitCause::NotReady),
            (&[PutAway, Stop], Signal(9), ExitCause::NotReady),
            (&[Stop, PutAway], Signal(9), ExitCause::Stop),
            (&[Stop], Code(0), ExitCause::Stop),
            (&[Stop], Signal(15), ExitCause::Stop),
            (&[Stop], Signal(9), ExitCause::Unexplained),
            (&[Stop], Code(1), ExitCause::Unexplained),
            (&[Stop], Signal(11), ExitCause::Unexplained),
            (&[Stop, Force], Signal(9), ExitCause::Stop),
            (&[Stop, Force], Signal(6), ExitCause::Unexplained),
            (&[Permit], Code(255), ExitCause::Permitted),
            (&[Permit], Code(0), ExitCause::Unexplained),
            (&[Permit], Code(101), ExitCause::Unexplained),
            (&[Permit], Signal(6), ExitCause::Unexplained),
            (&[Permit, PutAway], Signal(9), ExitCause::Permitted),
            (&[Permit, PutAway], Signal(6), ExitCause::Unexplained),
            (&[Permit, Kill], Signal(9), ExitCause::Fault),
            (&[Permit, Kill], Code(255), ExitCause::Permitted),
        ];
        for (intents, status, wanted) in cases {
            let mut ledger = ledger();
            for intent in intents {
                assert_eq!(ledger.intend(NODE, *intent), Some(42));
            }
            assert!(ledger.exited(exit(status)));
            assert_eq!(ledger.exits()[0].cause, wanted, "{intents:?} {status}");
            assert_eq!(ledger.exits()[0].at, Nanos(7));
        }
    }

    #[test]
    fn a_node_on_damaged_files_may_refuse_until_they_are_mended() {
        let mut ledger = ledger();
        let status = ExitStatus::Code(255);
        for (pid, damaged, wanted) in
            [(43, true, ExitCause::Permitted), (44, false, ExitCause::Unexplained)]
        {
            ledger.damage(NODE, damaged);
            ledger.spawned(NODE, pid);
            assert!(ledger.exited(Exit { pid, ..exit(status) }));
            assert_eq!(ledger.exits().last().unwrap().cause, wanted);
        }
    }

    #[test]
    fn a_listener_hears_of_every_change_once_and_at_once() {
        let mut ledger = ledger();
        assert!(ledger.exited(exit(ExitStatus::Code(1))));
        let (heard, hearing) = std::sync::mpsc::channel();
        ledger.tell(Box::new(move |change| heard.send(change.clone()).expect("it listens")));
        ledger.spawned(NODE, 43);
        assert!(ledger.exited(Exit { pid: 43, ..exit(ExitStatus::Code(2)) }));
        assert_eq!(hearing.try_iter().collect::<Vec<_>>(), ledger.changes(0));
    }

    #[test]
    fn an_intent_does_not_outlive_its_process() {
        let mut ledger = ledger();
        ledger.intend(NODE, Intent::Kill);
        assert!(ledger.exited(exit(ExitStatus::Signal(9))));
        ledger.spawned(NODE, 43);
        assert!(ledger.exited(Exit { pid: 43, ..exit(ExitStatus::Signal(9)) }));
        assert_eq!(ledger.exits()[1].cause, ExitCause::Unexplained);
    }

    #[test]
    fn only_the_intent_that_came_to_nothing_is_forgotten() {
        for (forgotten, wanted) in
            [(Intent::Kill, ExitCause::Unexplained), (Intent::Stop, ExitCause::Fault)]
        {
            let mut ledger = ledger();
            ledger.intend(NODE, Intent::Kill);
            ledger.forget_intent(NODE, forgotten);
            assert!(ledger.exited(exit(ExitStatus::Signal(9))));
            assert_eq!(ledger.exits()[0].cause, wanted);
        }
    }

    #[test]
    fn a_removal_that_nobody_was_asked_for_excuses_nothing_and_an_earlier_one_does() {
        for (earlier, wanted) in [(false, ExitCause::Unexplained), (true, ExitCause::Fault)] {
            let mut ledger = ledger();
            if earlier {
                ledger.intend(NODE, Intent::Remove);
            }
            ledger.intend(NODE, Intent::Remove);
            ledger.forget_intent(NODE, Intent::Remove);
            assert!(ledger.exited(exit(ExitStatus::Code(255))));
            assert_eq!(ledger.exits()[0].cause, wanted);
        }
    }

    #[test]
    fn an_exit_may_be_heard_of_before_the_start() {
        let mut ledger = ledger();
        assert!(ledger.exited(exit(ExitStatus::Code(1))));
        let early = Exit { pid: 50, ..exit(ExitStatus::Code(3)) };
        assert!(!ledger.exited(early));
        ledger.spawned(NODE, 50);
        assert_eq!(ledger.pid(NODE), None);
        assert_eq!(ledger.exits()[1].status, ExitStatus::Code(3));
    }

    #[test]
    fn a_node_is_live_while_it_serves_and_is_not_paused() {
        let mut ledger = ledger();
        assert!(ledger.live().is_empty());
        let address = "127.0.0.1:1".parse().expect("an address");
        let addresses = NodeAddresses { peer: address, client: address };
        assert!(!ledger.ready(NODE, 41, addresses), "a process that is not there any more");
        assert!(ledger.ready(NODE, 42, addresses));
        assert_eq!(ledger.live(), [NODE]);
        ledger.paused(NODE, true);
        assert!(ledger.live().is_empty());
        ledger.paused(NODE, false);
        assert!(ledger.exited(exit(ExitStatus::Code(0))));
        assert!(ledger.live().is_empty());
        assert_eq!(ledger.changes(1).len(), 1);
    }
}
