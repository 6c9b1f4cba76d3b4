//! Workloads of which histories are judged, and which no system here can be run with yet: `set`, `counter`, `queue`,
//! `lock`, `append`.

use crate::decode::{self, append, counter, lock, queue, set};
use crate::{Datum, DecodeError, Generator, JudgeOptions, Settings, Workload};
use checker::Judgement;
use checker::specs::counter::Counter;
use checker::specs::list::Transactions;
use checker::specs::lock::Lock;
use checker::specs::member::Member;
use checker::specs::queue::Queue;
use checker::specs::set::Set;
use history::{History, Operation};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    Set,
    Counter,
    Queue,
    Lock,
    Append,
}

impl Workload for Judged {
    fn name(&self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Counter => "counter",
            Self::Queue => "queue",
            Self::Lock => "lock",
            Self::Append => "append",
        }
    }

    fn about(&self) -> &'static str {
        match self {
            Self::Set => "a set: add, remove, contains, read of all (check only)",
            Self::Counter => "a counter: add, read (check only)",
            Self::Queue => "a first-in first-out queue: enqueue, dequeue (check only)",
            Self::Lock => "a lock, with or without fencing tokens: acquire, release (check only)",
            Self::Append => "lists: transactions that append and read (check only)",
        }
    }

    fn check(&self) -> &'static str {
        "linearizable"
    }

    fn functions(&self) -> &'static [&'static str] {
        match self {
            Self::Set => set::FUNCTIONS,
            Self::Counter => counter::FUNCTIONS,
            Self::Queue => queue::FUNCTIONS,
            Self::Lock => lock::FUNCTIONS,
            Self::Append => append::FUNCTIONS,
        }
    }

    fn generator(&self, _: &Settings) -> Option<Box<dyn Generator>> {
        None
    }

    fn judge(
        &self,
        history: &History,
        options: &JudgeOptions<'_>,
    ) -> Result<Judgement, DecodeError> {
        let initial = &history.header.initial;
        let refuse = |problem| DecodeError::of_initial(initial, problem);
        match self {
            Self::Set => {
                let read = |operation: &Operation| operation.f.as_str() == "read";
                let items = items(initial).map_err(refuse)?;
                if items.is_empty() && !history.operations.iter().any(read) {
                    return decode::judge(&set::Element, &Member(false), history, options);
                }
                let initial = Set(items.into_iter().collect::<BTreeSet<Datum>>());
                decode::judge(&set::Whole, &initial, history, options)
            }
            Self::Counter => {
                let start = match initial {
                    Value::Null => 0,
                    number => {
                        counter::number(number, "the initial value of a counter").map_err(refuse)?
                    }
                };
                decode::judge(&counter::Counters, &Counter(start), history, options)
            }
            Self::Queue => {
                let initial = Queue(items(initial).map_err(refuse)?.into());
                decode::judge(&queue::Queues, &initial, history, options)
            }
            Self::Lock => {
                nothing(initial).map_err(refuse)?;
                decode::judge(&lock::Locks, &Lock::default(), history, options)
            }
            Self::Append => {
                nothing(initial).map_err(refuse)?;
                let lists = append::Lists::of(&history.operations);
                decode::judge(&lists, &Transactions(BTreeMap::new()), history, options)
            }
        }
    }

    fn describe(&self, operation: &Operation) -> String {
        match self {
            Self::Set => decode::describe(&set::Whole, operation),
            Self::Counter => decode::describe(&counter::Counters, operation),
            Self::Queue => decode::describe(&queue::Queues, operation),
            Self::Lock => decode::describe(&lock::Locks, operation),
            Self::Append => decode::describe(&append::Lists { by_key: false }, operation),
        }
    }
}

/// What is there to begin with; null is nothing.
fn items(initial: &Value) -> Result<Vec<Datum>, String> {
    match initial {
        Value::Null => Ok(Vec::new()),
        items => decode::data(items, "the initial value"),
    }
}

fn nothing(initial: &Value) -> Result<(), String> {
    match initial {
        Value::Null => Ok(()),
        _ => Err("this workload begins with nothing".to_owned()),
    }
}
