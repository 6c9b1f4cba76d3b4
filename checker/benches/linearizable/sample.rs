//! One measurement, as the child process makes it.
//!
//! The child makes its history, says `made`, checks it once, and says what came out in one line,
//! which `child` reads. It is the first check of its process, as it is for whoever checks one
//! history: short checks and long ones alike find no memory that an earlier one has left warm.
//! Making the history and taking the judgement apart is not timed.
//!
//! What is found illegal is checked once more: the operations of each violation, taken alone, must
//! be illegal again. So a false accusation does not pass for a fast one.

use crate::families::{Family, Recipe, Start};
use crate::prior;
use crate::table::say;
use checker::{Call, Coordinates, Judgement, Limits, Options, Ruling, linearizable};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Ours,
    Stateright,
    Todc,
}

impl Who {
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::Stateright, Self::Todc];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "checker",
            Self::Stateright => "stateright",
            Self::Todc => "todc-utils",
        }
    }
}

/// What one check said.
struct Said {
    ruling: Ruling,
    /// Which algorithms decided.
    by: String,
    took: Duration,
    peak_bytes: u64,
}

/// Stateright's tester calls itself once for each operation. Only what is used is really taken.
const STACK_BYTES: usize = 1 << 30;

/// Measures, and prints what `child` reads.
pub(crate) fn run(recipe: &Recipe, who: Who) -> Result<(), String> {
    match recipe.family {
        Family::Queue => measure(|| recipe.queue(), who),
        Family::Counter => measure(|| recipe.counter(), who),
        Family::Member => measure(|| recipe.member(), who),
        Family::Set => measure(|| recipe.set(), who),
        Family::List => measure(|| recipe.list(), who),
        Family::String => measure(|| recipe.string(), who),
        Family::Lock => measure(|| recipe.lock(), who),
        _ if recipe.keys > 1 => measure(|| recipe.store(), who),
        _ => measure(|| recipe.register(), who),
    }
}

fn measure<S: Start>(make: impl Fn() -> Vec<Call<S>>, who: Who) -> Result<(), String> {
    let calls = make();
    tell("made")?;
    forget_peak();
    let Said { ruling, by, took, peak_bytes } = match who {
        Who::Ours => ours(calls, make)?,
        _ => theirs(calls, who)?,
    };
    tell(&format!("{ruling:?}\t{by}\t{}\t{peak_bytes}", took.as_nanos()))
}

fn check<S: Start>(calls: Vec<Call<S>>) -> Judgement {
    let options = Options {
        limits: Limits::default(),
        threads: threads(),
        coordinates: Coordinates::Nanoseconds,
        stop: &|| false,
        label: &|_| None,
        certify: false,
    };
    linearizable(&S::start(), calls, &options)
}

/// How many keys we decide at once.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn ours<S: Start>(calls: Vec<Call<S>>, make: impl Fn() -> Vec<Call<S>>) -> Result<Said, String> {
    let begun = Instant::now();
    let judgement = check(calls);
    let (took, peak_bytes) = (begun.elapsed(), peak_bytes());
    for violation in &judgement.violations {
        let chosen: BTreeSet<u64> = violation.operations.iter().copied().collect();
        let mut calls = make();
        calls.retain(|call| chosen.contains(&call.index));
        if check(calls).ruling != Ruling::Invalid {
            return Err("a violation is not illegal by itself".to_owned());
        }
    }
    let by: Vec<&str> = judgement.algorithms.keys().copied().collect();
    let by = if by.is_empty() { "-".to_owned() } else { by.join("+") };
    Ok(Said { ruling: judgement.ruling, by, took, peak_bytes })
}

fn theirs<S: Start>(calls: Vec<Call<S>>, who: Who) -> Result<Said, String> {
    let mut keys: BTreeMap<Option<String>, Vec<Call<S>>> = BTreeMap::new();
    for call in calls {
        keys.entry(S::key(&call.op)).or_default().push(call);
    }
    let asked = thread::scope(|scope| {
        let ask = || -> Result<(Ruling, Duration), String> {
            let begun = Instant::now();
            let mut ruling = Ruling::Valid;
            for calls in keys.values() {
                let said = match who {
                    Who::Todc => prior::todc(calls),
                    _ => prior::stateright(calls)?,
                };
                if said == Ruling::Invalid {
                    ruling = said;
                }
            }
            Ok((ruling, begun.elapsed()))
        };
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, ask);
        thread.map_err(|error| error.to_string())?.join().map_err(|_| "it panicked".to_owned())?
    });
    let peak_bytes = peak_bytes();
    asked.map(|(ruling, took)| Said { ruling, by: "-".to_owned(), took, peak_bytes })
}

/// Tells the parent.
fn tell(line: &str) -> Result<(), String> {
    say(line).map_err(|error| error.to_string())
}

/// Has the peak begin again from what is in memory now, so that what making the history took does
/// not count. Where that is not allowed it counts.
pub(crate) fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// The most memory this process ever had, history included; 0 where there is no Linux to ask.
fn peak_bytes() -> u64 {
    fs::read_to_string("/proc/self/status").map_or(0, |status| bytes_of(&status, "VmHWM:"))
}

/// A line of a `/proc/*/status`, which counts in kibibytes.
pub(crate) fn bytes_of(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
    kibibytes * 1_024
}
