//! Histories of a store that is right, as a recorder writes them.
//!
//! A call lasts 1 to 100 µs and takes effect at a moment between; the next begins as soon as it ends. One of
//! unknown outcome took effect or not, by chance, and its client goes on under a new number. The same every time.

use history::{Event, Header, Kind, Nanos, NodeId, Process, Writer};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, Write};

const OPERATIONS: usize = 1_000_000;
const CLIENTS: usize = 50;
const KEYS: u64 = 1_000;

/// What the clients do.
pub(crate) struct Crowd {
    /// Reads, writes, compare-and-sets and deletes in a hundred calls.
    pub(crate) kinds: [u64; 4],
    pub(crate) unknown_percent: u64,
}

/// What happens to a call next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Begin,
    Act,
    End,
}

/// A client with its open call.
struct Client {
    process: u64,
    event: Event,
    ends: u64,
    /// Whether the call takes effect, and whether anybody learns of it.
    acts: bool,
    is_answered: bool,
    answer: Answer,
    /// What it knows a key to have held.
    seen: Option<(String, i64)>,
}

/// What the store said.
enum Answer {
    Ok(Value),
    Mismatch,
}

struct Store {
    random: ChaCha8Rng,
    values: HashMap<String, i64>,
    written: i64,
    next_process: u64,
}

impl Store {
    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    fn unique(&mut self) -> Value {
        self.written += 1;
        json!(self.written)
    }

    /// What a client asks for next.
    fn choose(
        &mut self,
        kinds: [u64; 4],
        seen: Option<(String, i64)>,
    ) -> (&'static str, String, Value) {
        let drawn = self.below(100);
        let key = format!("k{}", self.below(KEYS));
        let [read, write, cas, _] = kinds;
        match seen {
            _ if drawn < read => ("read", key, Value::Null),
            _ if drawn < read + write => ("write", key, self.unique()),
            Some((key, from)) if drawn < read + write + cas => {
                ("cas", key, json!([from, self.unique()]))
            }
            None if drawn < read + write + cas => ("read", key, Value::Null),
            _ => ("delete", key, Value::Null),
        }
    }

    /// Lets a call take effect.
    fn act(&mut self, event: &Event) -> Answer {
        let key = event.key.clone().unwrap_or_default();
        let held = self.values.get(&key).copied();
        match event.f.as_str() {
            "read" => return Answer::Ok(json!(held)),
            "cas" if held != event.value[0].as_i64() => return Answer::Mismatch,
            _ => {}
        }
        let value = if event.f == "cas" { &event.value[1] } else { &event.value };
        match value.as_i64() {
            Some(value) => self.values.insert(key, value),
            None => self.values.remove(&key),
        };
        Answer::Ok(event.value.clone())
    }
}

impl Client {
    fn new(number: usize) -> Self {
        let process = number as u64;
        let event = Event {
            index: 0,
            time: Nanos(0),
            process: Process::Client(process),
            kind: Kind::Invoke,
            f: String::new(),
            key: None,
            value: Value::Null,
            node: Some(NodeId(1 + (number % 5) as u16)),
            error: None,
        };
        let answer = Answer::Ok(Value::Null);
        Self { process, event, ends: 0, acts: true, is_answered: true, answer, seen: None }
    }

    /// The end of its call, as an event; it learns from the answer.
    fn end(&mut self) -> Event {
        let event = self.event.clone();
        if !self.is_answered {
            return Event { kind: Kind::Info, error: Some("timeout".to_owned()), ..event };
        }
        match &self.answer {
            Answer::Ok(value) => {
                let held = if event.f == "cas" { &value[1] } else { value };
                self.seen = held.as_i64().and_then(|held| Some((event.key.clone()?, held)));
                Event { kind: Kind::Ok, value: value.clone(), ..event }
            }
            Answer::Mismatch => {
                self.seen = None;
                Event { kind: Kind::Fail, error: Some("mismatch".to_owned()), ..event }
            }
        }
    }
}

impl Crowd {
    /// Writes a history.
    pub(crate) fn write(&self, file: impl Write) -> io::Result<()> {
        let mut writer = Writer::new(file, &Header::new("kv"))?;
        let mut store = Store {
            random: ChaCha8Rng::seed_from_u64(3),
            values: HashMap::new(),
            written: 0,
            next_process: CLIENTS as u64,
        };
        let mut clients: Vec<Client> = (0..CLIENTS).map(Client::new).collect();
        let mut moments: BinaryHeap<Reverse<(u64, Stage, usize)>> = (0..CLIENTS)
            .map(|client| Reverse((1_000_000 + client as u64, Stage::Begin, client)))
            .collect();
        let (mut begun, mut index) = (0, 0..);
        while let Some(Reverse((time, stage, number))) = moments.pop() {
            let client = &mut clients[number];
            let event = match stage {
                Stage::Act if client.acts => {
                    client.answer = store.act(&client.event);
                    continue;
                }
                Stage::Act => continue,
                Stage::Begin if begun == OPERATIONS => continue,
                Stage::Begin => {
                    begun += 1;
                    let lasts = 1_000 + store.below(99_000);
                    client.ends = time + lasts;
                    client.is_answered = store.below(100) >= self.unknown_percent;
                    client.acts = client.is_answered || store.below(2) == 0;
                    let (f, key, value) = store.choose(self.kinds, client.seen.clone());
                    let process = Process::Client(client.process);
                    let event = client.event.clone();
                    client.event =
                        Event { process, f: f.to_owned(), key: Some(key), value, ..event };
                    moments.push(Reverse((time + store.below(lasts), Stage::Act, number)));
                    moments.push(Reverse((client.ends, Stage::End, number)));
                    client.event.clone()
                }
                Stage::End => {
                    let event = client.end();
                    if !client.is_answered {
                        client.process = store.next_process;
                        store.next_process += 1;
                    }
                    moments.push(Reverse((time + 500 + store.below(1_000), Stage::Begin, number)));
                    event
                }
            };
            let index = index.next().unwrap_or_default();
            writer.append(&Event { index, time: Nanos(time), ..event })?;
        }
        writer.into_inner().flush()
    }
}
