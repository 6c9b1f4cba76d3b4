//! Draws a schedule from a seed.
//!
//! Each class has a lane of its own with its own stream of draws: faults of some seconds with short
//! gaps. The lanes are merged under the fault budget: at no moment may the faults that can be in
//! effect (each counted from the earliest start to the latest end) keep more nodes from the majority
//! than the budget allows, because a correct system may then stand still and nothing is learned.
//!
//! The first round gives each class a place of its own in the first half of the work, long enough to bite; after that
//! faults overlap where the budget has room, also two of one class if that allows it. Often a fault
//! that unseats the leader is followed by a recipe ([`crate::recipes`]), which strikes right after the
//! change of leader, or a fault starts at the edge of another one's heal, when nodes that missed
//! something come back. That is where protocols break. For that, the last moments of a partition
//! (`EDGE`) do not count against the budget: no majority may be left for less than half a second,
//! which a correct system survives.
//!
//! The end of the work stays free, so that operations after the last heal are seen to succeed.

use crate::claims::Load;
use crate::fault::{Draft, Fault};
use crate::random::Random;
use crate::recipes::{After, RECIPES, Recipe, Step};
use crate::registry;
use crate::room::{Room, Span};
use crate::schedule::{Entry, Schedule, Trigger};
use crate::settings::{Intensity, ScheduleError, Settings};
use crate::shape::{Shape, splits};
use crate::target::Target;
use std::collections::BTreeMap;
use std::time::Duration;

/// Stream that orders the first round.
const ORDER_STREAM: u64 = 100;
/// Stream of an entry's own seed.
const ENTRY_STREAM: u64 = 101;
/// Stream that ties recipes to changes of leader.
const TIE_STREAM: u64 = 102;
/// Stream of the order in which the divisions into two are walked through.
const SPLIT_STREAM: u64 = 103;
/// First of the streams of the lanes, one for each class by its place in the registry.
const LANE_STREAM: u64 = 200;

/// The shortest fault that is worth injecting.
const SHORTEST: Duration = Duration::from_millis(100);
/// How far a fault is moved when there is no room for it.
const NUDGE: Duration = Duration::from_millis(200);
/// How far it is moved at most; where there is no room for so long, another one is drawn.
const FARTHEST: Duration = Duration::from_secs(30);
/// How often a fault that unseats the leader is followed by a recipe, in a hundred.
const RECIPES_PERCENT: u64 = 60;
/// For how long what joins a fault that stops the leader goes on after that, to be met by a leader that is awake.
const AWAKE: Duration = Duration::from_millis(600);
/// How often a class that may strike twice at once does, in a hundred.
const TWICE_PERCENT: u64 = 15;
/// How long a fault that is tied to a change of leader waits for it.
const PATIENCE: Duration = Duration::from_millis(2500);
/// After which a fault that hits the same leader together with another one begins: the first is in effect, and
/// nobody has been elected yet.
const TOGETHER: Duration = Duration::from_millis(50);
/// How often a fault that joins another one is drawn until it hits the leader alone.
const DRAFTS: usize = 6;
/// The last moments of a partition, in which another class may strike beyond the budget.
pub const EDGE: Duration = Duration::from_millis(400);
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
    intensity: Intensity,
    /// Whether it is mostly drawn together with faults of other classes, and so seldom alone.
    joins: bool,
    next: Duration,
}

impl Lane {
    /// Where the next fault of the class may be, after one that was placed.
    fn after(&mut self, placed: &Placed) -> Duration {
        let gap = whole_milliseconds(self.intensity.gap(&mut self.random));
        let gap = if self.joins { gap * 10 } else { gap };
        if self.fault.several_at_once() && self.random.chance(TWICE_PERCENT) {
            return placed.start() + gap.min(whole_milliseconds(placed.duration / 2));
        }
        placed.end() + gap
    }
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
            let intensity = settings.intensities.get(class).copied().unwrap_or_default();
            let joins = fault.joins() && settings.classes.iter().any(|other| other != class);
            lanes.push(Lane { fault, random, intensity, joins, next: Duration::ZERO });
        }
    }
    lanes.sort_by_key(|lane| registry::all().iter().position(|f| f.name() == lane.fault.name()));
    Ok(lanes)
}

/// A fault with its place in time.
#[derive(Clone)]
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

    /// When its heal begins, at the latest.
    fn heal(&self) -> Duration {
        self.trigger.latest() + self.duration
    }

    /// When its heal is over.
    fn end(&self) -> Duration {
        self.heal() + self.fault.heal_time()
    }

    /// What it takes of the budget. Only a partition heals in an instant.
    fn span(&self) -> Span {
        let edge =
            if self.draft.shape.is_some() { EDGE.min(self.duration / 2) } else { Duration::ZERO };
        let (fault, load, end) = (self.fault, self.draft.load, self.end());
        Span { fault, load, start: self.start(), counted: end - edge, end }
    }

    fn entry(&self, id: u64, seed: u64) -> Entry {
        let draft = &self.draft;
        Entry {
            id,
            fault: self.fault.name().to_owned(),
            trigger: self.trigger,
            duration: self.duration,
            target: draft.target,
            shape: draft.shape,
            heal: draft.heal,
            how: draft.how.clone(),
            seed,
        }
    }
}

struct Drawing<'a> {
    settings: &'a Settings,
    last_heal: Duration,
    placed: Vec<Placed>,
    room: Room,
    /// When heals begin, with the class; the number keeps those at one moment apart.
    heals: BTreeMap<(Duration, usize), &'static str>,
}

impl<'a> Drawing<'a> {
    fn new(settings: &'a Settings) -> Self {
        let work = settings.work;
        let tail = Duration::from_secs(1).max(work / 20).min(work / 4);
        let room = Room::new(settings.budget.down);
        Self { settings, last_heal: work - tail, placed: Vec::new(), room, heals: BTreeMap::new() }
    }

    fn put(&mut self, placed: Placed) {
        self.room.take(placed.span());
        self.heals.insert((placed.heal(), self.placed.len()), placed.fault.name());
        self.placed.push(placed);
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
            let least = lane.fault.shortest();
            let draft = self.first_draft(lane, least > slot);
            let time = lead + slot * turn as u32 + lane.random.between(Duration::ZERO, slot / 8);
            let trigger = Trigger::At { time: whole_milliseconds(time) };
            let longest = (slot * 7 / 8).saturating_sub(lane.fault.heal_time()).max(slot / 2);
            let duration = whole_milliseconds(draft.duration.min(longest.max(least)));
            let draft = Draft { duration, ..draft };
            let latest = self.last_heal.saturating_sub(SHORTEST);
            let mut from = trigger.earliest();
            let placed = loop {
                let trigger = Trigger::At { time: from };
                if let Some(placed) = self.fitted(lane.fault, draft.clone(), trigger) {
                    break placed;
                }
                from += NUDGE;
                if from > latest {
                    let (work, classes) = (self.settings.work, lanes.len());
                    return Err(ScheduleError::TooShort { work, classes });
                }
            };
            lane.next = lane.after(&placed);
            self.put(placed);
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

    /// Lets a fault of another class that joins such faults hit the same leader together with the one at `place`, if
    /// that unseats it: it begins when the other is in effect, and before anybody is elected. And perhaps lets a
    /// recipe follow: the first that the budget has room for, from any one on. Recipes are not followed by others, or
    /// there would be no end.
    fn follow(&mut self, place: usize, lanes: &mut [Lane], ties: &mut Random) {
        let (wanted, turn) = (ties.chance(RECIPES_PERCENT), ties.below(RECIPES.len() as u64));
        let first = &self.placed[place];
        let tied = matches!(first.trigger, Trigger::OnLeaderChange { .. });
        if !first.fault.unseats(&first.draft) {
            return;
        }
        let (trigger, name) = (first.trigger, first.fault.name());
        let (armed, window) = (first.start(), first.duration.max(SHORTEST * 5).min(PATIENCE));
        let joins = |lane: &&mut Lane| lane.fault.joins() && lane.fault.name() != name;
        let stopped = first.fault.only_stops().then_some(first.duration);
        let until = stopped.map_or(Duration::ZERO, |time| time + AWAKE);
        for lane in lanes.iter_mut().filter(joins) {
            self.join(lane, trigger, until);
        }
        if tied || !wanted {
            return;
        }
        let turn = usize::try_from(turn).unwrap_or(0);
        let possible = |recipe: &&Recipe| {
            recipe.is_possible(|class| lanes.iter().any(|lane| lane.fault.name() == class))
        };
        let turns = RECIPES.iter().cycle().skip(turn).take(RECIPES.len()).filter(possible);
        let recipes: Vec<&Recipe> = turns.collect();
        for recipe in recipes {
            if let Some(steps) = self.steps(recipe, armed, armed + window, ties) {
                for placed in steps {
                    let name = placed.fault.name();
                    if let Some(lane) = lanes.iter_mut().find(|lane| lane.fault.name() == name) {
                        lane.next = lane.next.max(lane.after(&placed));
                    }
                    self.put(placed);
                }
                return;
            }
        }
    }

    /// Places a fault of the class that hits the leader alone just after `trigger`, if one is drawn and there is room.
    /// It lasts until so long after the trigger at least.
    fn join(&mut self, lane: &mut Lane, trigger: Trigger, until: Duration) {
        let after = lane.random.between(Duration::ZERO, TOGETHER);
        let mut drafts = (0..DRAFTS).map(|_| self.draft(lane));
        let alone = |draft: &Draft| draft.target == Target::Leader && hits_one_at_most(draft.load);
        let draft = drafts.find(alone);
        let trigger = trigger.later(whole_milliseconds(TOGETHER + after));
        let draft = draft.map(|draft| Draft { duration: draft.duration.max(until), ..draft });
        if let Some(joined) = draft.and_then(|draft| self.fitted(lane.fault, draft, trigger)) {
            lane.next = lane.next.max(lane.after(&joined));
            self.put(joined);
        }
    }

    /// The faults of a recipe that waits for a change of leader from `armed` to `latest`, if there is room for all.
    fn steps(
        &mut self,
        recipe: &Recipe,
        armed: Duration,
        latest: Duration,
        ties: &mut Random,
    ) -> Option<Vec<Placed>> {
        let (mut steps, mut taken) = (Vec::new(), Vec::new());
        for step in recipe.steps {
            let placed =
                [Some(step.target), one_of(step.target)].into_iter().flatten().find_map(|target| {
                    let trigger = tied(step, (armed, latest), ties);
                    self.fitted_step(step, target, trigger, ties)
                });
            let Some(placed) = placed else { break };
            taken.push(self.room.take(placed.span()));
            steps.push(placed);
        }
        taken.into_iter().for_each(|place| self.room.give_back(place));
        (steps.len() == recipe.steps.len()).then_some(steps)
    }

    /// One fault of a recipe. What its class must know beside the recipe's own words, the class draws.
    fn fitted_step(
        &self,
        step: &Step,
        target: Target,
        trigger: Trigger,
        ties: &mut Random,
    ) -> Option<Placed> {
        let fault = registry::by_name(step.fault)?;
        let (nodes, budget) = (self.settings.nodes, &self.settings.budget);
        let drawn = fault.draw(ties, nodes, budget);
        let (least, most) = step.lasts;
        let duration = ties.between(Duration::from_millis(least), Duration::from_millis(most));
        let mut draft = Draft { target, shape: step.shape, duration, ..drawn };
        if step.shape.is_some_and(|shape| nodes < shape.least_nodes()) {
            return None;
        }
        let probe = Placed { fault, draft: draft.clone(), trigger, duration }.entry(1, 0);
        fault.check(&probe, nodes, budget).ok()?;
        draft.load = fault.load(&probe, nodes, budget);
        self.fitted(fault, draft, trigger)
    }

    /// The first of a class; where it must be longer than its slot, it leaves room for the others beside it, if one
    /// that does is drawn.
    fn first_draft(&self, lane: &mut Lane, beside_others: bool) -> Draft {
        let mut draft = self.draft(lane);
        for _ in 0..DRAFTS {
            if !beside_others || hits_one_at_most(draft.load) {
                break;
            }
            draft = self.draft(lane);
        }
        draft
    }

    fn draft(&self, lane: &mut Lane) -> Draft {
        lane.fault.draw(&mut lane.random, self.settings.nodes, &self.settings.budget)
    }

    /// When the lane is free; often a little later, at the edge of the heal of another fault.
    fn trigger(&self, lane: &mut Lane) -> Trigger {
        let edge = lane.random.between(EDGE / 8, EDGE);
        let tied = lane.random.chance(50);
        let (from, to) = (lane.next + edge, lane.next + edge + PATIENCE);
        let mut heals = self.heals.range((from, 0)..(to, 0));
        let other = heals.find(|(_, class)| **class != lane.fault.name());
        let heal = other.map(|((time, _), _)| *time - edge);
        Trigger::At { time: heal.filter(|_| tied).unwrap_or(lane.next) }
    }

    /// Places the fault where the budget has room for it, as early as possible from its trigger on.
    fn place(&mut self, lane: &mut Lane, draft: Draft, mut trigger: Trigger) {
        while trigger.latest() + SHORTEST <= self.last_heal
            && trigger.latest() <= lane.next + FARTHEST
        {
            if let Some(placed) = self.fitted(lane.fault, draft.clone(), trigger) {
                lane.next = lane.after(&placed);
                self.put(placed);
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
        (duration >= SHORTEST && self.room.has(&placed.span())).then_some(placed)
    }

    /// Gives each split its sides: the next of a walk through all that there are.
    fn name_sides(&mut self) {
        let split = |placed: &&mut Placed| placed.draft.shape == Some(Shape::Split);
        let mut random = Random::new(self.settings.seed, SPLIT_STREAM);
        let sides = splits(self.settings.nodes, self.placed.len(), &mut random);
        for (placed, side) in self.placed.iter_mut().filter(split).zip(sides.iter().cycle()) {
            placed.draft.how["side"] = serde_json::json!(side);
        }
    }

    fn finish(mut self) -> Schedule {
        self.placed.sort_by_key(|placed| (placed.start(), placed.fault.name()));
        self.name_sides();
        let mut seeds = Random::new(self.settings.seed, ENTRY_STREAM);
        let entries = self.placed.iter().zip(1..);
        let entries = entries.map(|(placed, id)| placed.entry(id, seeds.draw() >> 11));
        Schedule { entries: entries.collect() }
    }
}

/// When a step of a recipe strikes that waits for a change of leader from `armed` to `latest`.
fn tied(step: &Step, (armed, latest): (Duration, Duration), ties: &mut Random) -> Trigger {
    let After(soonest, last) = step.when;
    let after = ties.between(Duration::from_millis(soonest), Duration::from_millis(last));
    Trigger::OnLeaderChange { armed, after, latest: latest + after }
}

fn hits_one_at_most(load: Load) -> bool {
    load != Load::Outage && load.nodes() <= 1
}

/// The target of one node that stands for several.
fn one_of(target: Target) -> Option<Target> {
    match target {
        Target::Followers => Some(Target::Follower),
        Target::LeaderMinority => Some(Target::Leader),
        Target::Minority => Some(Target::One),
        _ => None,
    }
}

fn whole_milliseconds(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
