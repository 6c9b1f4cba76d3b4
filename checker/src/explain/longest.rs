//! The longest legal order of a part of a counterexample.
//!
//! Longest by answered operations; those of unknown outcome are in it only where they are needed.
//! All orders of a small counterexample are tried. One that is too large for that gets the order
//! that the search finds when the last answer is left out, which is a legal order and perhaps not
//! the longest.

use crate::budget::{Budget, Limits};
use crate::hash::Table;
use crate::partition::Partition;
use crate::problem::Problem;
use crate::search::{Found, Rules, search};
use crate::{Options, Spec};

/// A legal order.
pub(crate) struct Longest<S> {
    /// Places in the partition.
    pub(crate) order: Vec<u32>,
    /// The initial state, and the one after each operation of the order.
    pub(crate) states: Vec<S>,
    /// Whether all orders were tried, so that there is no longer one.
    pub(crate) complete: bool,
    /// Other orders as long that end in another configuration, with the state they leave.
    pub(crate) others: Vec<(Vec<u32>, S)>,
}

/// A counterexample of more operations is not tried in all orders.
const ALL_ORDERS_UP_TO: usize = 20;
/// It is searched no longer than this: how it is told is no verdict.
const MOST_STEPS: u64 = 1_000_000;
/// No more other orders than this are told.
const MOST_OTHERS: usize = 7;
/// Nor are there more sets and states than this looked at.
const MOST_VISITS: usize = 200_000;

/// The longest legal order of some of these calls.
pub(crate) fn longest<S: Spec>(
    partition: &Partition<S>,
    calls: &[u32],
    options: &Options<'_>,
) -> Longest<S> {
    if calls.len() <= ALL_ORDERS_UP_TO {
        let mut orders = Orders::new(partition, calls);
        orders.extend(0, &mut vec![partition.states[0].clone()], &mut Vec::new());
        let complete = orders.seen.len() < MOST_VISITS;
        return Longest { complete, ..orders.best };
    }
    let steps = options.limits.steps.min(MOST_STEPS);
    let mut budget = Budget::new(Limits { steps, ..options.limits }, options.stop);
    let last = calls
        .iter()
        .filter_map(|place| partition.calls[*place as usize].answer.as_ref())
        .map(|answer| answer.end)
        .max()
        .unwrap_or(0);
    let problem = Problem::new(partition, calls, last.saturating_sub(1));
    match search(partition, &problem, Rules::ALL, &mut budget).0 {
        Found::Legal(order) => replay(partition, order),
        Found::Illegal | Found::Halted(_) => replay(partition, Vec::new()),
    }
}

fn replay<S: Spec>(partition: &Partition<S>, order: Vec<u32>) -> Longest<S> {
    let mut states = vec![partition.states[0].clone()];
    for place in &order {
        let call = &partition.calls[*place as usize];
        let mut state = states[states.len() - 1].clone();
        match &call.answer {
            // What was answered may say more than what would be: a token, for one.
            Some(answer) => {
                state.is_valid_step(&call.op, &answer.ret);
            }
            None => drop(state.invoke(&call.op)),
        }
        states.push(state);
    }
    Longest { order, states, complete: false, others: Vec::new() }
}

struct Orders<'a, S: Spec> {
    partition: &'a Partition<S>,
    calls: &'a [u32],
    /// For each call, those that must come before it.
    before: Vec<u32>,
    seen: Table<(u32, S), ()>,
    score: (usize, std::cmp::Reverse<usize>),
    best: Longest<S>,
}

impl<'a, S: Spec> Orders<'a, S> {
    fn new(partition: &'a Partition<S>, calls: &'a [u32]) -> Self {
        let before = calls
            .iter()
            .map(|call| {
                (0..calls.len())
                    .filter(|other| partition.precedes(calls[*other] as usize, *call as usize))
                    .fold(0, |set, other| set | 1 << other)
            })
            .collect();
        Self {
            partition,
            calls,
            before,
            seen: Table::default(),
            score: (0, std::cmp::Reverse(usize::MAX)),
            best: Longest {
                order: Vec::new(),
                states: vec![partition.states[0].clone()],
                complete: false,
                others: Vec::new(),
            },
        }
    }

    /// Extends an order in every way. It nests as deep as there are calls, which are few.
    fn extend(&mut self, done: u32, states: &mut Vec<S>, order: &mut Vec<u32>) {
        let state = states[states.len() - 1].clone();
        if self.seen.len() >= MOST_VISITS || self.seen.insert((done, state.clone()), ()).is_some() {
            return;
        }
        let is_answered = |place: &&u32| self.partition.calls[**place as usize].answer.is_some();
        let answered = order.iter().filter(is_answered).count();
        let score = (answered, std::cmp::Reverse(order.len()));
        if score > self.score {
            self.score = score;
            let (order, states) = (order.clone(), states.clone());
            self.best = Longest { order, states, complete: false, others: Vec::new() };
        } else if score == self.score && !order.is_empty() && self.best.others.len() < MOST_OTHERS {
            self.best.others.push((order.clone(), state.clone()));
        }
        for (bit, &place) in self.calls.iter().enumerate() {
            if done >> bit & 1 == 1 || self.before[bit] & !done != 0 {
                continue;
            }
            let call = &self.partition.calls[place as usize];
            let mut tried = state.clone();
            let next = match &call.answer {
                None => state.successors(&call.op),
                Some(answer) if tried.is_valid_step(&call.op, &answer.ret) => vec![tried],
                Some(_) => Vec::new(),
            };
            for after in next {
                if call.answer.is_none() && after == state {
                    continue;
                }
                states.push(after);
                order.push(place);
                self.extend(done | 1 << bit, states, order);
                order.pop();
                states.pop();
            }
        }
    }
}
