//! What is done to a cluster, and when: drawn before the episode starts, so that it can be repeated without
//! some of it. Most actions do a thing at their time; some lie in wait for what the cluster does next
//! (`recipes`). What takes several of them in a row is drawn as several, so that each can be left out.

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
    /// Who led when a leader was last cut off with one follower.
    Former,
}

/// What an operator wants; asked of the leader of that time, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A voter more: a learner, if there is one; else another node as a learner.
    Enroll,
    /// This node out of the cluster, if two voters stay.
    Expel(Victim),
    /// The members whose bits are set as the voters, bit 0 for n1.
    Voters(u64),
    /// A learner in the place of this voter; if there is none, another node as a learner.
    Replace(Victim),
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
    /// The next node that becomes leader is the last thing that those who voted for it see: they crash.
    CrashElectors {
        /// How long the first of them is down.
        down: Time,
    },
    /// The next leader crashes when it commits for the first time.
    CrashCommitter {
        /// How long it is down.
        down: Time,
    },
    /// The next node whose vote leaves crashes at that moment.
    CrashVoter {
        /// How long it is down.
        down: Time,
        /// Candidates count too: they vote for themselves.
        candidates: bool,
    },
    /// The leader crashes, and all others lose patience at the same time.
    Duel {
        /// How long the leader is down.
        down: Time,
        /// The node whose votes arrive only when it campaigns again.
        waits: Option<NodeId>,
    },
    /// The leader and one follower are cut off from the others.
    Fork {
        /// Which follower: so many places after the leader.
        follower: u64,
        /// How long.
        time: Time,
        /// The follower's answers arrive only when this leader is elected again; the follower is cut off then.
        hold: bool,
    },
    /// An operator asks for other members.
    Change(Want),
    /// An operator wants another leader.
    Transfer {
        /// Who; nobody in particular if there is none.
        to: Option<Victim>,
    },
    /// A node takes a snapshot now.
    TakeSnapshot {
        /// Who.
        victim: Victim,
    },
    /// The next sync of a disk fails, so that its node stops.
    FailSync {
        /// Whose.
        victim: Victim,
        /// How long it is down.
        down: Time,
    },
    /// Syncs of a disk take longer.
    Slow {
        /// Whose.
        victim: Victim,
        /// How much longer.
        by: Time,
        /// How long.
        time: Time,
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
        // Each takes the same number of draws whatever it is.
        let drawn =
            Drawn { nodes: plan.nodes + mix.spares, numbers: [(); 8].map(|()| random.next()) };
        actions
            .extend(drawn.actions(mix).into_iter().map(|(later, action)| (time + later, action)));
        time += random.between(mix.gap / 4, 2 * mix.gap);
    }
    if plan.has_leases() {
        depose_leaders(plan, end, &mut actions);
    }
    actions.retain(|(time, _)| *time < end);
    actions.sort_by_key(|(time, _)| *time);
    actions
}

/// With leases: now and then everything is well but for a leader that stands still or is cut off until the others
/// have another. Mere luck hardly brings that about: a busy leader that is
/// cut off steps down at its fourth heartbeat with appends unanswered, and one that pauses is deposed only if
/// nothing keeps the others from an election. Its wall clock may be set just then, and others at any time.
fn depose_leaders(plan: &Plan, end: Time, actions: &mut Vec<Timed>) {
    let random = &mut Random::new(plan.seed, plan.episode, Purpose::Depositions);
    let mut time = random.between(500 * MS, 3000 * MS);
    while time < end {
        let [how, long, far, whom, when] = [(); 5].map(|()| random.next());
        let alone = (700 + long % 800) * MS;
        let quiet = time..time + alone + 200 * MS;
        actions.retain(|(time, _)| !quiet.contains(time));
        actions.push((time, Action::Heal));
        let (victim, by) = (Victim::Leader, (far % (10 * SECOND)).cast_signed());
        if far % 2 == 0 {
            actions.push((time, Action::SetWall { victim, by: -by }));
        }
        actions.push(match how % 4 {
            0 => (time, Action::Isolate { victim, way: Way::Both, time: alone }),
            _ => (time, Action::Pause { victim, time: alone }),
        });
        time = quiet.end;
        let victim = Victim::Node(1 + whom % plan.nodes);
        let by = if when % 2 == 0 { by } else { -by };
        actions.push((time, Action::SetWall { victim, by }));
        time += random.between(0, 3 * SECOND);
    }
}

/// The numbers that one thing to do is made of.
struct Drawn {
    nodes: u64,
    numbers: [u64; 8],
}

impl Drawn {
    /// A time in milliseconds.
    fn lasting(&self, low: u64, high: u64) -> Time {
        (low + self.numbers[3] % (high - low)) * MS
    }

    fn node(&self) -> NodeId {
        1 + self.numbers[2] % self.nodes
    }

    fn victim(&self) -> Victim {
        if self.numbers[1].is_multiple_of(2) { Victim::Leader } else { Victim::Node(self.node()) }
    }

    fn way(&self) -> Way {
        [Way::Both, Way::Both, Way::Out, Way::In][self.numbers[5] as usize % 4]
    }

    fn actions(&self, mix: &Mix) -> Vec<Timed> {
        let side = self.numbers[4];
        let action = match self.numbers[0] % 40 {
            0..=5 if mix.crashes => {
                Action::Crash { victim: self.victim(), down: self.lasting(20, 1500) }
            }
            6..=7 if mix.power_cuts => Action::PowerCut { down: self.lasting(20, 500) },
            8..=9 if mix.pauses => {
                Action::Pause { victim: self.victim(), time: self.lasting(50, 2000) }
            }
            10..=13 if mix.cuts => Action::Isolate {
                victim: self.victim(),
                way: self.way(),
                time: self.lasting(200, 3000),
            },
            14..=16 if mix.cuts => Action::Split {
                side: side % (1 << self.nodes),
                way: self.way(),
                time: self.lasting(200, 3000),
            },
            17 if mix.stalls => {
                Action::Stall { victim: self.victim(), time: self.lasting(100, 2500) }
            }
            18 if mix.stalls => Action::Slow {
                victim: self.victim(),
                by: (10 + side % 300) * MS,
                time: self.lasting(500, 4000),
            },
            19 if mix.failing_syncs => {
                Action::FailSync { victim: self.victim(), down: self.lasting(20, 1500) }
            }
            20..=22 if mix.hunted_leaders => self.hunt(),
            23 => Action::Heal,
            24..=27 | 36..=39 if mix.changes => Action::Change(self.want()),
            28 if mix.transfers => {
                let somebody = side.is_multiple_of(2);
                Action::Transfer { to: somebody.then_some(Victim::Node(self.node())) }
            }
            29 if mix.snapshot_every > 0 => Action::TakeSnapshot { victim: self.victim() },
            30..=32 if mix.forks => return self.fork(),
            33..=35 if mix.duels => return self.duel(),
            _ => return Vec::new(),
        };
        vec![(0, action)]
    }

    /// Something that befalls the winner of the next election, or those who made it win.
    fn hunt(&self) -> Action {
        match self.numbers[2] % 4 {
            0 | 1 => Action::CrashWinner { down: self.lasting(20, 800) },
            2 => Action::CrashElectors { down: self.lasting(1, 60) },
            _ => Action::CrashCommitter { down: self.lasting(400, 1500) },
        }
    }

    fn want(&self) -> Want {
        match self.numbers[4] % 8 {
            0..=2 => Want::Enroll,
            3..=4 => Want::Expel(self.victim()),
            5 => Want::Replace(self.victim()),
            _ => Want::Voters(self.numbers[5] % (1 << self.nodes)),
        }
    }

    /// Two logs that differ: a leader and one follower go on alone while the others elect another. When they
    /// meet again, that one may crash, or the first may be asked to lead again.
    fn fork(&self) -> Vec<Timed> {
        let [_, kind, follower, _, again, winner, ..] = self.numbers;
        let time = self.lasting(500, 1500);
        let mut actions = vec![(0, Action::Fork { follower, time, hold: kind.is_multiple_of(2) })];
        if kind % 3 == 0 {
            let down = (400 + again % 800) * MS;
            actions.push((time, Action::Crash { victim: Victim::Leader, down }));
        }
        if winner.is_multiple_of(4) {
            actions.push((time, Action::CrashWinner { down: self.lasting(200, 1200) }));
        }
        if winner % 4 == 1 {
            actions.push((time, Action::CrashCommitter { down: self.lasting(400, 1500) }));
        }
        if kind % 3 == 1 {
            let later = time + (100 + again % 700) * MS;
            actions.push((later, Action::Transfer { to: Some(Victim::Former) }));
        }
        actions
    }

    /// Several candidates of one term. Somebody's votes may come late, and somebody may crash who has voted.
    fn duel(&self) -> Vec<Timed> {
        let [_, kind, _, _, voter, candidates, ..] = self.numbers;
        let waits = kind.is_multiple_of(2).then(|| self.node());
        let duel = Action::Duel { down: self.lasting(300, 1500), waits };
        let down = (500 + voter % 6000) * MS / 1000;
        let crash = Action::CrashVoter { down, candidates: candidates.is_multiple_of(2) };
        match kind % 3 {
            0 => vec![(0, duel)],
            _ => vec![(0, duel), (300 * MS, crash)],
        }
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Victim::Node(node) => write!(formatter, "n{node}"),
            Victim::Leader => formatter.write_str("the leader"),
            Victim::Former => formatter.write_str("the leader before the fork"),
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

/// The nodes whose bits are set.
fn set(bits: u64) -> String {
    let nodes = (0..64).filter(|bit| bits >> bit & 1 == 1);
    let nodes: Vec<String> = nodes.map(|bit| format!("n{}", bit + 1)).collect();
    format!("{{{}}}", nodes.join(" "))
}

impl fmt::Display for Want {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Want::Enroll => formatter.write_str("one voter more"),
            Want::Expel(victim) => write!(formatter, "{victim} out of the cluster"),
            Want::Voters(bits) => write!(formatter, "{} as the voters", set(bits)),
            Want::Replace(victim) => write!(formatter, "another node in the place of {victim}"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let down = |down: Time| format!("down {:.1} ms", down as f64 / MS as f64);
        match *self {
            Action::Crash { victim, down: time } => {
                write!(formatter, "crash {victim}, {}", down(time))
            }
            Action::PowerCut { down: time } => write!(formatter, "crash all, {}", down(time)),
            Action::CrashWinner { down: time } => {
                write!(formatter, "crash the next leader, {}", down(time))
            }
            Action::CrashElectors { down: time } => {
                write!(formatter, "crash who votes for the next leader, {}", down(time))
            }
            Action::CrashCommitter { down: time } => {
                write!(formatter, "crash the next leader when it commits, {}", down(time))
            }
            Action::CrashVoter { down: time, candidates } => {
                let who = if candidates { "who votes next" } else { "who votes next for another" };
                write!(formatter, "crash {who}, {}", down(time))
            }
            Action::Duel { down: time, waits } => {
                let waits =
                    waits.map_or(String::new(), |id| format!("; votes for n{id} come late"));
                write!(formatter, "crash the leader, {}; all others campaign{waits}", down(time))
            }
            Action::Fork { follower, time, hold } => {
                let held = if hold { ", whose answers come late" } else { "" };
                let (after, ms) = (follower % 8, time / MS);
                write!(
                    formatter,
                    "cut off the leader with a follower ({after} places after it){held}, {ms} ms"
                )
            }
            Action::Change(want) => write!(formatter, "ask for {want}"),
            Action::Transfer { to: Some(to) } => write!(formatter, "ask {to} to lead"),
            Action::Transfer { to: None } => formatter.write_str("ask for another leader"),
            Action::TakeSnapshot { victim } => write!(formatter, "{victim} takes a snapshot"),
            Action::FailSync { victim, down: time } => {
                write!(formatter, "the next sync of {victim} fails, {}", down(time))
            }
            Action::Slow { victim, by, time } => {
                let (by, time) = (by / MS, time / MS);
                write!(formatter, "slow the disk of {victim} by {by} ms a sync, {time} ms")
            }
            Action::Pause { victim, time } => write!(formatter, "pause {victim}, {} ms", time / MS),
            Action::Isolate { victim, way, time } => {
                write!(formatter, "cut off {victim} {way}, {} ms", time / MS)
            }
            Action::Split { side, way, time } => {
                write!(formatter, "cut off {} {way}, {} ms", set(side), time / MS)
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
