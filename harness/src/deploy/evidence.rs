//! Kill, restart, pause and resume of real processes, each with its evidence: not that a signal was
//! sent, but what the process was seen to be afterwards.

use super::ledger::Intent;
use super::{DeployError, Deployment, Inner, KILL_LIMIT, READY_LIMIT, lock};
use crate::guardian::{GuardianError, NodeSignal, evidence};
use faults::disk::{Answer, Flipped, Order};
use faults::{ProcessState, Ration, Sighting, Use};
use history::NodeId;
use std::time::{Duration, Instant};

/// Between two looks whether a killed node's ports are silent.
const SILENCE_PAUSE: Duration = Duration::from_millis(5);
/// How long a process may take to be seen stopped, or running, after its signal.
const STATE_LIMIT: Duration = Duration::from_secs(2);

impl Deployment {
    /// Ends the node with SIGKILL; returns once it is reaped. It keeps its page cache, and so does
    /// not test that data was synced.
    ///
    /// # Errors
    /// When the node is not running, or is not gone in time.
    pub fn kill(&self, node: NodeId) -> Result<Sighting, DeployError> {
        self.inner.kill(node)
    }

    /// Starts a dead node on the data it left; returns once it serves. Leaves a running one alone.
    ///
    /// # Errors
    /// When it does not become ready in time, with the end of its log.
    pub fn restart(&self, node: NodeId) -> Result<Sighting, DeployError> {
        self.inner.restart(node)
    }

    /// Stops the node with SIGSTOP; returns once every thread of it is seen stopped.
    ///
    /// # Errors
    /// When the node is not running, or is not seen stopped in time.
    pub fn pause(&self, node: NodeId) -> Result<Sighting, DeployError> {
        self.inner.signal_seen(node, NodeSignal::Stop)
    }

    /// Continues the node with SIGCONT; returns once no thread of it is stopped.
    ///
    /// # Errors
    /// When the node is not running, or is still seen stopped after a while.
    pub fn resume(&self, node: NodeId) -> Result<Sighting, DeployError> {
        self.inner.signal_seen(node, NodeSignal::Continue)
    }

    /// Tells the disk of a node something. With one that is to fail a sync, its process may stop for that.
    ///
    /// # Errors
    /// When it has no disk of ours, or that does not do it in time.
    pub fn tell_disk(&self, node: NodeId, order: Order) -> Result<Answer, DeployError> {
        if order == Order::FailSync {
            lock(&self.inner.ledger).intend(node, Intent::Permit);
        }
        self.inner.disks.tell(node, order).map_err(DeployError::Disk)
    }

    /// Flips one bit in a file at rest of a dead node, which may then refuse to start.
    ///
    /// # Errors
    /// When the files cannot be read or written.
    pub fn flip(&self, node: NodeId, seed: u64) -> Result<Option<Flipped>, DeployError> {
        lock(&self.inner.ledger).damage(node, true);
        self.inner.disks.flip(node, seed).map_err(|e| DeployError::Disk(e.to_string()))
    }

    /// Turns back what was flipped there, in a dead node; says whether there was something.
    ///
    /// # Errors
    /// When the files cannot be read or written.
    pub fn flip_back(&self, node: NodeId) -> Result<bool, DeployError> {
        let turned = self.inner.disks.flip_back(node);
        let turned = turned.map_err(|error| DeployError::Disk(error.to_string()))?;
        lock(&self.inner.ledger).damage(node, false);
        Ok(turned)
    }

    /// Whether the nodes' data folders are on disks of ours.
    #[must_use]
    pub fn has_disks(&self) -> bool {
        self.inner.disks.are_mounted()
    }

    /// Heals every disk, whatever it was told.
    pub fn release_disks(&self) {
        self.inner.disks.release();
    }

    /// Lets the node run by turns only, or, without a ration, all the time again, and then returns once no thread
    /// of it is stopped.
    ///
    /// # Errors
    /// When the node is not running, or is still seen stopped after a while.
    pub fn ration(&self, node: NodeId, ration: Option<Ration>) -> Result<(), DeployError> {
        match ration {
            Some(_) => self.inner.guardian.ration(node, ration).map(drop).map_err(Into::into),
            // SIGCONT ends the turns too.
            None => self.inner.signal_seen(node, NodeSignal::Continue).map(drop),
        }
    }

    /// What the operating system says of the node's process.
    ///
    /// # Errors
    /// When it is not running.
    pub fn look(&self, node: NodeId) -> Result<Use, DeployError> {
        let pid = lock(&self.inner.ledger).pid(node);
        let look = |pid: i32| {
            let (stopped, cpu) = evidence::stopped_and_cpu(pid)?;
            let cpu_ms = u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX);
            Some(Use { pid: pid.unsigned_abs(), cpu_ms, stopped })
        };
        pid.and_then(look).ok_or(DeployError::NotRunning(node))
    }

    /// Sends SIGCONT to these nodes, whatever they are, gives all nodes the machine's clocks, and looks no further.
    pub fn release(&self, paused: &[NodeId]) {
        for node in paused {
            if self.inner.guardian.signal(*node, NodeSignal::Continue).is_ok() {
                lock(&self.inner.ledger).paused(*node, false);
            }
        }
        if let Some(clocks) = &self.inner.clocks {
            clocks.release();
        }
    }
}

impl Inner {
    fn kill(&self, node: NodeId) -> Result<Sighting, DeployError> {
        let pid =
            lock(&self.ledger).intend(node, Intent::Kill).ok_or(DeployError::NotRunning(node))?;
        if let Err(error) = self.guardian.signal(node, NodeSignal::Kill) {
            // A reply that is late says nothing of the signal: it may still arrive.
            if matches!(error, GuardianError::Refused(_)) {
                lock(&self.ledger).forget_intent(node, Intent::Kill);
            }
            return Err(error.into());
        }
        self.guardian.await_exit(pid, KILL_LIMIT)?;
        self.await_silence(node)?;
        Ok(sighting(node, pid, ProcessState::Gone))
    }

    /// Waits until nobody listens any more in the home of a node that was killed: a process that has left its group lives
    /// on, and then the node was not killed. A node that has no home has an address for each life, and need not be waited for.
    fn await_silence(&self, node: NodeId) -> Result<(), DeployError> {
        let Some(homes) = &self.homes else { return Ok(()) };
        let deadline = Instant::now() + KILL_LIMIT;
        while homes.is_alive(node) {
            if Instant::now() >= deadline {
                let seen = "something still takes calls where it listened, which must have left its process group";
                let (signal, wanted, seen) = ("SIGKILL", "gone", seen.to_owned());
                return Err(DeployError::NotSeen { node, signal, wanted, seen });
            }
            std::thread::sleep(SILENCE_PAUSE);
        }
        Ok(())
    }

    fn restart(&self, node: NodeId) -> Result<Sighting, DeployError> {
        let running = lock(&self.ledger).pid(node);
        let pid = match running {
            Some(pid) => pid,
            None => {
                self.await_silence(node)?;
                let pid = self.spawn(node)?;
                if let Err(error) = self.connect(node, pid, Instant::now() + READY_LIMIT) {
                    self.put_away(node, pid);
                    return Err(error);
                }
                pid
            }
        };
        let state = match evidence::thread_states(pid).as_slice() {
            [] => ProcessState::Gone,
            states if states.contains(&'T') => ProcessState::Stopped,
            _ => ProcessState::Running,
        };
        Ok(sighting(node, pid, state))
    }

    /// A node that hangs in its start is killed, so that the next restart is one; its not being
    /// ready is the error that is told.
    fn put_away(&self, node: NodeId, pid: i32) {
        let mut ledger = lock(&self.ledger);
        if ledger.pid(node) == Some(pid) {
            ledger.intend(node, Intent::PutAway);
            drop(ledger);
            let _ = self.guardian.signal(node, NodeSignal::Kill);
            let _ = self.guardian.await_exit(pid, KILL_LIMIT);
        }
    }

    fn signal_seen(&self, node: NodeId, signal: NodeSignal) -> Result<Sighting, DeployError> {
        let pause = signal == NodeSignal::Stop;
        let pid = self.guardian.signal(node, signal)?;
        lock(&self.ledger).paused(node, pause);
        let (name, wanted, state, seen) = if pause {
            let seen = evidence::await_stopped(pid, STATE_LIMIT);
            ("SIGSTOP", "stopped", ProcessState::Stopped, seen)
        } else {
            let seen = evidence::await_running(pid, STATE_LIMIT);
            ("SIGCONT", "running", ProcessState::Running, seen)
        };
        match seen {
            Ok(_) => Ok(sighting(node, pid, state)),
            Err(states) => Err(DeployError::NotSeen {
                node,
                signal: name,
                wanted,
                seen: match states.as_slice() {
                    [] => "it is gone".to_owned(),
                    states => format!("its threads are {states:?}"),
                },
            }),
        }
    }
}

fn sighting(node: NodeId, pid: i32, state: ProcessState) -> Sighting {
    // Process ids are positive.
    Sighting { node, pid: pid.unsigned_abs(), state }
}
