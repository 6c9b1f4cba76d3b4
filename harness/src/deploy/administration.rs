//! Changes of a running cluster: whom to ask, how often, and when to believe that it is done.
//!
//! A call to a leader may end in many ways that say nothing, so no answer to one is believed. What counts is what
//! nodes say of themselves: a configuration that is committed can be undone only by a later one, and all changes are
//! made here, one after the other. Of several that nodes tell the latest counts, and never one that is older than
//! what was seen before.

use super::environment::{RealEnvironment, Witness};
use super::ledger::Intent;
use super::{DeployError, Deployment, Inner, KILL_LIMIT, lock};
use crate::guardian::NodeSignal;
use crate::system::{Administrator, AdministratorView, Change};
use faults::{
    Administration, BoxFuture, EnvironmentError, Handover, Member, Members, Sighting, SnapshotTaken,
};
use history::NodeId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How often a node can be replaced.
const LIVES: u32 = crate::system::LIVES;
/// How long a node may take to say what it is.
const VIEW_LIMIT: Duration = Duration::from_millis(300);
/// How long one call may take that changes something.
const CALL_LIMIT: Duration = Duration::from_secs(2);
/// How long a node may take to leave.
const REMOVE_LIMIT: Duration = Duration::from_secs(8);
/// How long a node may take to catch up and become a voter.
const ADMIT_LIMIT: Duration = Duration::from_secs(14);
/// How long a new leader may take to say that it leads.
const HANDOVER_LIMIT: Duration = Duration::from_secs(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(30);

impl Deployment {
    /// The member of the cluster that the node is in its present life.
    #[must_use]
    pub fn member(&self, node: NodeId) -> Member {
        Member { node, life: self.inner.life(node) }
    }

    /// Notes that the node is being taken out: the cluster may tell it so, and then it ends by itself.
    ///
    /// # Errors
    /// When it could not come back, and so must not be taken out.
    fn leaves(&self, node: NodeId) -> Result<(), DeployError> {
        self.inner.next_life(node)?;
        lock(&self.inner.ledger).intend(node, Intent::Remove);
        Ok(())
    }

    /// Notes that nobody was asked to take it out: nothing that it does is a removal's doing.
    fn stays(&self, node: NodeId) {
        lock(&self.inner.ledger).forget_intent(node, Intent::Remove);
    }

    /// Notes that the node is out.
    fn has_left(&self, node: NodeId) {
        lock(&self.inner.removed).insert(node);
    }

    /// Where `node` is dialled by nodes that were told nothing better: through a proxy too.
    fn joining_address(&self, node: NodeId) -> Option<SocketAddr> {
        let other = self.nodes().into_iter().find(|other| *other != node)?;
        self.inner.hub.peer_address(other, node)
    }

    /// Ends the process of a node that is out, removes its data, and starts it in its next life. If it is not out,
    /// or has been replaced, it is only started if it does not run.
    fn replace(&self, node: NodeId) -> Result<Sighting, DeployError> {
        if lock(&self.inner.removed).contains(&node) {
            self.inner.renew(node)?;
            lock(&self.inner.removed).remove(&node);
        }
        self.restart(node)
    }
}

impl Inner {
    /// The life that the node would come back in.
    fn next_life(&self, node: NodeId) -> Result<u32, DeployError> {
        life_after(node, self.life(node))
    }

    fn renew(&self, node: NodeId) -> Result<(), DeployError> {
        let life = self.next_life(node)?;
        let running = lock(&self.ledger).pid(node);
        if let Some(pid) = running {
            lock(&self.ledger).intend(node, Intent::Kill);
            self.guardian.signal(node, NodeSignal::Kill)?;
            self.guardian.await_exit(pid, KILL_LIMIT)?;
        }
        let wiped = self.disks.wipe(node);
        wiped.map_err(|e| DeployError::NotWiped { node, reason: e.to_string() })?;
        lock(&self.ledger).damage(node, false);
        lock(&self.lives).insert(node, life);
        Ok(())
    }
}

fn life_after(node: NodeId, life: u32) -> Result<u32, DeployError> {
    if life < LIVES { Ok(life + 1) } else { Err(DeployError::NoMoreLives { node, lives: LIVES }) }
}

/// What every node says that says anything.
type Views = Vec<(SocketAddr, AdministratorView)>;

/// Who leads the highest term anybody leads.
fn leader(views: &Views) -> Option<&(SocketAddr, AdministratorView)> {
    views.iter().filter(|(_, view)| view.leads).max_by_key(|(_, view)| view.term)
}

/// The latest configuration that nothing but a later change can undo. A node that has just joined knows of none.
fn settled(views: &Views) -> Option<Members> {
    let settled = views.iter().map(|(_, view)| view);
    let settled = settled.filter(|view| view.settled && !view.voters.is_empty());
    settled.max_by_key(|view| view.configured).map(|view| Members {
        index: view.configured,
        voters: view.voters.clone(),
        learners: view.learners.clone(),
    })
}

/// Whether this is no older than what was seen before. A node that began with a snapshot dates its configuration by
/// that, so the same one may come with an earlier entry from another node.
fn is_news(members: &Members, seen: &Members) -> bool {
    let same = members.voters == seen.voters && members.learners == seen.learners;
    members.index >= seen.index || same
}

fn failed(why: impl Into<String>) -> EnvironmentError {
    EnvironmentError(why.into())
}

impl<W: Witness> RealEnvironment<W> {
    fn administrator(&self) -> Result<&Arc<dyn Administrator>, EnvironmentError> {
        self.administrator.as_ref().ok_or_else(|| failed("this system cannot be administered"))
    }

    async fn views(&self) -> Result<Views, EnvironmentError> {
        let mut asked = JoinSet::new();
        for node in self.deployment.nodes() {
            let Some(address) = self.deployment.address(node) else { continue };
            let administrator = Arc::clone(self.administrator()?);
            asked.spawn(async move {
                let view = administrator.view(address, VIEW_LIMIT).await.ok()?;
                Some((address, view))
            });
        }
        let mut views = Views::new();
        while let Some(view) = asked.join_next().await {
            views.extend(view.ok().flatten());
        }
        Ok(views)
    }

    /// Asks whoever leads for the next step, until the settled configuration is what it should be.
    async fn drive(
        &self,
        limit: Duration,
        reached: impl Fn(&Members) -> bool + Send,
        next: impl Fn(&Members) -> Option<Change> + Send,
    ) -> Result<Members, EnvironmentError> {
        let administrator = self.administrator()?;
        let mut newest = self.changing.lock().await;
        let end = Instant::now() + limit;
        loop {
            let views = self.views().await?;
            let members = settled(&views).filter(|members| is_news(members, &newest));
            let why = match (members, leader(&views)) {
                (Some(members), _) if reached(&members) => {
                    newest.clone_from(&members);
                    return Ok(members);
                }
                (None, _) => "no node tells of a settled configuration".to_owned(),
                (_, None) => "no node leads".to_owned(),
                (Some(members), Some((address, _))) => match next(&members) {
                    None => "a change is under way".to_owned(),
                    Some(change) => {
                        let asked = administrator.change(*address, change, CALL_LIMIT).await;
                        asked.err().unwrap_or_else(|| "it is not seen yet".to_owned())
                    }
                },
            };
            if Instant::now() >= end {
                let seconds = limit.as_secs();
                return Err(failed(format!("the members did not change in {seconds} s: {why}")));
            }
            sleep(PAUSE).await;
        }
    }

    async fn hand_over(&self, to: NodeId) -> Result<Handover, EnvironmentError> {
        let administrator = self.administrator()?;
        let views = self.views().await?;
        let (address, view) = leader(&views).ok_or_else(|| failed("no node leads"))?;
        let (from, from_term) = (view.member.node, view.term);
        if from == to {
            return Err(failed(format!("{to} leads already")));
        }
        let asked = administrator.transfer(*address, self.deployment.member(to), CALL_LIMIT).await;
        let end = Instant::now() + HANDOVER_LIMIT;
        loop {
            let views = self.views().await?;
            if let Some((_, new)) = leader(&views).filter(|(_, new)| new.term > from_term) {
                let (to, to_term) = (new.member.node, new.term);
                return Ok(Handover { from, from_term, to, to_term });
            }
            if asked.is_err() || Instant::now() >= end {
                let why = asked.err().unwrap_or_else(|| "nobody else was seen to lead".to_owned());
                return Err(failed(format!("{from} did not hand over to {to}: {why}")));
            }
            sleep(PAUSE).await;
        }
    }
}

impl<W: Witness> Administration for RealEnvironment<W> {
    fn may_leave(&self, node: NodeId) -> Result<(), EnvironmentError> {
        let next = self.deployment.inner.next_life(node);
        next.map(drop).map_err(|error| failed(error.to_string()))
    }

    fn remove(&self, node: NodeId) -> BoxFuture<'_, Result<Members, EnvironmentError>> {
        Box::pin(async move {
            let member = self.deployment.member(node);
            self.deployment.leaves(node).map_err(|error| failed(error.to_string()))?;
            let is_in = move |members: &Members| {
                members.voters.contains(&member) || members.learners.contains(&member)
            };
            let asked = AtomicBool::new(false);
            let next = |members: &Members| {
                let is_in = is_in(members);
                asked.fetch_or(is_in, Ordering::Relaxed);
                is_in.then_some(Change::Remove(member))
            };
            let left = self.drive(REMOVE_LIMIT, move |members| !is_in(members), next).await;
            match left {
                Ok(_) => self.deployment.has_left(node),
                // One that was asked for may still come about.
                Err(_) if asked.load(Ordering::Relaxed) => {}
                Err(_) => self.deployment.stays(node),
            }
            left
        })
    }

    fn replace(&self, node: NodeId) -> BoxFuture<'_, Result<Sighting, EnvironmentError>> {
        self.act(move |deployment| deployment.replace(node))
    }

    fn admit(&self, node: NodeId) -> BoxFuture<'_, Result<Members, EnvironmentError>> {
        Box::pin(async move {
            let member = self.deployment.member(node);
            let address = self.deployment.joining_address(node);
            let address = address.ok_or_else(|| failed(format!("{node} has no peers to join")))?;
            let next = move |members: &Members| {
                Some(if members.learners.contains(&member) {
                    Change::Promote(member)
                } else {
                    Change::Add { member, address }
                })
            };
            self.drive(ADMIT_LIMIT, move |members| members.voters.contains(&member), next).await
        })
    }

    fn transfer(&self, to: NodeId) -> BoxFuture<'_, Result<Handover, EnvironmentError>> {
        Box::pin(self.hand_over(to))
    }

    fn snapshot(&self, node: NodeId) -> BoxFuture<'_, Result<SnapshotTaken, EnvironmentError>> {
        Box::pin(async move {
            let administrator = self.administrator()?;
            let address = self.deployment.address(node);
            let address = address.ok_or_else(|| failed(format!("{node} is not running")))?;
            let before = administrator.view(address, VIEW_LIMIT).await.map_err(failed)?.snapshot;
            administrator.snapshot(address, CALL_LIMIT).await.map_err(failed)?;
            // The call is answered once the file is whole; that the node counts on it shows in its status.
            let mut after = before;
            for _ in 0..10 {
                after = administrator.view(address, VIEW_LIMIT).await.map_err(failed)?.snapshot;
                if after > before {
                    break;
                }
                sleep(PAUSE).await;
            }
            Ok(SnapshotTaken { node, before, after })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Views, is_news, leader, settled};
    use crate::system::AdministratorView;
    use faults::{Member, Members};
    use history::NodeId;

    fn views(told: &[(u64, bool, u64, bool)]) -> Views {
        let address = ([127, 0, 0, 1], 1).into();
        let view = |(number, &(term, leads, configured, settled))| AdministratorView {
            member: Member { node: NodeId(number), life: 0 },
            leads,
            term,
            leader: None,
            voters: vec![Member { node: NodeId(number), life: 0 }],
            learners: Vec::new(),
            configured,
            settled,
            snapshot: 0,
        };
        (1..).zip(told).map(view).map(|view| (address, view)).collect()
    }

    #[test]
    fn the_latest_settled_configuration_and_the_highest_leader_count() {
        let told = views(&[(3, true, 5, true), (4, true, 7, false), (4, false, 6, true)]);
        assert_eq!(leader(&told).unwrap().1.member.node, NodeId(2));
        let settled = settled(&told).unwrap();
        assert_eq!((settled.index, settled.voters[0].node), (6, NodeId(3)));
        assert!(super::settled(&views(&[(1, true, 5, false)])).is_none());
        let mut joined = views(&[(0, false, 0, true)]);
        joined[0].1.voters.clear();
        assert!(super::settled(&joined).is_none(), "it has heard of no cluster yet");
    }

    #[test]
    fn after_the_last_life_there_is_none() {
        assert_eq!(super::life_after(NodeId(1), 8).unwrap(), 9);
        let none = super::life_after(NodeId(1), 9).unwrap_err();
        assert!(none.to_string().starts_with("n1 was replaced 9 times"), "{none}");
    }

    #[test]
    fn an_older_configuration_is_no_news_but_the_same_one_is() {
        let of = |index: u64, node: u16| {
            let voters = vec![Member { node: NodeId(node), life: 0 }];
            Members { index, voters, learners: Vec::new() }
        };
        assert!(is_news(&of(7, 1), &of(6, 2)) && is_news(&of(5, 1), &of(6, 1)));
        assert!(!is_news(&of(5, 1), &of(6, 2)));
    }
}
