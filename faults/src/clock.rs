//! Clock: nodes whose clocks are set, or run too fast or too slow.
//!
//! Each node has clocks of its own while such a fault is planned: a small library (`shim/clock.c`) is put before
//! libc in the node's process and adds what a page of memory says ([`ClockPage`]) to the machine's time. The
//! machine's clock is never touched.
//!
//! * A *step* sets the wall clock, forwards or back, and the heal sets it right again, which is a step as well.
//!   A *strobe* goes to and fro between the two for as long as the fault lasts.
//! * A *rate* makes all clocks of the node run faster or slower. The steady ones are continuous over its begin and
//!   its end and never go back; they keep what they have gained. The wall clock is set right by the heal.
//!
//! A wait for some time that a node asks of the kernel is as long as the machine says, but for `epoll_wait` (see the
//! shim). That is an error of the rate only, no greater than the one asked for, and so within the drift too.
//!
//! It bit if the node was given a time under it: the library counts its answers, and how many of them differed from
//! the machine's time. Whether that mattered to the node it cannot know.
//!
//! Nothing is lost or late while it lasts, so it takes no node from the majority. But a lease that runs by such a
//! clock, or an order of events by it, is put to the test just when the others go on without the node: so it is
//! drawn to begin together with what takes the leader from them ([`Fault::joins`]). A node that is stopped then may be
//! hit too ([`Fault::reaches_stopped`]): it wakes up to another time, as a machine does that was suspended.

mod page;
mod program;

pub use page::{ClockPage, ClockReading, PAGE_VARIABLE, SHIM, Skew};
pub use program::preloadable;

use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, EnvironmentError};
use crate::fault::{Context, Draft, Fault, Proof, words};
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use history::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// The furthest step: a year.
const FURTHEST_STEP_MS: u64 = 366 * 86_400_000;
/// The fastest strobe.
const FASTEST_STROBE_MS: u64 = 20;

/// The nodes' own clocks.
pub trait Clocks: Send + Sync {
    /// Puts `skew` in the place of what was done to the node's clocks before.
    ///
    /// # Errors
    /// When the node has only the machine's clocks, or its page cannot be written.
    fn set(&self, node: NodeId, skew: Skew) -> Result<(), EnvironmentError>;

    /// What the node was told when it asked for the time, counted by the one that told it.
    ///
    /// # Errors
    /// When the node has only the machine's clocks, or its page cannot be read.
    fn reading(&self, node: NodeId) -> Result<ClockReading, EnvironmentError>;
}

/// The class `clock`.
#[derive(Clone, Copy, Debug)]
pub struct Clock;

/// What an entry says of the clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct How {
    /// How far the wall clock is set forwards, in milliseconds; negative: back.
    #[serde(default, skip_serializing_if = "is_zero")]
    step_ms: i64,
    /// How long it stays so before it is right again for as long, and so on; without it, it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    strobe_ms: Option<u64>,
    /// How much faster all clocks run, in millionths; negative: slower.
    #[serde(default, skip_serializing_if = "is_zero")]
    rate_ppm: i32,
}

fn is_zero<T: PartialEq + Default>(number: &T) -> bool {
    *number == T::default()
}

impl How {
    fn skew(self) -> Skew {
        Skew { step_ms: self.step_ms, rate_ppm: self.rate_ppm }
    }

    /// The drawn one, within the budget.
    fn draw(random: &mut Random, budget: &Budget) -> Self {
        let (steps, rates) = (u64::from(budget.wall_steps), u64::from(budget.drift_ppm > 0));
        // Set back, a clock makes things last that should be over; set forwards, it only ends them early.
        let back = random.chance(85);
        let (step_ms, strobe_ms) = (step(random), 50 + random.below(450));
        let full = random.chance(50);
        let some = random.below(u64::from(budget.drift_ppm)) + 1;
        let rate = if full { budget.drift_ppm } else { u32::try_from(some).unwrap_or(u32::MAX) };
        let sign = if back { -1 } else { 1 };
        let stays = Self { step_ms: sign * step_ms, ..Self::default() };
        let strobes = Self { strobe_ms: Some(strobe_ms), ..stays };
        let rate_ppm = i32::try_from(i64::from(rate) * sign).unwrap_or(0);
        let drifts = Self { rate_ppm, ..Self::default() };
        let choices = [(60 * steps, stays), (20 * steps, strobes), (20 * rates, drifts)];
        random.weighted(&choices).unwrap_or_default()
    }

    fn check(self, budget: &Budget) -> Result<(), String> {
        let most = budget.drift_ppm;
        if self.step_ms == 0 && self.rate_ppm == 0 {
            return Err("a clock needs a `step_ms` or a `rate_ppm` in its `how`".to_owned());
        }
        if self.step_ms != 0 && !budget.wall_steps {
            return Err("the system does not claim to survive a wall clock that is set".to_owned());
        }
        if self.step_ms.unsigned_abs() > FURTHEST_STEP_MS {
            return Err("a `step_ms` of more than a year".to_owned());
        }
        if self.rate_ppm.unsigned_abs() > most {
            let rate = self.rate_ppm;
            return Err(format!("a `rate_ppm` of {rate}; the system claims to survive {most}"));
        }
        match self.strobe_ms {
            Some(_) if self.step_ms == 0 => Err("a `strobe_ms` without a `step_ms`".to_owned()),
            Some(ms) if ms < FASTEST_STROBE_MS => {
                Err(format!("a `strobe_ms` of {ms}; at least {FASTEST_STROBE_MS}"))
            }
            _ => Ok(()),
        }
    }
}

/// How far: now and then so little that only a comparison of two nodes shows it, up to a minute.
fn step(random: &mut Random) -> i64 {
    let ranges = [(15, (5, 500)), (60, (500, 10_000)), (25, (10_000, 60_000))];
    let (low, high) = random.weighted(&ranges).unwrap_or((5, 500));
    i64::try_from(low + random.below(high - low + 1)).unwrap_or(0)
}

impl Fault for Clock {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn about(&self) -> &'static str {
        "sets the wall clock of nodes, once or to and fro, or makes their clocks run too fast or too slow within \
         the drift that the system claims to survive; the steady clocks never jump, and waits that the kernel times \
         keep the machine's pace, epoll's excepted"
    }

    fn power(&self) -> Power {
        Power::Clock
    }

    fn beyond(&self, budget: &Budget) -> Option<String> {
        let nothing = !budget.wall_steps && budget.drift_ppm == 0;
        nothing.then(|| "the system claims to survive no error of a clock".to_owned())
    }

    fn draw(&self, random: &mut Random, nodes: usize, budget: &Budget) -> Draft {
        let several = if nodes > 1 { 15 } else { 0 };
        let choices = [(60, Target::Leader), (25, Target::One), (several, Target::All)];
        let target = random.weighted(&choices).unwrap_or(Target::One);
        let duration = random.between(Duration::from_secs(1), Duration::from_millis(2500));
        let how = json!(How::draw(random, budget));
        Draft { target, shape: None, heal: None, duration, load: Load::Nodes(0), how }
    }

    fn load(&self, _entry: &Entry, _nodes: usize, _budget: &Budget) -> Load {
        Load::Nodes(0)
    }

    fn check(&self, entry: &Entry, _nodes: usize, budget: &Budget) -> Result<(), String> {
        words::<How>(entry)?.check(budget)
    }

    fn joins(&self) -> bool {
        true
    }

    fn heal_time(&self) -> Duration {
        Duration::from_millis(50)
    }

    fn takes_down(&self) -> bool {
        false
    }

    fn reaches_stopped(&self) -> bool {
        true
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move {
            if context.nodes.is_empty() {
                return Err(EnvironmentError("every node was down already".to_owned()));
            }
            let how: How = words(context.entry).map_err(EnvironmentError)?;
            let before = readings(context)?;
            set(context, how.skew())?;
            Ok(json!(before))
        })
    }

    fn go_on<'a>(
        &'a self,
        context: &'a Context<'a>,
        _seen: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), EnvironmentError>> {
        Box::pin(async move {
            let how: How = words(context.entry).map_err(EnvironmentError)?;
            let Some(strobe) = how.strobe_ms.map(Duration::from_millis) else {
                context.rest(context.entry.duration).await;
                return Ok(());
            };
            let mut left = context.entry.duration;
            let mut off = true;
            while context.rest(strobe.min(left)).await && left > strobe {
                left -= strobe;
                off = !off;
                let right = Skew { step_ms: 0, ..how.skew() };
                set(context, if off { how.skew() } else { right })?;
            }
            Ok(())
        })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            // First of all: what the readings say does not change what must be undone.
            set(context, Skew::default())?;
            let how = words(context.entry).map_err(EnvironmentError)?;
            Ok(prove(how, seen, &readings(context)?))
        })
    }
}

fn clocks<'a>(context: &Context<'a>) -> Result<&'a dyn Clocks, EnvironmentError> {
    let missing = || EnvironmentError("the nodes have no clocks of their own".to_owned());
    context.environment.clocks().ok_or_else(missing)
}

/// Sets the clocks of every node that is hit, also after one of them could not be set.
fn set(context: &Context<'_>, skew: Skew) -> Result<(), EnvironmentError> {
    let clocks = clocks(context)?;
    let each = context.nodes.iter().map(|&node| clocks.set(node, skew));
    each.fold(Ok(()), Result::and)
}

/// What one node was told so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Told {
    node: NodeId,
    reading: ClockReading,
}

fn readings(context: &Context<'_>) -> Result<Vec<Told>, EnvironmentError> {
    let clocks = clocks(context)?;
    let told = |&node: &NodeId| Ok(Told { node, reading: clocks.reading(node)? });
    context.nodes.iter().map(told).collect()
}

/// What one node was told while the fault lasted.
#[derive(Clone, Copy, Debug, Serialize)]
struct Difference {
    node: NodeId,
    wall_answers: u64,
    wall_off: u64,
    steady_answers: u64,
    steady_off: u64,
    steady_gained_us: i64,
}

impl Difference {
    fn between(before: &Told, after: &Told) -> Self {
        let (first, last) = (&before.reading, &after.reading);
        Self {
            node: before.node,
            wall_answers: last.wall_answers.saturating_sub(first.wall_answers),
            wall_off: last.wall_off.saturating_sub(first.wall_off),
            steady_answers: last.steady_answers.saturating_sub(first.steady_answers),
            steady_off: last.steady_off.saturating_sub(first.steady_off),
            steady_gained_us: (last.steady_ahead_ns - first.steady_ahead_ns) / 1000,
        }
    }
}

fn prove(how: How, seen: &Value, after: &[Told]) -> Proof {
    let before = Vec::<Told>::deserialize(seen).unwrap_or_default();
    let told: Vec<Difference> =
        before.iter().zip(after).map(|(first, last)| Difference::between(first, last)).collect();
    let wall: u64 = told.iter().map(|one| one.wall_off).sum();
    let drifted = told.iter().filter(|one| {
        one.steady_off > 0 && one.steady_gained_us.signum() == i64::from(how.rate_ppm.signum())
    });
    let drifted = drifted.count();
    let (effective, reason) = if told.is_empty() {
        (false, "it never took effect".to_owned())
    } else if how.step_ms != 0 && wall == 0 {
        (false, "no node asked for the time of day while its wall clock was off".to_owned())
    } else if how.rate_ppm != 0 && drifted == 0 {
        (false, "no node was seen to have a clock of another rate".to_owned())
    } else if how.rate_ppm != 0 {
        let rate = how.rate_ppm;
        (true, format!("the clocks of {drifted} nodes were seen to gain at {rate} millionths"))
    } else {
        let step = how.step_ms;
        (true, format!("{wall} times the time of day was told {step} ms off"))
    };
    Proof { effective, reason, evidence: json!({ "told": told }) }
}
