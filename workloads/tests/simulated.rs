//! Histories of simulated stores that are correct by construction are valid; corrupted ones are found out.
//!
//! The simulated store applies each operation at one moment between its invocation and its completion. Some calls are
//! refused, some end unknown with or without effect, before or after the caller gave up, which is all that a correct
//! system may do.

use checker::{Limits, Ruling};
use history::{Event, Header, History, Kind, Nanos, NodeId, Order, Process};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use workloads::{Caller, Completion, Invocation, JudgeOptions, MISMATCH, Settings, Workload};

const WORKERS: usize = 6;

struct Store {
    values: BTreeMap<String, i64>,
    rng: ChaCha8Rng,
}

/// One operation on its way.
struct Flight {
    invocation: Invocation,
    process: u64,
    /// When it takes effect; none if it never does.
    effect: Option<u64>,
    /// When its caller hears, and what if nothing took effect by then.
    end: u64,
    otherwise: Completion,
    answer: Option<Completion>,
}

impl Store {
    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound
    }

    fn launch(&mut self, now: u64, process: u64, invocation: Invocation) -> Flight {
        let effect = now + 1 + self.below(30);
        let end = effect + self.below(30);
        let info = Completion::Info { error: "timeout".to_owned() };
        let (effect, end, otherwise) = match self.below(40) {
            0 => (None, end, Completion::Fail { error: "overloaded".to_owned() }),
            1 => (None, end, info),
            2 => (Some(end + self.below(200)), end, info),
            _ => (Some(effect), end, info),
        };
        Flight { invocation, process, effect, end, otherwise, answer: None }
    }

    fn apply(&mut self, invocation: &Invocation) -> Completion {
        let key = invocation.key.clone().expect("keyed");
        let argument = |at: usize| invocation.value[at].as_i64().expect("a pair of numbers");
        match invocation.f {
            "read" => return Completion::Ok(json!(self.values.get(&key))),
            "write" => {
                self.values.insert(key, invocation.value.as_i64().expect("a number"));
            }
            "delete" => {
                self.values.remove(&key);
            }
            "cas" if self.values.get(&key) == Some(&argument(0)) => {
                self.values.insert(key, argument(1));
            }
            _ => return Completion::Fail { error: MISMATCH.to_owned() },
        }
        Completion::Ok(invocation.value.clone())
    }
}

fn event(index: usize, now: u64, flight: &Flight, completion: Option<&Completion>) -> Event {
    let (kind, value, error) = match completion {
        None => (Kind::Invoke, flight.invocation.value.clone(), None),
        Some(Completion::Ok(value)) => (Kind::Ok, value.clone(), None),
        Some(Completion::Fail { error }) => (Kind::Fail, Value::Null, Some(error.clone())),
        Some(Completion::Info { error }) => (Kind::Info, Value::Null, Some(error.clone())),
    };
    Event {
        index: index as u64,
        time: Nanos(now),
        process: Process::Client(flight.process),
        kind,
        f: flight.invocation.f.to_owned(),
        key: flight.invocation.key.clone(),
        value,
        node: Some(NodeId(1)),
        error,
    }
}

/// The workloads that can be run.
fn runnable() -> Vec<&'static dyn Workload> {
    // The simulated store has keys and values.
    let simulated =
        |workload: &&dyn Workload| workload.runs() && workload.check() == "linearizable";
    workloads::all().iter().copied().filter(simulated).collect()
}

/// The events of `operations` calls against a correct store.
fn simulate(workload: &dyn Workload, seed: u64, operations: usize) -> Vec<Event> {
    let settings = Settings { seed, keys: 3, retire_operations: 60, retire_unknown: 5 };
    let mut generator = workload.generator(&settings).expect("it can be run");
    let mut store = Store { values: BTreeMap::new(), rng: ChaCha8Rng::seed_from_u64(seed) };
    let mut events = Vec::new();
    let mut busy: Vec<Option<Flight>> = (0..WORKERS).map(|_| None).collect();
    let mut late: Vec<Flight> = Vec::new();
    let mut processes = 0..;
    let mut process: Vec<u64> = processes.by_ref().take(WORKERS).collect();
    let mut invoked = 0;
    for now in 0.. {
        // Effects first, at most one at an instant of the store's own order; then completions; then invocations.
        for flight in busy.iter_mut().flatten().chain(&mut late) {
            if flight.effect == Some(now) {
                flight.answer = Some(store.apply(&flight.invocation));
            }
        }
        for worker in 0..WORKERS {
            let caller = Caller { worker, reads_only: worker == 0 };
            if busy[worker].as_ref().is_some_and(|flight| flight.end == now) {
                let flight = busy[worker].take().expect("checked");
                let completion = flight.answer.clone().unwrap_or(flight.otherwise.clone());
                events.push(event(events.len(), now, &flight, Some(&completion)));
                generator.complete(&caller, &flight.invocation, &completion);
                if matches!(completion, Completion::Info { .. }) {
                    process[worker] = processes.next().expect("endless");
                }
                late.push(flight);
            } else if busy[worker].is_none() && invoked < operations && store.below(20) == 0 {
                let flight = store.launch(now, process[worker], generator.next(&caller));
                events.push(event(events.len(), now, &flight, None));
                busy[worker] = Some(flight);
                invoked += 1;
            }
        }
        if invoked == operations && busy.iter().all(Option::is_none) {
            break;
        }
    }
    events
}

fn ruling(workload: &dyn Workload, events: Vec<Event>) -> Ruling {
    let header = Header::new(workload.name());
    let history = History::from_events(header, events, Order::Time).expect("well formed");
    let options =
        JudgeOptions { limits: Limits::default(), stop: &|| false, threads: 1, certify: false };
    workload.judge(&history, &options).expect("every operation is the workload's").ruling
}

#[test]
fn a_correct_store_is_valid() {
    for workload in runnable() {
        for seed in 0..60 {
            let events = simulate(workload, seed, 250);
            assert_eq!(ruling(workload, events), Ruling::Valid, "{} seed {seed}", workload.name());
        }
    }
}

/// Positions of the answered reads.
fn reads(events: &[Event]) -> Vec<usize> {
    (0..events.len()).filter(|&at| events[at].kind == Kind::Ok && events[at].f == "read").collect()
}

#[test]
fn a_value_nobody_wrote_is_invalid() {
    for workload in runnable() {
        for seed in 0..40 {
            let mut events = simulate(workload, seed, 200);
            let reads = reads(&events);
            let at = reads[usize::try_from(seed).expect("small") % reads.len()];
            events[at].value = json!(-1);
            assert_eq!(ruling(workload, events), Ruling::Invalid, "{} {seed}", workload.name());
        }
    }
}

/// The answer of one read given to another of the same key, often no longer true by then.
#[test]
fn stale_answers_are_mostly_invalid() {
    for workload in runnable() {
        let (mut tried, mut found) = (0, 0);
        for seed in 0..60 {
            let mut events = simulate(workload, seed, 200);
            let reads = reads(&events);
            let first = reads[usize::try_from(seed).expect("small") % (reads.len() / 2)];
            let old = events[first].clone();
            let stale = reads.iter().copied().find(|&at| {
                events[at].key == old.key
                    && events[at].time.0 > old.time.0 + 200
                    && events[at].value != old.value
            });
            let Some(stale) = stale else { continue };
            events[stale].value = old.value;
            tried += 1;
            found += u32::from(ruling(workload, events) == Ruling::Invalid);
        }
        assert!(tried >= 30, "{}: only {tried} tried", workload.name());
        assert!(found * 10 >= tried * 6, "{}: {found} of {tried}", workload.name());
    }
}
