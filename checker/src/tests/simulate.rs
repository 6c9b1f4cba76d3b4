//! Histories of any data type, from a seed.

use super::draw::{Draw, Family};
use crate::{Answer, Call, SequentialSpec, Spec};

/// What the calls of a data type are like.
pub(crate) struct Calls<'a, S: SequentialSpec> {
    /// The operation of the call of this number.
    pub(crate) operation: &'a dyn Fn(u64, &mut Draw) -> S::Op,
    /// An answer that may be wrong.
    pub(crate) wrong: &'a dyn Fn(&S::Op, &mut Draw) -> S::Ret,
}

/// A history on which each call took effect somewhere between its start and its end, if it did, with
/// some answers changed afterwards. Calls of one process do not touch.
pub(crate) fn simulate<S: Spec>(
    initial: &S,
    of: &Calls<'_, S>,
    family: Family,
    draw: &mut Draw,
) -> Vec<Call<S>> {
    struct Client<R> {
        process: u64,
        open: Option<usize>,
        answer: Option<R>,
        idle_since: Option<u64>,
    }
    let mut state = initial.clone();
    let mut calls: Vec<Call<S>> = Vec::new();
    let mut clients: Vec<Client<S::Ret>> = (0..family.clients)
        .map(|process| Client { process, open: None, answer: None, idle_since: None })
        .collect();
    let (mut time, mut fresh) = (0, family.clients);
    while (calls.len() as u64) < family.operations || clients.iter().any(|who| who.open.is_some()) {
        time += u64::from(!draw.percent(family.tie_percent));
        let client = &mut clients[draw.below(family.clients) as usize];
        let Some(open) = client.open else {
            let index = calls.len() as u64;
            if index < family.operations {
                time += u64::from(client.idle_since == Some(time));
                client.open = Some(calls.len());
                let op = (of.operation)(index, draw);
                calls.push(Call { index, process: client.process, start: time, op, answer: None });
            }
            continue;
        };
        let op = &calls[open].op;
        let lost = draw.percent(family.unknown_percent);
        match client.answer.take() {
            // It will never happen.
            None if lost && draw.percent(30) => {}
            None => {
                let ret = state.invoke(op);
                if !lost {
                    client.answer = Some(ret);
                    continue;
                }
            }
            Some(right) => {
                let wrong = draw.percent(family.wrong_percent);
                let ret = if wrong { (of.wrong)(op, draw) } else { right };
                calls[open].answer = Some(Answer { end: time, ret });
                (client.open, client.idle_since) = (None, Some(time));
                continue;
            }
        }
        *client = Client { process: fresh, open: None, answer: None, idle_since: None };
        fresh += 1;
    }
    calls
}
