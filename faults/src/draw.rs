//! Draws a schedule from a seed.
//!
//! Each class has a lane of its own with its own stream of draws: faults of some seconds with short
//! gaps. The lanes are merged under the fault budget: at no moment may the faults that can be in
//! effect (each counted from the earliest start to the latest end) keep more nodes from the majority
//! than the budget allows, because a correct system may then stand still and nothing is learned.
//!
//! The first round gives each class a place of its own in the first half of the work; after that
//! faults of different classes overlap where the budget has room. Often a fault is tied to one of
//! another class: it hits the new leader right after the change that the other brings about, or it
//! starts at the edge of the other's heal, when nodes that missed something come back. That is where
//! protocols break. For that, the last moments of a partition (`EDGE`) do not count against the budget:
//! no majority may be left for less than half a second, which a correct system survives.
//!
//! The end of the work stays free, so that operations after the last heal are seen to succeed.

use crate::claims::{Budget, Load};
use crate::fault::{Draft, Fault};
use crate::random::Random;
use crate::registry;
use crate::schedule::{Entry, Schedule, Trigger};
use crate::target::Target;
use std::time::Duration;

/// Stream that orders the first round.
const ORDER_STREAM: u64 = 100;
/// Stream of an entry's own seed.
const ENTRY_STREAM: u64 = 101;
/// Stream that ties faults to changes of leader.
const TIE_STREAM: u64 = 102;
/// First of the streams of the lanes, one for each class by its place in the registry.
const LANE_STREAM: u64 = 200;

/// The shortest fault that is worth injecting.
const SHORTEST: Duration = Duration::from_millis(100);
/// How far a fault is moved when there is no room for it.
const NUDGE: Duration = Duration::from_millis(200);
/// How long a fault that is tied to a change of leader waits for it.
const PATIENCE: Duration = Duration::from_millis(2500);
/// After which a fault that hits the same leader together with another one begins: the first is in effect, and
/// nobody has been elected yet.
const TOGETHER: Duration = Duration::from_millis(50);
/// The last moments of a partition, in which another class may strike beyond the budget.
pub const EDGE: Duration = Duration::from_millis(400);
/// How often a fault that is tied to another one is drawn again until it hits the leader alone.
const DRAFTS: usize = 6;

/// What a schedule is drawn for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The classes of fault to inject, by name.
    pub classes: Vec<String>,
    /// How many nodes there are.
    pub nodes: usize,
    /// What the system claims to survive.
    pub budget: Budget,
    /// The length of the work phase.
    pub work: Duration,
    /// The seed.
    pub seed: u64,
}

impl Settings {
    /// Settings with the budget of a majority system, but of at least one node.
    #[must_use]
    pub fn new(classes: &[&str], nodes: usize, work: Duration, seed: u64) -> Self {
        let classes = classes.iter().map(|&class| class.to_owned()).collect();
        let majority = Budget::majority(nodes);
        let budget = Budget { down: majority.down.max(1), ..majority };
        Self { classes, nodes, budget, work, seed }
    }
}

/// No schedule can be drawn from these settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// There is no class of that name.
    #[error("unknown fault `{0}`")]
    UnknownClass(String),
    /// The class can do nothing here.
    #[error("`{class}` cannot bite: {reason}")]
    CannotBite {
        /// The class.
        class: String,
        /// Why not.
        reason: String,
    },
    /// There is no time for it all.
    #[error("{} ms of work are too short for {classes} classes of fault", work.as_millis())]
    TooShort {
        /// The length of the work phase.
        work: Duration,
        /// How many classes were asked for.
        classes: usize,
    },
}

/// Draws the schedule of these settings.
///
/// # Errors
/// A class is unknown, cannot bite on so few nodes, or the work is too short for all classes.
pub fn schedule(settings: &Settings) -> Result<Schedule, ScheduleError> {
    let mut lanes = lanes(settings)?;
    let mut drawing = Drawing::new(settings);
    drawing.first_round(&mut lanes)?;
    drawing.fill(&mut lanes);
    Ok(drawing.finish())
}

/// The faults of one class, drawn one after the other.
struct Lane {
    fault: &'static dyn Fault,
    random: Random,
    next: Duration,
}

fn lanes(settings: &Settings) -> Result<Vec<Lane>, ScheduleError> {
    let mut lanes: Vec<Lane> = Vec::new();
    for class in &settings.classes {
        let place = registry::all().iter().position(|fault| fault.name() == class);
        let place = place.ok_or_else(|| ScheduleError::UnknownClass(class.clone()))?;
        let fault = registry::all()[place];
        let no_budget = || "the system declares a fault budget of 0 nodes".to_owned();
        let reason = fault
            .cannot_bite(settings.nodes)
            .or_else(|| fault.beyond(&settings.budget))
            .or_else(|| (settings.budget.down == 0).then(no_budget));
        if let Some(reason) = reason {
            return Err(ScheduleError::CannotBite { class: class.clone(), reason });
        }
        if lanes.iter().all(|lane| lane.fault.name() != class) {
            let random = Random::new(settings.seed, LANE_STREAM + place as u64);
            lanes.push(Lane { fault, random, next: Duration::ZERO });
        }
    }
    lanes.sort_by_key(|lane| registry::all().iter().position(|f| f.name() == lane.fault.name()));
    Ok(lanes)
}

/// A fault with its place in time.
struct Placed {
    fault: &'static dyn Fault,
    draft: Draft,
    trigger: Trigger,
    duration: Duration,
}

impl Placed {
    fn start(&self) -> Duration {
        self.trigger.earliest()
    }

    /// When its heal is over.
    fn end(&self) -> Duration {
        self.trigger.latest() + self.duration + self.fault.heal_time()
    }

    /// Until when it counts against the budget. Only a partition heals in an instant.
    fn counted_until(&self) -> Duration {
        let edge =
            if self.draft.shape.is_some() { EDGE.min(self.duration / 2) } else { Duration::ZERO };
        self.end() - edge
    }
}

struct Drawing<'a> {
    settings: &'a Settings,
    last_heal: Duration,
    placed: Vec<Placed>,
}

impl<'a> Drawing<'a> {
    fn new(settings: &'a Settings) -> Self {
        let work = settings.work;
        let tail = Duration::from_secs(1).max(work / 20).min(work / 4);
        Self { settings, last_heal: work - tail, placed: Vec::new() }
    }

    /// Gives each class a slot of its own within the first half of the work.
    fn first_round(&mut self, lanes: &mut [Lane]) -> Result<(), ScheduleError> {
        if lanes.is_empty() {
            return Ok(());
        }
        let mut order: Vec<usize> = (0..lanes.len()).collect();
        Random::new(self.settings.seed, ORDER_STREAM).shuffle(&mut order);
        let lead = Duration::from_millis(500).min(self.settings.work / 30);
        let round = (self.settings.work / 2).min(Duration::from_secs(6) * lanes.len() as u32);
        let slot = whole_milliseconds((round - lead) / lanes.len() as u32);
        if slot < SHORTEST * 2 {
            let (work, classes) = (self.settings.work, lanes.len());
            return Err(ScheduleError::TooShort { work, classes });
        }
        for (turn, &place) in order.iter().enumerate() {
            let lane = &mut lanes[place];
            let draft = self.draft(lane);
            let time = lead + slot * turn as u32 + lane.random.between(Duration::ZERO, slot / 8);
            let trigger = Trigger::At { time: whole_milliseconds(time) };
            let longest = (slot * 7 / 8).saturating_sub(lane.fault.heal_time()).max(slot / 2);
            let duration = whole_milliseconds(draft.duration.min(longest));
            let placed = Placed { fault: lane.fault, draft, trigger, duration };
            lane.next = placed.end() + self.gap(lane);
            self.placed.push(placed);
        }
        Ok(())
    }

    /// Lets the lanes take turns, the one that is free first, until the end is reached.
    fn fill(&mut self, lanes: &mut [Lane]) {
        let mut ties = Random::new(self.settings.seed, TIE_STREAM);
        let mut looked_at = 0;
        loop {
            while looked_at < self.placed.len() {
                self.follow(looked_at, lanes, &mut ties);
                looked_at += 1;
            }
            let Some(lane) = lanes.iter_mut().min_by_key(|lane| lane.next) else { return };
            if lane.next + SHORTEST > self.last_heal {
                return;
            }
            let draft = self.draft(lane);
            let trigger = self.trigger(lane);
            self.place(lane, draft, trigger);
        }
    }

    /// Perhaps lets a fault of another class hit the new leader, right after the change that the
    /// fault at `place` brings about if it takes the leader away; or, where one of the two joins
    /// others, hit the same leader with it: first the one that takes it away, then, before it is
    /// replaced, the one that joins.
    fn follow(&mut self, place: usize, lanes: &mut [Lane], ties: &mut Random) {
        let (wanted, after) = (ties.chance(60), ties.below(50));
        let turn = usize::try_from(ties.below(lanes.len() as u64)).unwrap_or(0);
        let first = &self.placed[place];
        if first.draft.target != Target::Leader {
            return;
        }
        let name = first.fault.name();
        let count = lanes.len();
        let other = (turn..turn + count).find(|place| lanes[place % count].fault.name() != name);
        let Some(lane) = other.map(|place| &mut lanes[place % count]) else { return };
        let after = Duration::from_millis(after);
        let together = first.fault.joins() || lane.fault.joins();
        if !together && !wanted {
            return;
        }
        let trigger = if first.fault.joins() {
            let begin = first.start().checked_sub(TOGETHER + after);
            let Some(time) = begin.filter(|begin| self.is_calm(*begin, first.start())) else {
                return;
            };
            Trigger::At { time }
        } else if together {
            first.trigger.later(TOGETHER + after)
        } else {
            let armed = first.start();
            let latest = first.trigger.latest() + first.duration.min(PATIENCE);
            Trigger::OnLeaderChange { armed, after, latest }
        };
        let mut drafts = (0..DRAFTS).map(|_| self.draft(lane));
        let alone = |load: Load| load != Load::Outage && load.nodes() <= 1;
        let draft = drafts.find(|draft| draft.target == Target::Leader && alone(draft.load));
        if let Some(tied) = draft.and_then(|draft| self.fitted(lane.fault, draft, trigger)) {
            lane.next = lane.next.max(tied.end() + self.gap(lane));
            self.placed.push(tied);
        }
    }

    /// Whether nothing begins from one moment until just before another.
    fn is_calm(&self, from: Duration, until: Duration) -> bool {
        self.placed.iter().all(|placed| placed.start() < from || placed.start() >= until)
    }

    fn draft(&self, lane: &mut Lane) -> Draft {
        lane.fault.draw(&mut lane.random, self.settings.nodes, &self.settings.budget)
    }

    /// Between two faults of one class. One that joins others is mostly drawn with those, and so seldom alone.
    fn gap(&self, lane: &mut Lane) -> Duration {
        let gap = lane.random.between(Duration::from_millis(400), Duration::from_millis(1800));
        let others = self.settings.classes.iter().any(|class| class != lane.fault.name());
        if others && lane.fault.joins() { gap * 4 } else { gap }
    }

    /// When the lane is free; often a little later, at the edge of the heal of another fault.
    fn trigger(&self, lane: &mut Lane) -> Trigger {
        let edge = lane.random.between(EDGE / 8, EDGE);
        let tied = lane.random.chance(50);
        let heals = self.placed.iter().filter(|other| other.fault.name() != lane.fault.name());
        let heal = heals
            .map(|other| (other.trigger.latest() + other.duration).saturating_sub(edge))
            .filter(|&time| time >= lane.next && time < lane.next + PATIENCE)
            .min();
        Trigger::At { time: heal.filter(|_| tied).unwrap_or(lane.next) }
    }

    /// Places the fault where the budget has room for it, as early as possible from its trigger on.
    fn place(&mut self, lane: &mut Lane, draft: Draft, mut trigger: Trigger) {
        while trigger.latest() + SHORTEST <= self.last_heal {
            if let Some(placed) = self.fitted(lane.fault, draft.clone(), trigger) {
                lane.next = placed.end() + self.gap(lane);
                self.placed.push(placed);
                return;
            }
            trigger = Trigger::At { time: trigger.earliest() + NUDGE };
        }
        lane.next += NUDGE * 5;
    }

    /// The fault at that trigger, shortened to end in time, if the budget has room for it.
    fn fitted(&self, fault: &'static dyn Fault, draft: Draft, trigger: Trigger) -> Option<Placed> {
        let room = self.last_heal.saturating_sub(trigger.latest() + fault.heal_time());
        let duration = whole_milliseconds(draft.duration.min(room));
        let placed = Placed { fault, draft, trigger, duration };
        (duration >= SHORTEST && self.has_room(&placed)).then_some(placed)
    }

    /// Whether the budget is kept at every moment at which `new` could be in effect. The load only
    /// rises where a fault starts, so those moments are enough.
    fn has_room(&self, new: &Placed) -> bool {
        let beside: Vec<&Placed> = self
            .placed
            .iter()
            .filter(|other| other.start() < new.end() && new.start() < other.end())
            .collect();
        if beside.iter().any(|other| other.fault.name() == new.fault.name()) {
            return false;
        }
        let outage = |one: &Placed| one.draft.load == Load::Outage;
        if outage(new) || beside.iter().any(|other| outage(other)) {
            return beside.is_empty();
        }
        let starts = beside.iter().map(|other| other.start()).chain([new.start()]);
        starts.filter(|&at| at >= new.start() && at < new.counted_until()).all(|at| {
            let active =
                beside.iter().filter(|other| other.start() <= at && at < other.counted_until());
            let load: usize = active.map(|other| other.draft.load.nodes()).sum();
            load + new.draft.load.nodes() <= self.settings.budget.down
        })
    }

    fn finish(mut self) -> Schedule {
        self.placed.sort_by_key(|placed| (placed.start(), placed.fault.name()));
        let mut seeds = Random::new(self.settings.seed, ENTRY_STREAM);
        let entries = self.placed.into_iter().zip(1..).map(|(placed, id)| Entry {
            id,
            fault: placed.fault.name().to_owned(),
            trigger: placed.trigger,
            duration: placed.duration,
            target: placed.draft.target,
            shape: placed.draft.shape,
            heal: placed.draft.heal,
            how: placed.draft.how,
            seed: seeds.draw() >> 11,
        });
        Schedule { entries: entries.collect() }
    }
}

fn whole_milliseconds(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
