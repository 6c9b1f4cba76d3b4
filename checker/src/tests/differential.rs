//! Every data type, every algorithm, and those that are slow and easy to believe: all say the same.
//!
//! A [`Subject`] describes one data type in a few lines: its operations with their answers over two
//! values, and how to draw some at random. For each history, [`Tally::ask`] asks all that can
//! judge it and panics at the first disagreement, showing the history.
//!
//! - *Exhaustive*: every history of three operations (`EXHAUSTIVE=4`: of four as well) of three
//!   workers over two values, once up to renaming; `every` says what that leaves out.
//! - *Random*: 20,000 histories of each data type (`FUZZ_HISTORIES`), of up to 8 operations, each
//!   16th of up to 40. Seeds count from 0, so a larger run repeats a smaller one and goes on.
//!
//! What a run could not show is a failure too: a data type of which nothing was legal, nothing
//! illegal, or one of whose algorithms never decided either.
//!
//! What this does not do: it asks nothing about sizes, sentences or budgets, and no spec that is
//! not here.

mod ask;
mod every;
pub(crate) mod subjects;

use super::draw::Draw;
use super::lists_replay::{Item, Source, history, larger, small};
use crate::{Call, Spec};
use ask::Tally;
use every::every;

/// What is to be known of a data type to ask about it.
pub(super) trait Subject<S: Spec>: Source<S> {
    /// Its name for people.
    const NAME: &'static str;
    /// The algorithms that must each have found something legal and something illegal.
    const ALGORITHMS: &'static [&'static str];
    /// No more of the random histories than this are declined by all of them.
    const DECLINED_PERCENT: u64;

    /// One that draws histories of a kind that goes with the seed.
    fn new(seed: u64) -> Self;

    /// Where a random history begins.
    fn initial(&self) -> S;

    /// Where exhaustive histories begin: states that [`Self::exchanged`] does not change.
    fn beginnings() -> Vec<S>;

    /// Every operation with every answer, over two values.
    fn menu() -> Vec<Item<S>>;

    /// The same with the two values exchanged; the same item where they cannot be.
    fn exchanged(item: &Item<S>) -> Item<S>;

    /// What a drawn history is turned into before it is asked about.
    fn finish(&self, calls: Vec<Call<S>>) -> Vec<Call<S>> {
        calls
    }
}

/// Every so manieth random history is a larger one.
const LARGER: u64 = 16;
/// Every so manieth has calls that touch.
const TOUCHING: u64 = 7;

/// A history of the kind that goes with the seed, and where it begins.
fn drawn<S: Spec, D: Subject<S>>(seed: u64) -> (S, Vec<Call<S>>) {
    let draw = &mut Draw::new(seed);
    let family = match seed % LARGER {
        0 => larger(seed / LARGER, draw),
        _ => small(seed, draw),
    };
    let mut subject = D::new(seed);
    let initial = subject.initial();
    let calls = history(&initial, family, &mut subject, draw);
    let mut calls = subject.finish(calls);
    // Of one process, the order of the numbers is that of the calls.
    for (index, call) in (0..).zip(&mut calls) {
        call.index = index;
    }
    if seed.is_multiple_of(TOUCHING) {
        let_touch(&mut calls, draw);
    }
    (initial, calls)
}

/// Lets some calls begin at the very coordinate at which the call before them ended, of the same
/// process.
fn let_touch<S: Spec>(calls: &mut [Call<S>], draw: &mut Draw) {
    for place in 0..calls.len() {
        let of_process = |call: &&Call<S>| call.process == calls[place].process;
        let ends = calls.iter().filter(of_process).filter_map(|call| call.answer.as_ref());
        let before = ends.map(|answer| answer.end).filter(|end| *end < calls[place].start).max();
        if let Some(end) = before.filter(|_| draw.percent(50)) {
            calls[place].start = end;
        }
    }
    calls.sort_by_key(|call| (call.start, call.index));
}

fn random<S: Spec, D: Subject<S>>() {
    let rounds = number("FUZZ_HISTORIES", 20_000, |rounds| rounds > 0);
    let mut tally = Tally::default();
    for seed in 0..rounds {
        let (initial, calls) = drawn::<S, D>(seed);
        tally.ask(&initial, &calls, &|| format!("{}, seed {seed}", D::NAME));
    }
    tally.conclude(&format!("random histories of {}", D::NAME), D::ALGORITHMS, D::DECLINED_PERCENT);
}

fn exhaustive<S: Spec, D: Subject<S>>() {
    let largest = number("EXHAUSTIVE", 3, |size| size == 3 || size == 4);
    for size in 3..=largest {
        let mut tally = Tally::default();
        for initial in D::beginnings() {
            every::<S, D>(size as usize, |calls| {
                tally.ask(&initial, calls, &|| format!("{} from {initial:?}", D::NAME));
            });
        }
        tally.conclude(&format!("all histories of {size} operations of {}", D::NAME), &[], 100);
    }
}

/// A number from the environment. One that cannot be meant is a failure, not the usual number.
fn number(name: &str, usual: u64, allowed: fn(u64) -> bool) -> u64 {
    let Some(text) = std::env::var_os(name) else { return usual };
    let said = text.to_str().and_then(|text| text.parse().ok()).filter(|said| allowed(*said));
    said.unwrap_or_else(|| {
        panic!("{name} is {text:?}, which is not a number that can be asked for")
    })
}

/// Two tests of each data type.
macro_rules! subjects {
    ($($name:ident: $spec:ty, $subject:ty;)*) => {$(
        mod $name {
            #[test]
            fn random() {
                super::random::<$spec, $subject>();
            }

            #[test]
            fn exhaustive() {
                super::exhaustive::<$spec, $subject>();
            }
        }
    )*};
}

subjects! {
    register: crate::specs::register::Register<u8>, super::subjects::register::Registers;
    queue: crate::specs::queue::Queue<u8>, super::subjects::queue::Queues;
    counter: crate::specs::counter::Counter, super::subjects::counter::Counters;
    set: crate::specs::set::Set<u8>, super::subjects::set::Sets;
    member: crate::specs::member::Member, super::subjects::member::Members;
    list: crate::specs::list::List<u8>, super::subjects::list::Lists;
    transactions: crate::specs::list::Transactions<u8>, super::subjects::transactions::Several;
    lock: crate::specs::lock::Lock, super::subjects::lock::Locks;
    string: crate::specs::string::Text, super::subjects::string::Strings;
}
