//! Row 8: how the cost grows with the length of a history, from a thousand operations to a million.
//!
//! The slope is that of the line through the points on two logarithmic axes, by least squares: 1 is
//! linear. Points below a millisecond do not count: there the fixed costs of a check are most of
//! it. Two points at least make a line. A kind that could not be decided in a minute, or at all, is
//! not asked about longer histories, and misses the target.

use crate::child::median;
use crate::families::{Family, Recipe};
use crate::rows::{Effort, OURS};
use crate::sample::Who;
use crate::table::{count, duration, say};
use std::io;
use std::time::Duration;

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// The least time that counts for the slope.
const LEAST: Duration = Duration::from_millis(1);
/// Promised.
const STEEPEST: f64 = 1.15;

/// A kind of history, whatever its length.
struct Kind {
    name: &'static str,
    family: Family,
    clients: usize,
    keys: usize,
    unknown_percent: u64,
}

const fn kind(
    name: &'static str,
    family: Family,
    clients: usize,
    (keys, unknown_percent): (usize, u64),
) -> Kind {
    Kind { name, family, clients, keys, unknown_percent }
}

const KINDS: &[Kind] = &[
    kind("register", Family::Register, 100, (1, 0)),
    kind("kv", Family::Register, 50, (1_000, 0)),
    kind("kv mix, 1 % unknown", Family::Mix, 50, (1_000, 1)),
    kind("cas, 5 % unknown", Family::Cas, 20, (1, 5)),
    kind("cas, 20 % unknown", Family::Cas, 20, (1, 20)),
    kind("queue", Family::Queue, 50, (1, 0)),
    kind("counter", Family::Counter, 50, (1, 0)),
    kind("set", Family::Set, 50, (1, 0)),
    kind("set by element", Family::Member, 50, (1_000, 0)),
    kind("list", Family::List, 50, (1, 0)),
    kind("string", Family::String, 50, (1, 0)),
    kind("lock", Family::Lock, 50, (1, 0)),
];

/// What was measured of one kind of history.
pub(crate) struct Line {
    /// For people.
    pub(crate) name: &'static str,
    /// Operations, and the time their check took.
    pub(crate) points: Vec<(usize, Duration)>,
}

/// Measures all kinds and prints a line for each; whether every verdict was right.
pub(crate) fn run(effort: Effort) -> io::Result<(Vec<Line>, bool)> {
    let sizes = || SIZES.into_iter().filter(|size| *size <= effort.most_operations);
    let head: String = sizes().map(|size| format!("{:>12}", count(size))).collect();
    say(&format!("row 8   {:<22}{head}    slope", "operations"))?;
    let (mut lines, mut right) = (Vec::new(), true);
    for kind in KINDS {
        let mut line = Line { name: kind.name, points: Vec::new() };
        let mut text = format!("        {:<22}", kind.name);
        let mut by = String::new();
        for operations in sizes() {
            let Kind { family, clients, keys, unknown_percent, .. } = *kind;
            let recipe = Recipe { family, clients, operations, keys, unknown_percent, seed: 1 };
            match median(&recipe, Who::Ours, effort.repetitions, OURS) {
                Ok(median) => {
                    text.push_str(&format!("{:>12}", duration(median.took)));
                    line.points.push((operations, median.took));
                    by = median.by;
                }
                Err(trouble) => {
                    text.push_str(&format!("{:>12}", trouble.to_string()));
                    right &= !trouble.is_defect();
                    break;
                }
            }
        }
        say(&format!(
            "{text}    {:<34} {by}",
            verdict(&line.points, line.points.len() == sizes().count())
        ))?;
        lines.push(line);
    }
    Ok((lines, right))
}

/// The slope, from where on, and whether it is as promised.
fn verdict(points: &[(usize, Duration)], whole: bool) -> String {
    let counted: Vec<(usize, Duration)> =
        points.iter().copied().filter(|(_, took)| *took >= LEAST).collect();
    let (Some(slope), Some((first, _))) = (slope(&counted), counted.first()) else {
        return "too quick to say".to_owned();
    };
    let kept = if whole && slope <= STEEPEST { "ok" } else { "MISSED" };
    format!("{slope:.2} from {}  ≤ {STEEPEST}  {kept}", count(*first))
}

/// Of the line through the points on logarithmic axes.
fn slope(points: &[(usize, Duration)]) -> Option<f64> {
    if points.len() < 2 {
        return None;
    }
    let logs: Vec<(f64, f64)> =
        points.iter().map(|(size, took)| ((*size as f64).ln(), took.as_secs_f64().ln())).collect();
    let number = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / number;
    let (x, y) = (mean(|log| log.0), mean(|log| log.1));
    let covariance: f64 = logs.iter().map(|log| (log.0 - x) * (log.1 - y)).sum();
    let variance: f64 = logs.iter().map(|log| (log.0 - x).powi(2)).sum();
    Some(covariance / variance)
}
