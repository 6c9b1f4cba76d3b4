//! An environment that only writes down what is asked of it, in virtual time.

use faults::disk::{Answer, Disks, Figures, Flipped, Lost, Order};
use faults::message::{MessageCounts, MessageRule, Messages};
use faults::{
    Administration, Applied, BoxFuture, Counters, Environment, EnvironmentError, Handover, Link,
    Member, Members, Network, Plan, ProcessState, Receipt, Sighting, SnapshotTaken,
};
use history::{Nanos, NodeId};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) log: Vec<String>,
    pub(crate) events: Vec<(String, Value)>,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) plan: Plan,
    pub(crate) down: BTreeSet<NodeId>,
    /// The most nodes that were down at once.
    pub(crate) most_down: usize,
    /// How often each call still fails; the key is the verb.
    pub(crate) failures: BTreeMap<&'static str, u32>,
    /// The verb that always fails for the first node it is asked of, and that node.
    stuck: Option<(&'static str, Option<NodeId>)>,
    /// What was done to messages under every rule.
    pub(crate) messages: MessageCounts,
    leader: Option<NodeId>,
    leader_changes: u64,
    /// Nodes that are no members.
    pub(crate) out: BTreeSet<NodeId>,
    lives: BTreeMap<NodeId, u32>,
    changes: u64,
    counters: BTreeMap<Link, Counters>,
    /// What each disk counted: one of everything that it was told, unless it is idle.
    figures: BTreeMap<NodeId, Figures>,
    pub(crate) idle_disks: bool,
    pids: BTreeMap<NodeId, u32>,
}

/// The fake. Each call on a process takes 10 ms.
pub(crate) struct Stage {
    nodes: Vec<NodeId>,
    start: Instant,
    pub(crate) seen: Mutex<Seen>,
}

impl Stage {
    pub(crate) fn new(count: u16) -> Self {
        let nodes: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let seen = Seen {
            pids: nodes.iter().map(|&node| (node, u32::from(node.0) * 100)).collect(),
            ..Seen::default()
        };
        Self { nodes, start: Instant::now(), seen: Mutex::new(seen) }
    }

    pub(crate) fn lead(&self, leader: u16) {
        self.log(format!("n{leader} leads"));
        let mut seen = self.seen.lock().unwrap();
        seen.leader = Some(NodeId(leader));
        seen.leader_changes += 1;
    }

    pub(crate) fn fail(&self, verb: &'static str, times: u32) {
        self.seen.lock().unwrap().failures.insert(verb, times);
    }

    pub(crate) fn fail_first_of(&self, verb: &'static str) {
        self.seen.lock().unwrap().stuck = Some((verb, None));
    }

    pub(crate) fn log_text(&self) -> String {
        self.seen.lock().unwrap().log.join("\n")
    }

    fn log(&self, line: String) {
        let time = self.start.elapsed().as_millis();
        self.seen.lock().unwrap().log.push(format!("{time:>5} {line}"));
    }

    fn refuses(&self, verb: &str) -> Result<(), EnvironmentError> {
        let mut seen = self.seen.lock().unwrap();
        match seen.failures.get_mut(verb) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(EnvironmentError(format!("{verb} fails here")))
            }
            _ => Ok(()),
        }
    }

    fn act(
        &self,
        verb: &'static str,
        node: NodeId,
        state: ProcessState,
    ) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        Box::pin(async move {
            sleep(Duration::from_millis(10)).await;
            self.log(format!("{verb} {node}"));
            self.refuses(verb)?;
            let mut seen = self.seen.lock().unwrap();
            let seen = &mut *seen;
            if let Some((stuck, first)) = &mut seen.stuck
                && *stuck == verb
                && *first.get_or_insert(node) == node
            {
                return Err(EnvironmentError(format!("{verb} of {node} fails here")));
            }
            let pid = seen.pids.get_mut(&node).unwrap();
            if verb == "restart" && seen.down.contains(&node) {
                *pid += 1;
            }
            if state == ProcessState::Running {
                seen.down.remove(&node);
            } else {
                assert!(seen.down.insert(node), "{verb} of {node}, which was down already");
                seen.most_down = seen.most_down.max(seen.down.len());
            }
            Ok(Sighting { node, pid: *pid, state })
        })
    }
}

impl Network for Stage {
    fn apply(&self, plan: Plan) -> BoxFuture<'_, Result<Applied, EnvironmentError>> {
        Box::pin(async move {
            let held: Vec<String> =
                plan.rules.keys().map(|link| format!("{}>{}", link.from.0, link.to.0)).collect();
            self.log(format!("hold [{}]", held.join(" ")));
            self.refuses("apply")?;
            let mut seen = self.seen.lock().unwrap();
            // Something tries every link that was held.
            let tried: Vec<Link> = seen.plan.rules.keys().copied().collect();
            for link in tried {
                seen.counters.entry(link).or_default().dialled += 1;
            }
            seen.plan = plan;
            Ok(Applied { epoch: 1, counters: seen.counters.clone(), ..Applied::default() })
        })
    }

    fn release(&self) {
        self.seen.lock().unwrap().plan = Plan::default();
    }
}

impl Stage {
    /// All nodes but those that are out, each in the life it has.
    fn members(&self) -> Members {
        let seen = self.seen.lock().unwrap();
        let member = |node: &NodeId| Member {
            node: *node,
            life: seen.lives.get(node).copied().unwrap_or(0),
        };
        let voters = self.nodes.iter().filter(|node| !seen.out.contains(node)).map(member);
        Members { index: seen.changes, voters: voters.collect(), learners: Vec::new() }
    }

    async fn administer(&self, verb: &str, node: NodeId) -> Result<(), EnvironmentError> {
        sleep(Duration::from_millis(20)).await;
        self.log(format!("{verb} {node}"));
        self.refuses(verb)?;
        let mut seen = self.seen.lock().unwrap();
        seen.changes += 1;
        match verb {
            "remove" => drop(seen.out.insert(node)),
            "admit" => drop(seen.out.remove(&node)),
            _ => {}
        }
        Ok(())
    }
}

impl Administration for Stage {
    fn may_leave(&self, _node: NodeId) -> Result<(), EnvironmentError> {
        self.refuses("leave")
    }

    fn remove(&self, node: NodeId) -> BoxFuture<'_, Result<Members, EnvironmentError>> {
        Box::pin(async move {
            self.administer("remove", node).await?;
            Ok(self.members())
        })
    }

    fn replace(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        Box::pin(async move {
            self.administer("replace", node).await?;
            let mut seen = self.seen.lock().unwrap();
            seen.down.remove(&node);
            *seen.lives.entry(node).or_default() += 1;
            let pid = seen.pids.get_mut(&node).unwrap();
            *pid += 1;
            Ok(Sighting { node, pid: *pid, state: ProcessState::Running })
        })
    }

    fn admit(&self, node: NodeId) -> BoxFuture<'_, Result<Members, EnvironmentError>> {
        Box::pin(async move {
            self.administer("admit", node).await?;
            Ok(self.members())
        })
    }

    fn transfer(&self, to: NodeId) -> BoxFuture<'_, Result<Handover, EnvironmentError>> {
        Box::pin(async move {
            self.administer("transfer", to).await?;
            let from = self.leader().ok_or_else(|| EnvironmentError("none leads".to_owned()))?;
            let from_term = self.leader_changes();
            self.lead(to.0);
            Ok(Handover { from, from_term, to, to_term: from_term + 1 })
        })
    }

    fn snapshot(&self, node: NodeId) -> BoxFuture<'_, Result<SnapshotTaken, EnvironmentError>> {
        Box::pin(async move {
            self.administer("snapshot", node).await?;
            Ok(SnapshotTaken { node, before: 0, after: 7 })
        })
    }
}

impl Messages for Stage {
    fn begin(&self, id: u64, links: BTreeSet<Link>, rule: MessageRule, seed: u64) {
        let drop = rule.drop_request;
        self.log(format!("rule {id} on {} links, seed {seed}, drops {drop}", links.len()));
    }

    fn end(&self, id: u64) -> BTreeMap<Link, MessageCounts> {
        self.log(format!("no rule {id}"));
        let counts = self.seen.lock().unwrap().messages;
        BTreeMap::from([(Link::new(NodeId(1), NodeId(2)), counts)])
    }

    fn release(&self) {
        self.log("no rules".to_owned());
    }
}

impl Environment for Stage {
    fn administration(&self) -> Option<&dyn Administration> {
        Some(self)
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.nodes.clone()
    }

    fn leader(&self) -> Option<NodeId> {
        self.seen.lock().unwrap().leader
    }

    fn leader_changes(&self) -> u64 {
        self.seen.lock().unwrap().leader_changes
    }

    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap())
    }

    fn network(&self) -> &dyn Network {
        self
    }

    fn messages(&self) -> Option<&dyn Messages> {
        Some(self)
    }

    fn kill(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        self.act("kill", node, ProcessState::Gone)
    }

    fn restart(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        self.act("restart", node, ProcessState::Running)
    }

    fn pause(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        self.act("pause", node, ProcessState::Stopped)
    }

    fn resume(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        self.act("resume", node, ProcessState::Running)
    }

    fn disks(&self) -> Option<&dyn Disks> {
        Some(self)
    }

    fn record(&self, fault: &str, value: Value) {
        let verb = format!("record {fault}");
        assert!(self.refuses(&verb).is_ok(), "{verb} fails here");
        self.log(format!("{} {fault} {}", value["phase"].as_str().unwrap(), value["id"]));
        self.seen.lock().unwrap().events.push((fault.to_owned(), value));
    }

    fn receipt(&self, receipt: &Receipt) {
        self.seen.lock().unwrap().receipts.push(receipt.clone());
    }

    fn release(&self, paused: &[NodeId]) {
        self.log(format!("release {paused:?}"));
        Network::release(self);
        let mut seen = self.seen.lock().unwrap();
        seen.down.retain(|node| !paused.contains(node));
    }
}

impl Disks for Stage {
    fn tell(&self, node: NodeId, order: Order) -> BoxFuture<'_, Result<Answer, EnvironmentError>> {
        Box::pin(async move {
            self.log(format!("tell {node} {order:?}"));
            self.refuses("tell")?;
            let mut seen = self.seen.lock().unwrap();
            let one = u64::from(!seen.idle_disks);
            let dead = seen.down.contains(&node);
            let figures = seen.figures.entry(node).or_default();
            let before = *figures;
            match order {
                Order::FailSync => figures.failed_syncs += one,
                Order::Fill => figures.refused += one,
                Order::Slow { .. } => figures.slow_syncs += one,
                Order::Hang => figures.held += one,
                Order::Lose { .. } => {
                    assert!(dead, "the disk of {node} lost something under a living process");
                    let lost = Some(Lost { bytes: 100 * one, ..Lost::default() });
                    let digest = Some(7);
                    return Ok(Answer { figures: before, lost, digest, read_back: digest });
                }
                Order::Look | Order::Heal | Order::Keep => {}
            }
            let figures = if order == Order::Heal { *figures } else { before };
            Ok(Answer { figures, ..Answer::default() })
        })
    }

    fn flip(
        &self,
        node: NodeId,
        _seed: u64,
    ) -> BoxFuture<'_, Result<Option<Flipped>, EnvironmentError>> {
        Box::pin(async move {
            self.log(format!("flip {node}"));
            let idle = self.seen.lock().unwrap().idle_disks;
            Ok((!idle).then(|| Flipped { file: "f".to_owned(), offset: 1, bit: 2 }))
        })
    }

    fn flip_back(&self, node: NodeId) -> BoxFuture<'_, Result<bool, EnvironmentError>> {
        Box::pin(async move {
            self.log(format!("flip back {node}"));
            assert!(self.seen.lock().unwrap().down.contains(&node), "{node} is not down");
            Ok(true)
        })
    }

    fn release(&self) {
        self.log("release disks".to_owned());
    }
}
