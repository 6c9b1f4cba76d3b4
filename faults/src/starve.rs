//! Starve: nodes that get the processor for only a part of every tenth of a second.
//!
//! Such a node is late with everything and dead to nobody: it answers heartbeats now and then, and its timeouts run
//! out while it does not look. The one who owns its process stops it with SIGSTOP and continues it with SIGCONT
//! by turns. That needs no privilege and leaves nothing behind, and all threads of the node stand still at the same
//! moments, as they would for a machine whose hypervisor takes its share away. It is not what a scheduler does to
//! a process that competes for processors: those interleave more finely.
//!
//! It bit if the operating system showed the process as stopped about as often as it should be. How much processor
//! time it took is told beside that: a node with little to do takes little, starved or not.

use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, EnvironmentError};
use crate::fault::{Context, Draft, Fault, Proof, words};
use crate::nemesis::all;
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use history::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks at a process; shares no factor with the period, so that looks fall anywhere in it.
const LOOK_EVERY: Duration = Duration::from_millis(13);
/// Fewer looks than this show nothing.
const LEAST_LOOKS: u64 = 5;
/// A period is so many milliseconds long: a process runs, then it is stopped.
const PERIOD_MS: u64 = 100;

/// For how long a process runs and is then stopped, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ration {
    /// It runs for so many milliseconds, at least one.
    pub run_ms: u64,
    /// It is stopped for so many milliseconds, at least one.
    pub stop_ms: u64,
}

/// What the operating system says of a process at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// The process.
    pub pid: u32,
    /// The processor time that it has taken so far, in milliseconds.
    pub cpu_ms: u64,
    /// Whether it is stopped.
    pub stopped: bool,
}

/// The nodes' shares of the processors.
pub trait Processors: Send + Sync {
    /// Lets the node's process run by turns only, or, without a ration, all the time again; then it returns once
    /// the process is seen not to be stopped.
    fn ration(
        &self,
        node: NodeId,
        ration: Option<Ration>,
    ) -> BoxFuture<'_, Result<(), EnvironmentError>>;

    /// Looks at the node's process.
    fn look(&self, node: NodeId) -> BoxFuture<'_, Result<Use, EnvironmentError>>;
}

/// The class `starve`.
#[derive(Clone, Copy, Debug)]
pub struct Starve;

/// What an entry says of the share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct How {
    /// How much of the time each node runs, 1 to 99.
    run_percent: u64,
}

impl How {
    fn of(entry: &Entry) -> Result<Self, String> {
        let how: Self = words(entry)?;
        let percent = how.run_percent;
        let sensible = (1..=99).contains(&percent);
        sensible
            .then_some(how)
            .ok_or_else(|| format!("a `run_percent` of {percent}, not of 1 to 99"))
    }

    fn ration(self) -> Ration {
        let run_ms = PERIOD_MS * self.run_percent / 100;
        Ration { run_ms, stop_ms: PERIOD_MS - run_ms }
    }
}

/// What was seen of one node while it lasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Watched {
    node: NodeId,
    pid: u32,
    looks: u64,
    stopped: u64,
    first_cpu_ms: u64,
    last_cpu_ms: u64,
    elapsed_ms: u64,
}

impl Fault for Starve {
    fn name(&self) -> &'static str {
        "starve"
    }

    fn about(&self) -> &'static str {
        "lets nodes run for only a part of every 100 ms by stopping and continuing them in turns: all threads of a \
         node at once, which is coarser than competing for a processor"
    }

    fn power(&self) -> Power {
        Power::Pause
    }

    fn draw(&self, random: &mut Random, nodes: usize, budget: &Budget) -> Draft {
        let several = if budget.down > 1 && nodes > 2 { 15 } else { 0 };
        let choices = [(50, Target::Leader), (35, Target::One), (several, Target::LeaderMinority)];
        let target = random.weighted(&choices).unwrap_or(Target::One);
        let duration = random.between(Duration::from_secs(1), Duration::from_secs(4));
        let how = json!(How { run_percent: 3 + random.below(38) });
        let load = Load::Nodes(target.size(nodes));
        Draft { target, shape: None, heal: None, duration, load, how }
    }

    fn check(&self, entry: &Entry, _nodes: usize, _budget: &Budget) -> Result<(), String> {
        How::of(entry).map(drop)
    }

    fn heal_time(&self) -> Duration {
        Duration::from_millis(200)
    }

    /// Another fault that stopped the node as well would be undone by the turns of this one.
    fn takes_down(&self) -> bool {
        true
    }

    fn only_stops(&self) -> bool {
        true
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move {
            let ration = How::of(context.entry).map_err(EnvironmentError)?.ration();
            if context.nodes.is_empty() {
                return Err(EnvironmentError("every node was down already".to_owned()));
            }
            let processors = processors(context)?;
            let mut watched = Vec::new();
            for &node in context.nodes {
                let Use { pid, cpu_ms, .. } = processors.look(node).await?;
                processors.ration(node, Some(ration)).await?;
                watched.push(Watched {
                    node,
                    pid,
                    looks: 0,
                    stopped: 0,
                    first_cpu_ms: cpu_ms,
                    last_cpu_ms: cpu_ms,
                    elapsed_ms: 0,
                });
            }
            Ok(json!(watched))
        })
    }

    fn go_on<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), EnvironmentError>> {
        Box::pin(async move {
            let processors = processors(context)?;
            let mut watched = Vec::<Watched>::deserialize(&*seen).unwrap_or_default();
            let start = Instant::now();
            while start.elapsed() < context.entry.duration && context.rest(LOOK_EVERY).await {
                for one in &mut watched {
                    let Use { pid, cpu_ms, stopped } = processors.look(one.node).await?;
                    if pid != one.pid {
                        let node = one.node;
                        return Err(EnvironmentError(format!("{node} is another process now")));
                    }
                    one.looks += 1;
                    one.stopped += u64::from(stopped);
                    one.last_cpu_ms = cpu_ms;
                    one.elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                }
                *seen = json!(watched);
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
            let processors = processors(context)?;
            let whole = context.nodes.iter().map(|&node| processors.ration(node, None));
            // All are tried, whatever becomes of one.
            let healed: Vec<Result<(), EnvironmentError>> = all(whole.collect()).await;
            healed.into_iter().collect::<Result<(), _>>()?;
            let how = How::of(context.entry).map_err(EnvironmentError)?;
            Ok(prove(how, seen))
        })
    }
}

fn processors<'a>(context: &Context<'a>) -> Result<&'a dyn Processors, EnvironmentError> {
    let missing = || EnvironmentError("the nodes' processes cannot be starved".to_owned());
    context.environment.processors().ok_or_else(missing)
}

fn prove(how: How, seen: &Value) -> Proof {
    let watched = Vec::<Watched>::deserialize(seen).unwrap_or_default();
    let wanted = 100 - how.run_percent;
    let share = |one: &Watched| 100 * one.stopped / one.looks.max(1);
    let (effective, reason) = if watched.is_empty() {
        (false, "no node was starved".to_owned())
    } else if let Some(one) = watched.iter().find(|one| one.looks < LEAST_LOOKS) {
        (false, format!("{} was looked at only {} times", one.node, one.looks))
    } else if let Some(one) = watched.iter().find(|one| share(one) < wanted / 2) {
        let seen = share(one);
        (false, format!("{} was seen stopped {seen} % of the time, not {wanted} %", one.node))
    } else {
        let least = watched.iter().map(share).min().unwrap_or_default();
        (
            true,
            format!(
                "each was seen stopped at least {least} % of the time, {wanted} % were asked for"
            ),
        )
    };
    Proof { effective, reason, evidence: json!({ "watched": watched }) }
}
