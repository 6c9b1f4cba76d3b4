//! What a check takes beside its calls, and what it counts against its limit.
//!
//! A limit is kept only if what is counted is not less than what is taken; and a limit that counts far more refuses what
//! there is room for. What is taken is what the process grew by, in a child for each history, so that no
//! memory is used again; what is counted is the least limit within which the check is decided.

use crate::families::{Family, Recipe, Start};
use crate::rows::describe;
use crate::sample::{bytes_of, forget_peak};
use crate::table::say;
use checker::{Call, Coordinates, Judgement, Limits, Options, Ruling, linearizable};
use std::process::Command;
use std::{env, fs, io};

/// Name of the row.
pub(crate) const MEMORY: &str = "memory";
/// First argument of a child.
pub(crate) const OF: &str = "--memory-of";

const OPERATIONS: usize = 200_000;
/// A limit is found to a hundredth.
const NEAR: u64 = 100;
/// More than this is not counted.
const MOST_BYTES: u64 = 8 << 30;

/// One of each algorithm; with compare-and-sets the search.
const FAMILIES: [(Family, u64); 9] = [
    (Family::Register, 1),
    (Family::Queue, 1),
    (Family::Counter, 1),
    (Family::Set, 1),
    (Family::List, 1),
    (Family::String, 1),
    (Family::Lock, 0),
    (Family::Mix, 1),
    (Family::Cas, 20),
];

/// Measures them and prints a line of each; whether each counts what it takes.
pub(crate) fn run(most_operations: usize) -> io::Result<bool> {
    let operations = OPERATIONS.min(most_operations);
    let mut right = true;
    for (family, unknown_percent) in FAMILIES {
        let recipe = Recipe { family, clients: 50, operations, keys: 1, unknown_percent, seed: 1 };
        let what = format!("memory  {:<62}", describe(&recipe, 1));
        let child = Command::new(env::current_exe()?)
            .args([OF, family.name(), &operations.to_string(), &unknown_percent.to_string()])
            .output()?;
        let said = String::from_utf8_lossy(&child.stdout);
        let figures: Vec<f64> =
            said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [taken, counted] = figures[..] else {
            say(&format!("{what} FAILED: it said `{}`", said.trim()))?;
            right = false;
            continue;
        };
        let calls = operations as f64;
        // Pages and what the allocator keeps are not ours to count.
        let kept = taken <= 1.1 * counted;
        right &= kept;
        let verdict = if kept { "ok" } else { "MISSED: more is taken than counted" };
        let figures =
            format!("taken {:>4.0}, counted {:>4.0} bytes a call", taken / calls, counted / calls);
        say(&format!("{what} {figures}  {verdict}"))?;
    }
    Ok(right)
}

/// What a child does: prints what one check takes and counts.
pub(crate) fn child(words: &[String]) -> Result<(), String> {
    let [family, operations, unknown_percent] = words else {
        return Err("these are not the words of a parent".to_owned());
    };
    let number = |word: &String| word.parse::<u64>().map_err(|error| error.to_string());
    let family = Family::ALL.into_iter().find(|known| known.name() == family);
    let recipe = Recipe {
        family: family.ok_or("no such family")?,
        clients: 50,
        operations: number(operations)? as usize,
        keys: 1,
        unknown_percent: number(unknown_percent)?,
        seed: 1,
    };
    match recipe.family {
        Family::Queue => tell(&recipe.queue()),
        Family::Counter => tell(&recipe.counter()),
        Family::Set => tell(&recipe.set()),
        Family::List => tell(&recipe.list()),
        Family::String => tell(&recipe.string()),
        Family::Lock => tell(&recipe.lock()),
        _ => tell(&recipe.register()),
    }
}

fn tell<S: Start>(calls: &[Call<S>]) -> Result<(), String>
where
    Call<S>: Clone,
{
    let handed_in = calls.to_vec();
    forget_peak();
    let before = resident("VmRSS:");
    let judgement = check(handed_in, MOST_BYTES);
    let taken = resident("VmHWM:").saturating_sub(before);
    if judgement.ruling != Ruling::Valid {
        return Err(format!("a legal history is {:?}", judgement.ruling));
    }
    let (mut few, mut enough) = (0, MOST_BYTES);
    while enough - few > 1 + enough / NEAR {
        let bytes = few.midpoint(enough);
        match check(calls.to_vec(), bytes).ruling {
            Ruling::Unknown => few = bytes,
            _ => enough = bytes,
        }
    }
    say(&format!("{taken} {enough}")).map_err(|error| error.to_string())
}

fn check<S: Start>(calls: Vec<Call<S>>, bytes: u64) -> Judgement {
    let options = Options {
        limits: Limits { bytes, steps: u64::MAX },
        threads: 1,
        coordinates: Coordinates::Nanoseconds,
        stop: &|| false,
        label: &|_| None,
        certify: false,
    };
    linearizable(&S::start(), calls, &options)
}

fn resident(name: &str) -> u64 {
    fs::read_to_string("/proc/self/status").map_or(0, |status| bytes_of(&status, name))
}
