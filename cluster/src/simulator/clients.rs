//! The clients: sessions that write, read, compare-and-set, delete and retry, and remember what they saw.
//!
//! Some are tied to one node, which passes on what only the leader can do; of those, one for each node only
//! reads, so that a deposed leader is always asked. The others follow the leader. The rules of what a client may
//! claim are those of the real one: an answer ends an operation; without one it certainly did not happen if
//! every attempt was refused, and nobody knows if any was not. After that the process is retired and its
//! client goes on as another, with a session of its own.

use super::agenda::{Agenda, Happening};
use super::random::{Purpose, Random};
use super::{MS, Plan, SECOND, Time};
use crate::raft::NodeId;

/// How long a client waits for one attempt, and for an operation.
const ATTEMPT: Time = 500 * MS;
const DEADLINE: Time = 2 * SECOND;
/// Operations a second, over all clients, if they were answered in no time; with all that goes wrong it comes to
/// somewhat more than 100.
const RATE: u64 = 420;
/// Keys in use at once, and after how many operations, or unknown outcomes, another takes its place.
const KEYS: u64 = 8;
const RETIRE: u64 = 300;
const RETIRE_UNKNOWN: u64 = 10;

/// What a client asks for. Keys are numbers; every written value is written once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The value of a key.
    Read {
        /// The key.
        key: u64,
    },
    /// Sets a key.
    Write {
        /// The key.
        key: u64,
        /// Its new value.
        value: i64,
    },
    /// Sets a key if it has the value `from`; none: if there is no such key.
    Cas {
        /// The key.
        key: u64,
        /// What it must be.
        from: Option<i64>,
        /// Its new value.
        to: i64,
    },
    /// Removes a key.
    Delete {
        /// The key.
        key: u64,
    },
}

impl Call {
    /// The key it is about.
    pub fn key(self) -> u64 {
        match self {
            Call::Read { key }
            | Call::Write { key, .. }
            | Call::Cas { key, .. }
            | Call::Delete { key } => key,
        }
    }
}

/// What an event says about its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It started.
    Invoke,
    /// It happened.
    Ok,
    /// It certainly did not.
    Fail,
    /// It may or may not have, now or later.
    Info,
}

/// Something that a client saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientEvent {
    /// When.
    pub time: Time,
    /// Who: a number that is not used again after [`Kind::Info`].
    pub process: u64,
    /// The node asked, or that was asked last.
    pub node: NodeId,
    /// Start or end.
    pub kind: Kind,
    /// The operation.
    pub call: Call,
    /// What an ok read found; none if there is no such key.
    pub value: Option<i64>,
    /// Why it did not happen, or why that is unknown. `mismatch`: a compare-and-set found another value.
    pub error: Option<&'static str>,
}

/// What a node is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Open,
    Call(Call),
}

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) client: usize,
    pub(super) attempt: u64,
    pub(super) session: u64,
    pub(super) sequence: u64,
    pub(super) task: Task,
    /// A node that does not lead passes it on.
    pub(super) forward: bool,
    /// A read that is content with a lease.
    pub(super) by_lease: bool,
}

/// What a node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Done,
    Mismatch,
    Value(Option<i64>),
    Opened(u64),
    NotLeader(Option<NodeId>),
    /// It was certainly not executed.
    Refused(&'static str),
    Unknown,
}

#[derive(Clone, Debug)]
struct Client {
    process: u64,
    /// The node it is tied to.
    pinned: Option<NodeId>,
    only_reads: bool,
    target: NodeId,
    /// Counts up; an answer to an earlier attempt comes too late.
    attempt: u64,
    /// 0 while it has none.
    session: u64,
    sequence: u64,
    current: Option<Current>,
}

/// The operation under way.
#[derive(Clone, Copy, Debug)]
struct Current {
    call: Call,
    deadline: Time,
    doubtful: bool,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    name: u64,
    used: u64,
    unknown: u64,
    last: Option<i64>,
}

/// All clients.
pub(super) struct Clients {
    nodes: u64,
    /// Whether those who only read are content with a lease.
    leases: bool,
    random: Random,
    clients: Vec<Client>,
    keys: Vec<Key>,
    next_key: u64,
    next_value: i64,
    next_process: u64,
    pub(super) history: Vec<ClientEvent>,
    /// No new operations.
    pub(super) stopped: bool,
    /// When a change was last acknowledged.
    pub(super) last_change: Time,
}

impl Clients {
    /// Clients of a cluster that may come to have so many nodes.
    pub(super) fn new(plan: &Plan, nodes: u64) -> Clients {
        let client = |number: u64| Client {
            process: number,
            pinned: (number < nodes + 2).then_some(1 + number % nodes),
            only_reads: number < nodes,
            target: 1 + number % nodes,
            attempt: 0,
            session: 0,
            sequence: 0,
            current: None,
        };
        let count = 2 * nodes + 2;
        let key = |name| Key { name, used: 0, unknown: 0, last: None };
        Clients {
            nodes,
            leases: plan.has_leases(),
            random: Random::new(plan.seed, plan.episode, Purpose::Clients),
            clients: (0..count).map(client).collect(),
            keys: (0..KEYS).map(key).collect(),
            next_key: KEYS,
            next_value: 1,
            next_process: count,
            history: Vec::new(),
            stopped: false,
            last_change: 0,
        }
    }

    /// Everybody begins, not all at once.
    pub(super) fn start(&mut self, agenda: &mut Agenda) {
        for client in 0..self.clients.len() {
            let time = self.random.between(MS, 100 * MS);
            agenda.add(time, Happening::Go { client, attempt: 0 });
        }
    }

    /// Whoever has nothing under way begins anew, after all have been stopped.
    pub(super) fn begin_again(&mut self, now: Time, agenda: &mut Agenda) {
        self.stopped = false;
        for number in 0..self.clients.len() {
            let Client { attempt, current, .. } = self.clients[number];
            if current.is_none() {
                let time = now + self.random.between(MS, 100 * MS);
                agenda.add(time, Happening::Go { client: number, attempt });
            }
        }
    }

    /// How long it takes between a client and a node.
    pub(super) fn distance(&mut self) -> Time {
        self.random.between(MS / 10, MS / 2)
    }

    /// A client begins its next operation, or tries again.
    pub(super) fn go(&mut self, now: Time, client: usize, attempt: u64, agenda: &mut Agenda) {
        let Client { attempt: newest, current, session, only_reads, .. } = self.clients[client];
        if attempt != newest || self.stopped && current.is_none() {
            return;
        }
        if session == 0 && !only_reads && current.is_none() {
            return self.ask(now, client, Task::Open, agenda);
        }
        if current.is_none() {
            let call = self.draw(only_reads);
            let client = &mut self.clients[client];
            client.sequence += 1;
            client.target = client.pinned.unwrap_or(client.target);
            client.current = Some(Current { call, deadline: now + DEADLINE, doubtful: false });
            self.history.push(client.event(now, Kind::Invoke, call));
        }
        if let Some(Current { call, .. }) = self.clients[client].current {
            self.ask(now, client, Task::Call(call), agenda);
        }
    }

    fn ask(&mut self, now: Time, number: usize, task: Task, agenda: &mut Agenda) {
        let arrival = now + self.distance();
        let client = &mut self.clients[number];
        client.attempt += 1;
        let Client { attempt, session, sequence, target, .. } = *client;
        let forward = client.pinned.is_some();
        let by_lease = self.leases && client.only_reads;
        let request =
            Request { client: number, attempt, session, sequence, task, forward, by_lease };
        agenda.add(arrival, Happening::Ask { node: target, request });
        agenda.add(now + ATTEMPT, Happening::Patience { client: number, attempt });
    }

    /// An attempt was not answered in time.
    pub(super) fn patience(&mut self, now: Time, client: usize, attempt: u64, agenda: &mut Agenda) {
        if self.clients[client].attempt == attempt {
            self.trouble(now, client, None, "timeout", true, agenda);
        }
    }

    /// An answer arrives.
    pub(super) fn answered(
        &mut self,
        now: Time,
        client: usize,
        attempt: u64,
        reply: Reply,
        agenda: &mut Agenda,
    ) {
        if self.clients[client].attempt != attempt {
            return;
        }
        match reply {
            Reply::Opened(session) => {
                let one = &mut self.clients[client];
                (one.session, one.sequence) = (session, 0);
                self.later(now + MS, client, agenda);
            }
            Reply::NotLeader(leader) => {
                self.trouble(now, client, leader, "not-leader", false, agenda);
            }
            Reply::Refused(why) => self.trouble(now, client, None, why, false, agenda),
            Reply::Unknown => self.trouble(now, client, None, "unknown", true, agenda),
            Reply::Done => self.end(now, client, Kind::Ok, None, None, agenda),
            Reply::Value(value) => self.end(now, client, Kind::Ok, value, None, agenda),
            Reply::Mismatch => self.end(now, client, Kind::Fail, None, Some("mismatch"), agenda),
        }
    }

    /// An attempt settled nothing: the next one, if there is time, or the end.
    fn trouble(
        &mut self,
        now: Time,
        number: usize,
        leader: Option<NodeId>,
        why: &'static str,
        doubtful: bool,
        agenda: &mut Agenda,
    ) {
        let pause = self.random.between(5 * MS, 40 * MS);
        let nodes = self.nodes;
        let client = &mut self.clients[number];
        if client.pinned.is_none() {
            client.target = leader.unwrap_or(1 + client.target % nodes);
        }
        if let Some(current) = &mut client.current {
            let effect = !matches!(current.call, Call::Read { .. });
            current.doubtful |= doubtful && effect;
            let Current { deadline, doubtful, .. } = *current;
            if now + pause >= deadline {
                let kind = if doubtful { Kind::Info } else { Kind::Fail };
                return self.end(now, number, kind, None, Some(why), agenda);
            }
        }
        self.later(now + pause, number, agenda);
    }

    /// The next step of this client, at `time`; what comes before that comes too late.
    fn later(&mut self, time: Time, client: usize, agenda: &mut Agenda) {
        self.clients[client].attempt += 1;
        agenda.add(time, Happening::Go { client, attempt: self.clients[client].attempt });
    }

    fn end(
        &mut self,
        now: Time,
        number: usize,
        kind: Kind,
        value: Option<i64>,
        error: Option<&'static str>,
        agenda: &mut Agenda,
    ) {
        let client = &mut self.clients[number];
        let Some(Current { call, .. }) = client.current.take() else { return };
        self.history.push(ClientEvent { value, error, ..client.event(now, kind, call) });
        if kind == Kind::Info {
            (client.process, client.session) = (self.next_process, 0);
            self.next_process += 1;
        }
        if kind == Kind::Ok && !matches!(call, Call::Read { .. }) {
            self.last_change = now;
        }
        self.learn(call, kind, value);
        let mean = self.clients.len() as u64 * SECOND / RATE;
        let next = now + self.random.between(mean / 2, mean * 3 / 2);
        self.later(next, number, agenda);
    }

    fn learn(&mut self, call: Call, kind: Kind, value: Option<i64>) {
        let Some(key) = self.keys.iter_mut().find(|key| key.name == call.key()) else { return };
        key.unknown += u64::from(kind == Kind::Info);
        if kind == Kind::Ok {
            key.last = match call {
                Call::Read { .. } => value,
                Call::Write { value, .. } => Some(value),
                Call::Cas { to, .. } => Some(to),
                Call::Delete { .. } => None,
            };
        }
    }

    fn draw(&mut self, only_reads: bool) -> Call {
        let place = self.random.below(KEYS) as usize;
        let kind = if only_reads { 0 } else { self.random.below(100) };
        if self.keys[place].used >= RETIRE || self.keys[place].unknown >= RETIRE_UNKNOWN {
            self.keys[place] = Key { name: self.next_key, used: 0, unknown: 0, last: None };
            self.next_key += 1;
        }
        self.keys[place].used += 1;
        let Key { name: key, last, .. } = self.keys[place];
        let value = self.next_value;
        match kind {
            0..25 => Call::Read { key },
            90.. => Call::Delete { key },
            _ => {
                self.next_value += 1;
                if kind < 62 {
                    Call::Write { key, value }
                } else {
                    Call::Cas { key, from: last, to: value }
                }
            }
        }
    }
}

impl Client {
    fn event(&self, time: Time, kind: Kind, call: Call) -> ClientEvent {
        let Client { process, target: node, .. } = *self;
        ClientEvent { time, process, node, kind, call, value: None, error: None }
    }
}
