//! The rows: what is measured, what was promised, and how one row is printed.
//!
//! A row is a history, or several of one kind by different seeds; each is checked several times.
//! The time of a history is the median of those, the time of the row that of its slowest history;
//! the memory is the most of all. Below it the same clients, at the sizes that the checkers beside
//! ours can still do, and at those they cannot.

use crate::child::{Bounds, Median, Trouble, median};
use crate::families::{Family, Recipe};
use crate::sample::Who;
use crate::table::{bytes, count, duration, ratio, say};
use std::io;
use std::time::Duration;

/// One row.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Its seed is one of the seeds.
    recipe: Recipe,
    seeds: &'static [u64],
    /// Promised: the slowest takes no longer, and no more bytes.
    longest: Duration,
    most_bytes: Option<u64>,
    beside: &'static [Recipe],
}

/// How thorough.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) repetitions: usize,
    pub(crate) most_operations: usize,
    /// How long a checker beside ours may take.
    pub(crate) patience: Duration,
}

/// What ours may take before it is ended: far beyond every promise.
pub(crate) const OURS: Bounds = Bounds { time: Duration::from_secs(60), bytes: 8 << 30 };
const MOST_BYTES_BESIDE: u64 = 4 << 30;

const fn recipe(
    family: Family,
    clients: usize,
    operations: usize,
    (keys, unknown_percent): (usize, u64),
) -> Recipe {
    Recipe { family, clients, operations, keys, unknown_percent, seed: 1 }
}

/// Seeds whose one changed answer no order explains.
const ILLEGAL: &[u64] = &[5, 8, 16, 26, 43, 46, 51, 68];

/// All rows but the eighth, which is `scaling`.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "2",
        recipe: recipe(Family::Register, 100, 1_000_000, (1, 0)),
        seeds: &[1],
        longest: Duration::from_millis(300),
        most_bytes: Some(400_000_000),
        beside: &[
            recipe(Family::Register, 5, 100, (1, 0)),
            recipe(Family::Register, 5, 1_000, (1, 0)),
            recipe(Family::Register, 100, 1_000, (1, 0)),
        ],
    },
    Row {
        name: "3",
        recipe: recipe(Family::Register, 50, 1_000_000, (1_000, 0)),
        seeds: &[1],
        longest: Duration::from_millis(600),
        most_bytes: None,
        beside: &[
            recipe(Family::Register, 50, 5_000, (500, 0)),
            recipe(Family::Register, 50, 1_000_000, (1_000, 0)),
        ],
    },
    Row {
        name: "3b",
        recipe: recipe(Family::Mix, 50, 1_000_000, (1_000, 1)),
        seeds: &[1],
        longest: Duration::from_secs(2),
        most_bytes: None,
        beside: &[
            recipe(Family::Mix, 50, 5_000, (500, 1)),
            recipe(Family::Mix, 50, 1_000_000, (1_000, 1)),
        ],
    },
    Row {
        name: "4",
        recipe: recipe(Family::Cas, 20, 10_000, (1, 20)),
        seeds: &[1, 2, 3],
        longest: Duration::from_millis(100),
        most_bytes: None,
        beside: &[
            recipe(Family::Cas, 5, 300, (1, 1)),
            recipe(Family::Cas, 5, 300, (1, 20)),
            recipe(Family::Cas, 20, 10_000, (1, 20)),
        ],
    },
    Row {
        name: "5",
        recipe: recipe(Family::Stale, 20, 300, (1, 0)),
        seeds: ILLEGAL,
        longest: Duration::from_millis(100),
        most_bytes: None,
        beside: &[
            recipe(Family::Stale, 5, 100, (1, 0)),
            Recipe { seed: ILLEGAL[0], ..recipe(Family::Stale, 20, 300, (1, 0)) },
        ],
    },
    Row {
        name: "6",
        recipe: recipe(Family::Queue, 50, 1_000_000, (1, 0)),
        seeds: &[1],
        longest: Duration::from_millis(300),
        most_bytes: None,
        beside: &[recipe(Family::Queue, 5, 100, (1, 0)), recipe(Family::Queue, 50, 1_000, (1, 0))],
    },
    Row {
        name: "7",
        recipe: recipe(Family::Counter, 50, 1_000, (1, 0)),
        seeds: &[1],
        longest: Duration::from_millis(100),
        most_bytes: None,
        beside: &[
            recipe(Family::Counter, 8, 200, (1, 0)),
            recipe(Family::Counter, 50, 1_000, (1, 0)),
        ],
    },
    Row {
        name: "7",
        recipe: recipe(Family::Counter, 50, 100_000, (1, 0)),
        seeds: &[1],
        longest: Duration::from_secs(1),
        most_bytes: None,
        beside: &[],
    },
];

impl Row {
    /// Measures the row and prints its lines; whether every verdict was right.
    pub(crate) fn run(&self, effort: Effort) -> io::Result<bool> {
        let asked = self.recipe.operations.min(effort.most_operations);
        let recipe = Recipe { operations: asked, ..self.recipe };
        let what = format!("row {:<3} {:<62}", self.name, describe(&recipe, self.seeds.len()));
        let mut right = match self.slowest(&recipe, effort) {
            Ok(median) => {
                let figures = format!(
                    "{:<13} {:>9} {:>8}",
                    median.by,
                    duration(median.took),
                    bytes(median.peak_bytes)
                );
                let whole = asked == self.recipe.operations;
                let promise = if whole { self.promise(&median) } else { String::new() };
                say(format!("{what} {figures}  {promise}").trim_end())?;
                true
            }
            Err(trouble) => {
                say(&format!("{what} {trouble}  MISSED"))?;
                !trouble.is_defect()
            }
        };
        for recipe in self.beside {
            let recipe = Recipe { operations: recipe.operations.min(asked), ..*recipe };
            right &= beside(&recipe, effort)?;
        }
        Ok(right)
    }

    /// The slowest of the histories, with the most memory of all.
    fn slowest(&self, recipe: &Recipe, effort: Effort) -> Result<Median, Trouble> {
        let mut slowest = Median::default();
        for seed in self.seeds {
            let recipe = Recipe { seed: *seed, ..*recipe };
            let median = median(&recipe, Who::Ours, effort.repetitions, OURS)?;
            slowest.peak_bytes = slowest.peak_bytes.max(median.peak_bytes);
            if median.took > slowest.took {
                (slowest.took, slowest.by) = (median.took, median.by);
            }
        }
        Ok(slowest)
    }

    fn promise(&self, median: &Median) -> String {
        let memory = self.most_bytes.map(|most| format!(" ≤ {}", bytes(most)));
        let kept = median.took <= self.longest
            && self.most_bytes.is_none_or(|most| median.peak_bytes <= most);
        format!(
            "target ≤ {}{}  {}",
            duration(self.longest),
            memory.unwrap_or_default(),
            if kept { "ok" } else { "MISSED" }
        )
    }
}

/// Gives one history to all checkers; whether none of them was wrong.
fn beside(recipe: &Recipe, effort: Effort) -> io::Result<bool> {
    let mut line = format!("        {:<62}", describe(recipe, 1));
    let mut right = true;
    let mut ours = None;
    for who in Who::ALL {
        let bounds = match who {
            Who::Ours => OURS,
            _ => Bounds { time: effort.patience, bytes: MOST_BYTES_BESIDE },
        };
        let said = match median(recipe, who, effort.repetitions.min(3), bounds) {
            Ok(median) => {
                let times = ours.map(|ours| format!(" ({})", ratio(median.took, ours)));
                ours = ours.or(Some(median.took));
                format!("{}{}", duration(median.took), times.unwrap_or_default())
            }
            Err(trouble) => {
                // That another gives up or dies of its depth is no defect of this.
                right &= !matches!(
                    (&trouble, who),
                    (Trouble::Wrong(_), _) | (Trouble::Failed(_), Who::Ours)
                );
                match (&trouble, ours) {
                    (Trouble::TooLong(limit), Some(ours)) => {
                        format!("{trouble} (> {})", ratio(*limit, ours))
                    }
                    _ => trouble.to_string(),
                }
            }
        };
        line.push_str(&format!(" {:<32}", format!("{} {said}", who.name())));
    }
    say(line.trim_end())?;
    Ok(right)
}

/// A recipe for people.
pub(crate) fn describe(recipe: &Recipe, seeds: usize) -> String {
    let mut words = vec![format!("{}, {} clients", recipe.family.title(), recipe.clients)];
    if recipe.keys > 1 {
        words.push(format!("{} keys", count(recipe.keys)));
    }
    if recipe.unknown_percent > 0 {
        words.push(format!("{} % unknown", recipe.unknown_percent));
    }
    words.push(format!("{} ops", count(recipe.operations)));
    if seeds > 1 {
        words.push(format!("worst of {seeds}"));
    }
    words.join(", ")
}
