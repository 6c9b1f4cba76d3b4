//! What is done to a cluster, and when: drawn before the episode starts, so that it can be repeated without
//! some of it.

use super::mix::Mix;
use super::random::{Purpose, Random};
use super::{MS, Plan, SECOND, Time};
use crate::raft::NodeId;
use std::fmt;

/// To whom something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// This node.
    Node(NodeId),
    /// Whoever leads then, in the latest term if several do; nobody if none does.
    Leader,
}

/// Which direction of a link is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What the side sends is lost.
    Out,
    /// What is sent to the side is lost.
    In,
    /// Both.
    Both,
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A node loses what it has not synced, and starts again after a while.
    Crash {
        /// Who.
        victim: Victim,
        /// How long it is down.
        down: Time,
    },
    /// All nodes crash at once.
    PowerCut {
        /// How long the first of them is down; the others come one after another.
        down: Time,
    },
    /// The next node that becomes leader crashes at that moment.
    CrashWinner {
        /// How long it is down.
        down: Time,
    },
    /// A node stands still, and what it is sent waits.
    Pause {
        /// Who.
        victim: Victim,
        /// How long.
        time: Time,
    },
    /// One node is cut off.
    Isolate {
        /// Who.
        victim: Victim,
        /// In which direction.
        way: Way,
        /// How long.
        time: Time,
    },
    /// The nodes whose bits are set are cut off from the others.
    Split {
        /// Bit 0 stands for n1.
        side: u64,
        /// In which direction.
        way: Way,
        /// How long.
        time: Time,
    },
    /// All links work again.
    Heal,
    /// A disk takes this long for the syncs that begin meanwhile.
    Stall {
        /// Whose.
        victim: Victim,
        /// How long.
        time: Time,
    },
    /// Somebody sets a node's wall clock.
    SetWall {
        /// Whose.
        victim: Victim,
        /// How far forward; back if it is less than 0.
        by: i64,
    },
}

/// When, and what.
pub type Timed = (Time, Action);

/// The actions of an episode's safety phase, which ends at `end`.
pub(super) fn draw(plan: &Plan, mix: &Mix, end: Time) -> Vec<Timed> {
    let random = &mut Random::new(plan.seed, plan.episode, Purpose::Schedule);
    let mut actions = Vec::new();
    let mut time = random.between(200 * MS, 1500 * MS);
    while time < end {
        // Each action takes the same number of draws whatever it is.
        let numbers = [(); 6].map(|()| random.next());
        actions.extend(action(plan, mix, numbers).map(|action| (time, action)));
        time += random.between(mix.gap / 4, 2 * mix.gap);
    }
    depose_leaders(plan, end, &mut actions);
    actions
}

/// In half of the episodes, and in all with leases: now and then everything is well but for a leader that stands
/// still or is cut off until the others have another. Mere luck hardly brings that about: a busy leader that is
/// cut off steps down at its fourth heartbeat with appends unanswered, and one that pauses is deposed only if
/// nothing keeps the others from an election. With leases its wall clock may be set just then, and others at any time.
fn depose_leaders(plan: &Plan, end: Time, actions: &mut Vec<Timed>) {
    let random = &mut Random::new(plan.seed, plan.episode, Purpose::Recipes);
    let leases = plan.has_leases();
    if !random.chance(500) && !leases {
        return;
    }
    let mut time = random.between(500 * MS, 3000 * MS);
    while time < end {
        let [how, long, far, whom, when] = [(); 5].map(|()| random.next());
        let alone = (700 + long % 800) * MS;
        let quiet = time..time + alone + 200 * MS;
        actions.retain(|(time, _)| !quiet.contains(time));
        actions.push((time, Action::Heal));
        let (victim, by) = (Victim::Leader, (far % (10 * SECOND)).cast_signed());
        if leases && far % 2 == 0 {
            actions.push((time, Action::SetWall { victim, by: -by }));
        }
        actions.push(match how % 4 {
            0 => (time, Action::Isolate { victim, way: Way::Both, time: alone }),
            _ => (time, Action::Pause { victim, time: alone }),
        });
        time = quiet.end;
        if leases {
            let victim = Victim::Node(1 + whom % plan.nodes);
            let by = if when % 2 == 0 { by } else { -by };
            actions.push((time, Action::SetWall { victim, by }));
        }
        time += random.between(0, if leases { 3 * SECOND } else { 8 * SECOND });
    }
    actions.sort_by_key(|(time, _)| *time);
}

fn action(plan: &Plan, mix: &Mix, numbers: [u64; 6]) -> Option<Action> {
    let [kind, whom, which, long, side, way] = numbers;
    let lasting = |low: u64, high: u64| (low + long % (high - low)) * MS;
    let victim = match whom % 2 {
        0 => Victim::Leader,
        _ => Victim::Node(1 + which % plan.nodes),
    };
    let way = [Way::Both, Way::Both, Way::Out, Way::In][way as usize % 4];
    match kind % 16 {
        0..=3 if mix.crashes => Some(Action::Crash { victim, down: lasting(20, 1500) }),
        4 if mix.power_cuts => Some(Action::PowerCut { down: lasting(20, 500) }),
        5..=6 if mix.pauses => Some(Action::Pause { victim, time: lasting(50, 2000) }),
        7..=9 if mix.cuts => Some(Action::Isolate { victim, way, time: lasting(200, 3000) }),
        10..=11 if mix.cuts => {
            Some(Action::Split { side: side % (1 << plan.nodes), way, time: lasting(200, 3000) })
        }
        12 if mix.stalls => Some(Action::Stall { victim, time: lasting(100, 2500) }),
        13..=14 if mix.hunted_leaders => Some(Action::CrashWinner { down: lasting(20, 800) }),
        15 => Some(Action::Heal),
        _ => None,
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Victim::Node(node) => write!(formatter, "n{node}"),
            Victim::Leader => formatter.write_str("the leader"),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Way::Out => "outwards",
            Way::In => "inwards",
            Way::Both => "both ways",
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Action::Crash { victim, down } => {
                write!(formatter, "crash {victim}, down {} ms", down / MS)
            }
            Action::PowerCut { down } => write!(formatter, "crash all, down {} ms", down / MS),
            Action::CrashWinner { down } => {
                write!(formatter, "crash the next leader, down {} ms", down / MS)
            }
            Action::Pause { victim, time } => write!(formatter, "pause {victim}, {} ms", time / MS),
            Action::Isolate { victim, way, time } => {
                write!(formatter, "cut off {victim} {way}, {} ms", time / MS)
            }
            Action::Split { side, way, time } => {
                let nodes: Vec<String> = (0..64)
                    .filter(|bit| side >> bit & 1 == 1)
                    .map(|bit| format!("n{}", bit + 1))
                    .collect();
                write!(formatter, "cut off {{{}}} {way}, {} ms", nodes.join(" "), time / MS)
            }
            Action::Heal => formatter.write_str("heal all links"),
            Action::Stall { victim, time } => {
                write!(formatter, "stall the disk of {victim}, {} ms", time / MS)
            }
            Action::SetWall { victim, by } => {
                write!(formatter, "set the wall clock of {victim} by {} ms", by / MS.cast_signed())
            }
        }
    }
}
