//! What every connection of the hub looks at: the plan in effect and what became of the plans before it.
//!
//! [`Board`] lives on the hub's thread. Its plan changes between two steps of a connection and never
//! during one, and its epoch tells a connection that it must look again. A flap is a change of plan that the
//! board makes by itself, when its time has come.

use super::port::{Caller, Port};
use super::shared::Shared;
use super::tally::{add, count};
use crate::environment::Applied;
use crate::link::{Heal, Link, Plan, Rule};
use crate::pace::Accept;
use history::NodeId;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;
use tokio::time::Instant;

/// One direction of one connection: decides which rule holds for it and where it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Between two nodes.
    Peer(Link),
    /// Between a client and a node.
    Client { node: NodeId, connection: u64, inward: bool },
}

impl Way {
    /// Tells links apart in draws; all clients of a node are one.
    pub(super) fn lane(self) -> u32 {
        let pair = |from: u16, to: u16| u32::from(from) << 16 | u32::from(to);
        match self {
            Self::Peer(link) => pair(link.from.0, link.to.0),
            Self::Client { node, inward: true, .. } => pair(u16::MAX, node.0),
            Self::Client { node, inward: false, .. } => pair(node.0, u16::MAX),
        }
    }
}

/// How often heals have reset something: all of its connections, or those that were drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cuts {
    pub(super) all: u64,
    pub(super) some: u64,
    /// Of the last heal that reset some.
    pub(super) seed: u64,
}

/// What a plan says about a way, and what heals have done to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) rule: Rule,
    pub(super) cuts: Cuts,
    /// Since when the rule's draws are made; none before the first plan that has any.
    pub(super) since: Option<Instant>,
}

/// What a rule of a plan is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Link(Link),
    Clients(NodeId, bool),
    Connection(u64, bool),
}

/// The plan in effect. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub(super) struct Board(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    ports: Vec<Rc<Port>>,
    /// Counts changes of the plan in effect, flaps included.
    epoch: Cell<u64>,
    /// Counts the plans that were put into effect.
    plans: Cell<u64>,
    base: RefCell<Plan>,
    top: RefCell<Plan>,
    /// Both together, with each flap as it is now.
    plan: RefCell<Plan>,
    next_flap: Cell<Option<Instant>>,
    /// Links that a flap holds now, with what had been passed on when it began to.
    flapped: RefCell<BTreeMap<Link, u64>>,
    cuts: RefCell<BTreeMap<Subject, Cuts>>,
    /// Since when the draws of a seed are made.
    since: RefCell<BTreeMap<u64, Instant>>,
    /// When the last byte of each lane with a limited rate will have left.
    busy_until: RefCell<BTreeMap<u32, Rc<Cell<Instant>>>>,
    wakers: RefCell<BTreeMap<u64, Waker>>,
}

impl Board {
    pub(super) fn new(shared: Arc<Shared>, ports: Vec<Rc<Port>>) -> Self {
        Self(Rc::new(Inner {
            shared,
            ports,
            epoch: Cell::new(0),
            plans: Cell::new(0),
            base: RefCell::default(),
            top: RefCell::default(),
            plan: RefCell::default(),
            next_flap: Cell::default(),
            flapped: RefCell::default(),
            cuts: RefCell::default(),
            since: RefCell::default(),
            busy_until: RefCell::default(),
            wakers: RefCell::default(),
        }))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// How often the plan in effect has changed.
    pub(super) fn epoch(&self) -> u64 {
        self.0.epoch.get()
    }

    /// Has a connection woken at every change, until [`Board::forget`].
    pub(super) fn wake(&self, connection: u64, waker: &Waker) {
        self.0.wakers.borrow_mut().insert(connection, waker.clone());
    }

    pub(super) fn forget(&self, connection: u64) {
        self.0.wakers.borrow_mut().remove(&connection);
    }

    pub(super) fn apply(&self, plan: Plan) -> io::Result<Applied> {
        self.0.top.replace(plan);
        self.swap()
    }

    pub(super) fn set_base(&self, plan: Plan) -> io::Result<Applied> {
        self.0.base.replace(plan);
        self.swap()
    }

    fn swap(&self) -> io::Result<Applied> {
        self.0.plans.set(self.0.plans.get() + 1);
        let applied = self.change();
        let changed = self.set_ports();
        changed.map(|()| applied)
    }

    /// When the next flap is due.
    pub(super) fn next_flap(&self) -> Option<Instant> {
        self.0.next_flap.get()
    }

    /// Lets the flaps that are due happen.
    pub(super) fn flap(&self) {
        self.change();
        // A port that does not follow now is tried again with the next plan, which reports it.
        let _ = self.set_ports();
    }

    /// The moment at which a plan takes effect.
    fn change(&self) -> Applied {
        let inner = &self.0;
        let now = Instant::now();
        let mut new = inner.top.borrow().clone().and(&inner.base.borrow());
        self.follow_seeds(&new, now);
        self.let_flap(&mut new, now);
        for port in &inner.ports {
            port.settle(&inner.shared);
        }
        let applied = Applied {
            epoch: inner.plans.get(),
            counters: inner.shared.link_counters(),
            clients: inner.shared.all_client_counters(),
        };
        let old = inner.plan.replace(new);
        self.note_cuts(&old);
        inner.epoch.set(inner.epoch.get() + 1);
        for waker in inner.wakers.borrow().values() {
            waker.wake_by_ref();
        }
        applied
    }

    /// Remembers since when each seed of the plan draws.
    fn follow_seeds(&self, plan: &Plan, now: Instant) {
        let old = self.0.since.take();
        let draws = |rule: &Rule| rule.is_slow() || rule.flap.is_some();
        let seeds = subjects(plan).filter(|(_, rule)| draws(rule)).map(|(_, rule)| rule.pace.seed);
        let since = seeds.map(|seed| (seed, old.get(&seed).copied().unwrap_or(now))).collect();
        self.0.since.replace(since);
        if subjects(plan).all(|(_, rule)| rule.pace.bytes_per_second == 0) {
            self.0.busy_until.borrow_mut().clear();
        }
    }

    /// Takes the hold from each rule whose flap lets go now, and finds when that changes next.
    fn let_flap(&self, plan: &mut Plan, now: Instant) {
        let since = self.0.since.borrow();
        let mut flapped = self.0.flapped.borrow_mut();
        let mut next: Option<Instant> = None;
        for (&link, rule) in &mut plan.rules {
            let flap = rule.flap.filter(|_| rule.holds());
            let start = since.get(&rule.pace.seed).copied().unwrap_or(now);
            let phase = flap.map(|flap| flap.at(now - start));
            next = next.into_iter().chain(phase.map(|(_, until)| start + until)).min();
            if phase.is_some_and(|(holds, _)| !holds) {
                rule.mode = crate::link::Mode::Deliver;
            }
            let Some(tally) = self.0.shared.link_tally(link) else { continue };
            let passed = tally.forwarded.load(Relaxed);
            match phase {
                Some((true, _)) if !flapped.contains_key(&link) => {
                    count(&tally.flaps);
                    flapped.insert(link, passed);
                }
                Some((true, _)) => {}
                _ => {
                    if let Some(before) = flapped.remove(&link) {
                        add(&tally.leaked, usize::try_from(passed - before).unwrap_or(usize::MAX));
                    }
                }
            }
        }
        // Of the links that the plan does not name any more, what passed them while they flapped counts too.
        flapped.retain(|&link, before| {
            let tally = self.0.shared.link_tally(link).filter(|_| !plan.rules.contains_key(&link));
            let Some(tally) = tally else { return true };
            let passed = tally.forwarded.load(Relaxed) - *before;
            add(&tally.leaked, usize::try_from(passed).unwrap_or(usize::MAX));
            false
        });
        self.0.next_flap.set(next);
    }

    /// Counts the subjects that were held and are now released by reset.
    fn note_cuts(&self, old: &Plan) {
        let new = self.0.plan.borrow();
        let mut cuts = self.0.cuts.borrow_mut();
        for (subject, rule) in subjects(old) {
            if !rule.holds() || rule_of(&new, subject).holds() {
                continue;
            }
            match rule.heal {
                Heal::Deliver => {}
                Heal::Cut => cuts.entry(subject).or_default().all += 1,
                Heal::Mixed => {
                    let cuts = cuts.entry(subject).or_default();
                    (cuts.some, cuts.seed) = (cuts.some + 1, rule.pace.seed);
                }
            }
        }
    }

    fn set_ports(&self) -> io::Result<()> {
        let mut first = Ok(());
        for port in &self.0.ports {
            if let Some(caller) = port.only_caller() {
                let set = port.set(self.accept(caller), self);
                first = first.and(set);
            }
        }
        first
    }

    /// What becomes of a connection that this caller dials now.
    pub(super) fn accept(&self, caller: Caller) -> Accept {
        let plan = self.0.plan.borrow();
        let [forth, back] = caller.subjects().map(|subject| rule_of(&plan, subject));
        let back = if back.holds() { back.accept } else { Accept::Serve };
        forth.accept.max(back)
    }

    pub(super) fn standing(&self, way: Way) -> Standing {
        let (plan, cuts) = (self.0.plan.borrow(), self.0.cuts.borrow());
        let cuts_of = |subject| cuts.get(&subject).copied().unwrap_or_default();
        let (rule, cuts) = match way {
            Way::Peer(link) => {
                let subject = Subject::Link(link);
                (rule_of(&plan, subject), cuts_of(subject))
            }
            Way::Client { node, connection, inward } => {
                let alone = Subject::Connection(connection, inward);
                let all = Subject::Clients(node, inward);
                let named = plan.connections.contains_key(&connection);
                let rule = rule_of(&plan, if named { alone } else { all });
                let (mine, every) = (cuts_of(alone), cuts_of(all));
                let seed = if named { mine.seed } else { every.seed };
                (rule, Cuts { all: mine.all + every.all, some: mine.some + every.some, seed })
            }
        };
        Standing { rule, cuts, since: self.0.since.borrow().get(&rule.pace.seed).copied() }
    }

    /// When the last byte of this lane will have left, shared by all its connections.
    pub(super) fn busy_until(&self, lane: u32) -> Rc<Cell<Instant>> {
        let mut lanes = self.0.busy_until.borrow_mut();
        Rc::clone(lanes.entry(lane).or_insert_with(|| Rc::new(Cell::new(Instant::now()))))
    }
}

impl Caller {
    /// What decides whether it may dial: the way there, and the way back.
    fn subjects(self) -> [Subject; 2] {
        match self.dialler {
            Some(dialler) => {
                let link = Link::new(dialler, self.target);
                [Subject::Link(link), Subject::Link(link.reversed())]
            }
            None => [Subject::Clients(self.target, true), Subject::Clients(self.target, false)],
        }
    }
}

fn subjects(plan: &Plan) -> impl Iterator<Item = (Subject, Rule)> {
    let links = plan.rules.iter().map(|(&link, &rule)| (Subject::Link(link), rule));
    let clients = plan.clients.iter().flat_map(|(&node, rule)| {
        [(Subject::Clients(node, true), rule.inward), (Subject::Clients(node, false), rule.outward)]
    });
    let connections = plan.connections.iter().flat_map(|(&id, rule)| {
        [
            (Subject::Connection(id, true), rule.inward),
            (Subject::Connection(id, false), rule.outward),
        ]
    });
    links.chain(clients).chain(connections)
}

fn rule_of(plan: &Plan, subject: Subject) -> Rule {
    let (rule, inward) = match subject {
        Subject::Link(link) => return plan.rule(link),
        Subject::Clients(node, inward) => (plan.clients.get(&node), inward),
        Subject::Connection(id, inward) => (plan.connections.get(&id), inward),
    };
    let rule = rule.copied().unwrap_or_default();
    if inward { rule.inward } else { rule.outward }
}
