//! Crash: several deaths by SIGKILL that belong together, each with a restart on the data that the node left.
//!
//! * `together`: all nodes that are hit die at once and come back at the end. Where those are more than the system
//!   can spare nothing need go on meanwhile, but nothing that was acknowledged may be lost.
//! * `rolling`: one after the other, each back before the next one dies, as when a new version is rolled out.
//! * `loop`: killed again while it starts and recovers, so that a recovery meets what a broken-off one left.
//!
//! As with `kill`, the kernel keeps what a process had written: this tests recovery, and not whether it was synced.
//! A node counts as back when it serves, whether or not it knows a leader.

use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, Environment, EnvironmentError, ProcessState, Sighting};
use crate::fault::{Context, Draft, Fault, Proof, words};
use crate::nemesis::all;
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use history::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Stream of an entry's seed for the moments of a loop.
const LOOP_STREAM: u64 = 3;
/// The longest time from a restart to the next kill of a loop.
const LONGEST_LIFE: Duration = Duration::from_millis(15);
/// How long a kill is tried again while its process has not been started yet.
const START_LIMIT: Duration = Duration::from_secs(2);
/// Between two such tries.
const START_PAUSE: Duration = Duration::from_millis(2);
/// How often a loop may kill.
const MOST_TIMES: u32 = 20;

/// The class `crash`.
#[derive(Clone, Copy, Debug)]
pub struct Crash;

/// What an entry says of the crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct How {
    kind: Kind,
    /// How often a loop kills each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Together,
    Rolling,
    Loop,
}

impl How {
    fn check(self) -> Result<(), String> {
        match (self.kind, self.times) {
            (Kind::Loop, Some(times)) if (2..=MOST_TIMES).contains(&times) => Ok(()),
            (Kind::Loop, _) => {
                Err(format!("a loop needs `times`, 2 to {MOST_TIMES}, in its `how`"))
            }
            (_, Some(_)) => Err("only a loop has `times`".to_owned()),
            (_, None) => Ok(()),
        }
    }

    fn load(self, chosen: usize, budget: &Budget) -> Load {
        match self.kind {
            Kind::Together if chosen > budget.down => Load::Outage,
            Kind::Together | Kind::Loop => Load::Nodes(chosen),
            // One at a time, but the one before may not have caught up, and any node may be next.
            Kind::Rolling => Load::Nodes(budget.down.max(1)),
        }
    }
}

/// What became of the processes, in order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Deaths {
    killed: Vec<Sighting>,
    /// Those of them that died before they served again.
    in_recovery: usize,
    restarted: Vec<Sighting>,
}

impl Fault for Crash {
    fn name(&self) -> &'static str {
        "crash"
    }

    fn about(&self) -> &'static str {
        "kills nodes with SIGKILL all at once, or one after the other with each back before the next, or again and \
         again while they recover; the kernel keeps what they had written, so it does not test fsync"
    }

    fn power(&self) -> Power {
        Power::Kill
    }

    fn beyond(&self, budget: &Budget) -> Option<String> {
        let nothing = budget.crash == 0;
        nothing.then(|| "the system does not claim to survive a crash of a node".to_owned())
    }

    fn draw(&self, random: &mut Random, nodes: usize, budget: &Budget) -> Draft {
        let together = if budget.crash >= nodes { 30 } else { 0 };
        let kinds = [(together, Kind::Together), (25, Kind::Rolling), (45, Kind::Loop)];
        let kind = random.weighted(&kinds).unwrap_or(Kind::Loop);
        let leader = random.chance(60);
        let times = 2 + u32::try_from(random.below(4)).unwrap_or(0);
        let each = random.between(Duration::from_millis(300), Duration::from_secs(1));
        let (target, times, duration) = match kind {
            Kind::Together => (Target::All, None, each * 2),
            Kind::Rolling => (Target::All, None, each * u32::try_from(nodes).unwrap_or(1)),
            Kind::Loop if leader => (Target::Leader, Some(times), each * 3),
            Kind::Loop => (Target::One, Some(times), each * 3),
        };
        let how = How { kind, times };
        let load = how.load(target.size(nodes), budget);
        Draft { target, shape: None, heal: None, duration, load, how: json!(how) }
    }

    fn load(&self, entry: &Entry, nodes: usize, budget: &Budget) -> Load {
        let chosen = entry.target.size(nodes);
        words::<How>(entry).map_or(Load::Nodes(chosen), |how| how.load(chosen, budget))
    }

    fn check(&self, entry: &Entry, nodes: usize, budget: &Budget) -> Result<(), String> {
        let how: How = words(entry)?;
        how.check()?;
        let (chosen, most) = (entry.target.size(nodes), budget.crash);
        if how.kind == Kind::Together && chosen > most {
            return Err(format!(
                "{chosen} nodes crash at once; the system claims to survive {most}"
            ));
        }
        Ok(())
    }

    fn heal_time(&self) -> Duration {
        Duration::from_millis(1500)
    }

    fn takes_down(&self) -> bool {
        true
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move {
            let how: How = words(context.entry).map_err(EnvironmentError)?;
            let first = match (how.kind, context.nodes) {
                (_, []) => return Err(EnvironmentError("every node was down already".to_owned())),
                (Kind::Rolling, [first, ..]) => std::slice::from_ref(first),
                (_, nodes) => nodes,
            };
            let kills = first.iter().map(|&node| context.environment.kill(node));
            let killed = all(kills.collect()).await.into_iter().collect::<Result<_, _>>()?;
            Ok(json!(Deaths { killed, ..Deaths::default() }))
        })
    }

    fn go_on<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), EnvironmentError>> {
        Box::pin(async move {
            let how: How = words(context.entry).map_err(EnvironmentError)?;
            match how.kind {
                Kind::Together => {
                    context.rest(context.entry.duration).await;
                    Ok(())
                }
                Kind::Rolling => roll(context, seen).await,
                Kind::Loop => crash_again(context, how.times.unwrap_or_default(), seen).await,
            }
        })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move {
            let mut deaths = Deaths::deserialize(seen).unwrap_or_default();
            let restarts = context.nodes.iter().map(|&node| context.environment.restart(node));
            let mut failed = None;
            // One that does not come back must not keep the others from it.
            for restarted in all(restarts.collect()).await {
                match restarted {
                    Ok(sighting) => deaths.restarted.push(sighting),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            let how = words(context.entry).map_err(EnvironmentError)?;
            failed.map_or_else(|| Ok(prove(how, context.nodes, &deaths)), Err)
        })
    }
}

/// The first node is down. It comes back, then the next one dies, and so on.
async fn roll(context: &Context<'_>, seen: &mut Value) -> Result<(), EnvironmentError> {
    let mut deaths = Deaths::deserialize(&*seen).unwrap_or_default();
    let turns = u32::try_from(context.nodes.len()).unwrap_or(1);
    let half = context.entry.duration / turns / 2;
    for (turn, &node) in context.nodes.iter().enumerate() {
        if turn > 0 {
            deaths.killed.push(context.environment.kill(node).await?);
            *seen = json!(deaths);
        }
        if !context.rest(half).await {
            return Ok(());
        }
        deaths.restarted.push(context.environment.restart(node).await?);
        *seen = json!(deaths);
        if !context.rest(half).await {
            return Ok(());
        }
    }
    Ok(())
}

/// The nodes are down for the first time of `times`.
async fn crash_again(
    context: &Context<'_>,
    times: u32,
    seen: &mut Value,
) -> Result<(), EnvironmentError> {
    let mut deaths = Deaths::deserialize(&*seen).unwrap_or_default();
    let mut random = Random::new(context.entry.seed, LOOP_STREAM);
    let pause = context.entry.duration / times.max(1);
    for _ in 1..times {
        if !context.rest(pause).await {
            return Ok(());
        }
        let again = context.nodes.iter().map(|&node| {
            let life = random.between(Duration::ZERO, LONGEST_LIFE);
            let again: BoxFuture<'_, _> = Box::pin(short_life(context.environment, node, life));
            again
        });
        for died in all(again.collect()).await {
            let (sighting, served) = died?;
            deaths.killed.push(sighting);
            deaths.in_recovery += usize::from(!served);
        }
        *seen = json!(deaths);
    }
    context.rest(pause).await;
    Ok(())
}

/// Starts a node and kills it `life` later, and says whether it served by then. Neither is broken off by the other.
async fn short_life(
    environment: &dyn Environment,
    node: NodeId,
    life: Duration,
) -> Result<(Sighting, bool), EnvironmentError> {
    let kill = async {
        sleep(life).await;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match environment.kill(node).await {
                // It may not have been started yet.
                Err(_) if Instant::now() < deadline => sleep(START_PAUSE).await,
                killed => return killed,
            }
        }
    };
    let (restarted, killed) = tokio::join!(environment.restart(node), kill);
    let served = restarted.is_ok_and(|sighting| sighting.state == ProcessState::Running);
    Ok((killed?, served))
}

fn prove(how: How, nodes: &[NodeId], deaths: &Deaths) -> Proof {
    let Deaths { killed, in_recovery, restarted } = deaths;
    let lives = |node: NodeId| killed.iter().filter(move |dead| dead.node == node);
    let again = |node: NodeId| {
        let back = restarted.iter().rev().find(|back| back.node == node);
        let new = |back: &Sighting| lives(node).all(|dead| dead.pid != back.pid);
        back.is_some_and(|back| back.state == ProcessState::Running && new(back))
    };
    let wanted = usize::try_from(how.times.unwrap_or(1)).unwrap_or(1);
    let (effective, reason) = if killed.is_empty() {
        (false, "no node was killed".to_owned())
    } else if let Some(alive) = killed.iter().find(|node| node.state != ProcessState::Gone) {
        (false, format!("process {} of {} was still there", alive.pid, alive.node))
    } else if let Some(node) = nodes.iter().find(|node| lives(**node).count() < wanted) {
        let deaths = lives(*node).count();
        (false, format!("{node} was to die {wanted} times and did {deaths} times"))
    } else if let Some(node) = nodes.iter().find(|node| !again(**node)) {
        (false, format!("{node} was not seen running again as a new process"))
    } else if wanted > 1 && *in_recovery == 0 {
        (false, "no process was killed before it served again".to_owned())
    } else {
        let count = killed.len();
        (true, format!("{count} processes were gone, {in_recovery} of them before they served"))
    };
    Proof { effective, reason, evidence: json!(deaths) }
}
