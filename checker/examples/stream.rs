//! A stream of operations without end, as far as the online checker can tell.
//!
//! `cargo run --release -p checker --example stream -- 50000000` makes so many operations of 50
//! clients on 1,000 live keys from a fixed seed: reads, writes, compare-and-sets (some find another
//! value) and deletes, one in a hundred of unknown outcome. A key is retired after 300 operations
//! or 10 unknown outcomes, and another takes its place. The stream is legal. Every tenth of it a
//! line says what the checker holds and what the process does.
//!
//! It fails if the checker calls the stream anything but valid, or if the process is larger by more
//! than a fifth at the end than after a fifth of the stream.

use checker::online::{Checker, Notice, Refusal};
use checker::specs::keyed::Keyed;
use checker::specs::register::{Op, Register, Ret};
use checker::{Limits, Ruling, SequentialSpec};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

type Kv = Keyed<Register<u64>>;

const KEYS: u64 = 1_000;
const CLIENTS: u64 = 50;
const OPERATIONS_A_KEY: u64 = 300;
const UNKNOWN_A_KEY: u64 = 10;

/// One of the live keys.
struct Key {
    name: Arc<str>,
    state: Register<u64>,
    operations: u64,
    unknown: u64,
    open: u64,
    retired: bool,
}

impl Key {
    fn new(number: u64) -> Self {
        let (state, name) = (Register(None), format!("k{number}").into());
        Self { name, state, operations: 0, unknown: 0, open: 0, retired: false }
    }
}

/// What a client is doing.
enum Doing {
    Nothing,
    /// It called, on the key at this place.
    Waiting(usize, Op<u64>),
    /// The call took effect.
    Answered(usize, Ret<u64>),
}

struct Stream {
    random: ChaCha8Rng,
    keys: Vec<Key>,
    clients: Vec<(u64, Doing)>,
    time: u64,
    next_key: u64,
    next_process: u64,
    started: u64,
}

impl Stream {
    fn new() -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(7),
            keys: (0..KEYS).map(Key::new).collect(),
            clients: (0..CLIENTS).map(|process| (process, Doing::Nothing)).collect(),
            time: 0,
            next_key: KEYS,
            next_process: CLIENTS,
            started: 0,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    /// Something happens to some client.
    fn step(&mut self, checker: &mut Checker<Kv>) -> Result<(), Refusal> {
        self.time += 1;
        let client = self.below(CLIENTS) as usize;
        match std::mem::replace(&mut self.clients[client].1, Doing::Nothing) {
            Doing::Nothing => self.call(client, checker),
            Doing::Waiting(place, op) => {
                // Of the calls of unknown outcome half took effect.
                let unknown = self.below(100) == 0;
                if unknown && self.below(2) == 0 {
                    return self.give_up(client, place, checker);
                }
                let ret = self.keys[place].state.invoke(&op);
                if unknown {
                    return self.give_up(client, place, checker);
                }
                self.clients[client].1 = Doing::Answered(place, ret);
                Ok(())
            }
            Doing::Answered(place, ret) => {
                let process = self.clients[client].0;
                checker.push(Notice::Return { process, time: self.time, ret })?;
                self.ended(place, checker)
            }
        }
    }

    fn call(&mut self, client: usize, checker: &mut Checker<Kv>) -> Result<(), Refusal> {
        let mut place = self.below(KEYS) as usize;
        while self.keys[place].retired {
            place = self.below(KEYS) as usize;
        }
        let found = self.keys[place].state.0;
        let op = match self.below(100) {
            0..=39 => Op::Read,
            40..=69 => Op::Write(self.time),
            70..=86 => Op::Cas(found, self.time),
            87..=94 => Op::Cas(Some(self.time), self.time + 1),
            _ => Op::Delete,
        };
        let key = &mut self.keys[place];
        key.operations += 1;
        key.open += 1;
        self.started += 1;
        let (process, time) = (self.clients[client].0, self.time);
        let asked = (Arc::clone(&key.name), op.clone());
        self.clients[client].1 = Doing::Waiting(place, op);
        checker.push(Notice::Invoke { index: self.started, process, time, op: asked })
    }

    fn give_up(
        &mut self,
        client: usize,
        place: usize,
        checker: &mut Checker<Kv>,
    ) -> Result<(), Refusal> {
        checker.push(Notice::Unknown { process: self.clients[client].0 })?;
        self.clients[client].0 = self.next_process;
        self.next_process += 1;
        self.keys[place].unknown += 1;
        self.ended(place, checker)
    }

    /// A key may be retired while calls on it are open; its place is taken when they have ended.
    fn ended(&mut self, place: usize, checker: &mut Checker<Kv>) -> Result<(), Refusal> {
        let key = &mut self.keys[place];
        key.open -= 1;
        let worn = key.operations >= OPERATIONS_A_KEY || key.unknown >= UNKNOWN_A_KEY;
        if worn && !key.retired {
            key.retired = true;
            checker.push(Notice::Retire { key: key.name.to_string() })?;
        }
        if key.retired && key.open == 0 {
            *key = Key::new(self.next_key);
            self.next_key += 1;
        }
        Ok(())
    }
}

/// Memory of this process in KiB.
fn resident() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("/proc/self/status names no VmRSS")?.parse()?)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let operations: u64 = std::env::args().nth(1).map_or(Ok(50_000_000), |word| word.parse())?;
    let mut out = std::io::stdout();
    let mut stream = Stream::new();
    let mut checker = Checker::new(Keyed(Register(None)), Limits::default());
    let began = Instant::now();
    let mut at_a_fifth = 0;
    for tenth in 1..=10 {
        while stream.started < operations * tenth / 10 {
            stream.step(&mut checker)?;
        }
        let (held, resident) = (checker.held(), resident()?);
        if tenth == 2 {
            at_a_fifth = resident;
        }
        writeln!(
            out,
            "{:>10} operations, {} live keys, {} retired, {} configurations, {} KiB held, {resident} KiB resident, {:.0} operations/s",
            stream.started,
            held.keys,
            stream.next_key - KEYS,
            held.configurations,
            held.bytes >> 10,
            stream.started as f64 / began.elapsed().as_secs_f64(),
        )?;
    }
    let growth = resident()? as f64 / at_a_fifth as f64 - 1.0;
    let summary = checker.finish();
    writeln!(
        out,
        "{:?}: {} of {} keys are legal; memory grew by {:.1} % from a fifth to the end",
        summary.ruling,
        summary.valid,
        summary.keys,
        100.0 * growth
    )?;
    let good = summary.ruling == Ruling::Valid && growth <= 0.2;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
