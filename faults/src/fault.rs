//! What a class of fault is: a name, an honest sentence, how to draw one, how to inject it and how
//! to heal it.

use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, Environment, EnvironmentError};
use crate::link::{Heal, Link};
use crate::nemesis::Wiring;
use crate::random::Random;
use crate::schedule::Entry;
use crate::shape::Shape;
use crate::target::Target;
use history::NodeId;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::watch;

/// What one injection does, as drawn from a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Who is hit.
    pub target: Target,
    /// How the network is divided.
    pub shape: Option<Shape>,
    /// How the network heals.
    pub heal: Option<Heal>,
    /// How long it lasts, if there is room for that.
    pub duration: Duration,
    /// What it asks of the system.
    pub load: Load,
    /// What else the fault must know, in words of its own; see [`Entry::how`].
    pub how: Value,
}

/// What a fault has to work with while it is injected and healed.
pub struct Context<'a> {
    /// What it may touch.
    pub environment: &'a dyn Environment,
    /// The links that all active faults hold together.
    pub wiring: &'a Wiring,
    /// The entry being played.
    pub entry: &'a Entry,
    /// The nodes its target stands for.
    pub nodes: &'a [NodeId],
    /// The links it holds.
    pub cut: &'a [Link],
    /// Turns true when it is to be healed at once.
    pub stopped: watch::Receiver<bool>,
}

impl Context<'_> {
    /// Lets time pass; false, and at once, when the fault is to be healed.
    pub async fn rest(&self, time: Duration) -> bool {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            biased;
            // An error means that the player is gone, and this with it.
            _ = stopped.wait_for(|&stopped| stopped) => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}

/// The words of an entry's `how`, as its class defines them.
///
/// # Errors
/// What is wrong with them, as a fragment.
pub(crate) fn words<T: DeserializeOwned>(entry: &Entry) -> Result<T, String> {
    T::deserialize(&entry.how).map_err(|error| format!("the `how` of a {}: {error}", entry.fault))
}

/// What a healed fault has to show for itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// Whether it bit.
    pub effective: bool,
    /// Why that is known, or why it did not bite.
    pub reason: String,
    /// What was seen.
    pub evidence: Value,
}

/// A class of fault. One file, and one line in [`crate::registry`].
pub trait Fault: Send + Sync {
    /// Its name in flags, files and reports.
    fn name(&self) -> &'static str;

    /// One sentence: what it does, and what it does not test.
    fn about(&self) -> &'static str;

    /// What the system must allow.
    fn power(&self) -> Power;

    /// Why it cannot bite on a cluster of this many nodes, if it cannot.
    fn cannot_bite(&self, nodes: usize) -> Option<String> {
        (nodes == 0).then(|| "there is no node".to_owned())
    }

    /// Why all of it is more than a system with this budget claims to survive, if it is.
    fn beyond(&self, _budget: &Budget) -> Option<String> {
        None
    }

    /// What it needs of the machine, in a few words; none if it needs nothing.
    fn needs(&self) -> Option<&'static str> {
        self.power().needs()
    }

    /// Whether this machine has that.
    ///
    /// # Errors
    /// What is missing, and what to do about it, as a fragment.
    fn machine(&self) -> Result<(), String> {
        self.power().machine()
    }

    /// Why `--faults all` leaves it out even where it is to be had, if it does.
    fn left_out_of_all(&self) -> Option<&'static str> {
        None
    }

    /// Whether it bites only if the nodes turn to new files every so often; their files are kept small for it then.
    fn wants_new_files(&self) -> bool {
        self.power() == Power::Disk
    }

    /// Draws one injection that asks for no more than `budget` of a system of `nodes` nodes.
    fn draw(&self, random: &mut Random, nodes: usize, budget: &Budget) -> Draft;

    /// What an entry asks of a system of `nodes` nodes, while it lasts.
    fn load(&self, entry: &Entry, nodes: usize, budget: &Budget) -> Load {
        let chosen = entry.target.size(nodes);
        Load::Nodes(entry.shape.map_or(chosen, |shape| shape.load(chosen, nodes, budget.down)))
    }

    /// Whether an entry that somebody may have written by hand can be played: the fault knows all the words in
    /// it, and it is within what the system claims to survive.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment.
    fn check(&self, entry: &Entry, _nodes: usize, _budget: &Budget) -> Result<(), String> {
        if entry.how.is_null() {
            return Ok(());
        }
        Err(format!("a {} takes no `how`", self.name()))
    }

    /// Whether an entry of it may say how the network is divided.
    fn has_shapes(&self) -> bool {
        false
    }

    /// Whether an entry of it may say what becomes of connections when it heals.
    fn has_heals(&self) -> bool {
        false
    }

    /// Whether two of the class may be in effect at once; a schedule that is drawn then lets them, and no node is
    /// chosen by both where they take it down.
    fn several_at_once(&self) -> bool {
        false
    }

    /// Whether a draft makes another node lead, so that what waits for a change of leader has one to wait for.
    fn unseats(&self, draft: &Draft) -> bool {
        draft.target == Target::Leader && draft.load.nodes() > 0
    }

    /// Whether another fault that takes its node from the others finds most in the very moments in which this
    /// one begins. Faults are then drawn to come together.
    fn joins(&self) -> bool {
        false
    }

    /// The shortest that is likely to bite; a schedule gives the first one of the class so much time also where its
    /// classes are many.
    fn shortest(&self) -> Duration {
        Duration::ZERO
    }

    /// How long healing it usually takes at most; a schedule leaves room for that.
    fn heal_time(&self) -> Duration;

    /// Whether its nodes answer nobody while it lasts, so that no other fault should choose them.
    fn takes_down(&self) -> bool;

    /// Whether it takes its nodes down by stopping their processes, which stay there and go on afterwards.
    fn only_stops(&self) -> bool {
        false
    }

    /// Whether it may choose a node that another fault has stopped: what it does to the process shows when that goes on.
    fn reaches_stopped(&self) -> bool {
        false
    }

    /// The links it holds, once its nodes are known.
    fn cut(&self, _entry: &Entry, _nodes: &[NodeId], _chosen: &[NodeId]) -> Vec<Link> {
        Vec::new()
    }

    /// Does it. What is returned is what was seen, for [`Fault::heal`].
    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>>;

    /// What it does while it lasts, once it is injected: nothing, usually. Ends after the entry's duration, and
    /// early when the context says so; it leaves what it saw in `seen` at once, because it may be cut short.
    fn go_on<'a>(
        &'a self,
        context: &'a Context<'a>,
        _seen: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), EnvironmentError>> {
        Box::pin(async move {
            context.rest(context.entry.duration).await;
            Ok(())
        })
    }

    /// Undoes it, also where the injection failed half-way (`seen` is then null). May be called
    /// again if it fails.
    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>>;
}
