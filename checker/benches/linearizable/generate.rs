//! Histories that are legal because of how they are made.
//!
//! A crowd of clients is always busy: as soon as a call ends, its client begins the next. A call
//! lasts one unit of time and an exponential time of 50 units more, and takes effect at a moment
//! drawn evenly from its span. The calls are put in the order of those moments and run on a plain
//! object, so each answer is the one that the object gave, and that order is legal.
//!
//! A call of unknown outcome took effect with a chance of one in two. Its client goes on under a
//! new process number, as a client of a real run does.
//!
//! The same seed makes the same history. What the objects are and what is asked of them is said in
//! `families`; locks, whose clients wait for each other, are made there too.

use checker::{Answer, Call, SequentialSpec};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Coordinates in one unit of time: enough that two events seldom have the same.
const UNIT: f64 = 1_000.0;
/// Mean length of a call, in units.
const MEAN_UNITS: f64 = 50.0;

/// Draws from a seed.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Less than `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    /// How long a call lasts, in coordinates.
    pub(crate) fn length(&mut self) -> u64 {
        const STEPS: u64 = 1 << 53;
        let unit = self.below(STEPS) as f64 / STEPS as f64;
        ((1.0 - MEAN_UNITS * (1.0 - unit).ln()) * UNIT) as u64
    }
}

/// Who calls, and how often.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) clients: usize,
    pub(crate) operations: usize,
    pub(crate) unknown_percent: u64,
    pub(crate) seed: u64,
}

/// What the clients do.
pub(crate) trait Players<S: SequentialSpec> {
    /// The next operation of a client, and on which of the objects.
    fn choose(&mut self, client: usize, random: &mut Random) -> (usize, S::Op);

    /// What the client was answered.
    fn learn(&mut self, client: usize, object: usize, op: &S::Op, ret: &S::Ret) {
        let _ = (client, object, op, ret);
    }
}

/// One call before it is known what is asked.
struct Turn {
    client: usize,
    process: u64,
    start: u64,
    effect: u64,
    end: u64,
    answered: bool,
    happens: bool,
}

/// A legal history, in the order of the starts.
pub(crate) fn history<S: SequentialSpec>(
    crowd: Crowd,
    mut objects: Vec<S>,
    players: &mut impl Players<S>,
) -> Vec<Call<S>> {
    let mut random = Random::new(crowd.seed);
    let turns = turns(crowd, &mut random);
    let mut order: Vec<u32> = (0..turns.len() as u32).collect();
    order.sort_unstable_by_key(|turn| (turns[*turn as usize].effect, *turn));
    let mut calls: Vec<Call<S>> = Vec::with_capacity(turns.len());
    for index in order {
        let turn = &turns[index as usize];
        let (object, op) = players.choose(turn.client, &mut random);
        let mut answer = None;
        if turn.happens {
            let ret = objects[object].invoke(&op);
            if turn.answered {
                players.learn(turn.client, object, &op, &ret);
                answer = Some(Answer { end: turn.end, ret });
            }
        }
        let index = u64::from(index);
        calls.push(Call { index, process: turn.process, start: turn.start, op, answer });
    }
    calls.sort_unstable_by_key(|call| call.index);
    calls
}

/// When each call is made, in the order of the starts.
fn turns(crowd: Crowd, random: &mut Random) -> Vec<Turn> {
    let mut processes: Vec<u64> = (0..crowd.clients as u64).collect();
    let mut fresh = crowd.clients as u64;
    let mut idle: BinaryHeap<Reverse<(u64, usize)>> =
        (0..crowd.clients).map(|client| Reverse((random.length(), client))).collect();
    let mut turns = Vec::with_capacity(crowd.operations);
    while turns.len() < crowd.operations {
        let Some(Reverse((start, client))) = idle.pop() else { break };
        let end = start + random.length();
        let effect = start + random.below(end - start + 1);
        let answered = random.below(100) >= crowd.unknown_percent;
        let happens = answered || random.below(2) == 0;
        let process = processes[client];
        turns.push(Turn { client, process, start, effect, end, answered, happens });
        if !answered {
            processes[client] = fresh;
            fresh += 1;
        }
        idle.push(Reverse((end + 1, client)));
    }
    turns
}
