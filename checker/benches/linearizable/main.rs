//! How long a check takes, on what was promised of it, and beside the checkers there were.
//!
//! ```text
//! cargo bench -p checker                            all rows, some minutes
//! cargo bench -p checker -- 4 5                     these rows
//! cargo bench -p checker -- --quick                 up to 100,000 operations, each once
//! cargo bench -p checker -- 8 --plot cost.svg       row 8, and a picture of it
//! cargo bench -p checker -- memory                  what is counted against a limit, and what is taken
//! ```
//!
//! Each row is a few long measurements of a whole check, not many of a short function, so this is
//! a plain program and not a framework's: `families`, with `generate`, `players` and `locks`, makes
//! histories whose verdicts are known, `child` and `sample` have each check measured in a process of its own, `rows` and
//! `scaling` say what is measured and print it, `memory` measures what limits are about, `prior` asks the others.
//!
//! It exits with 1 if any verdict is wrong, since the time of a wrong answer is worth nothing, or if
//! a check of ours died. A target that was missed is printed as such, and so is a history that we
//! could not decide; neither is a failure. Times of a machine that did other work besides do not
//! count.
//!
//! Histories are in memory here; reading them from files is measured with the `harness` (`cargo bench -p harness --bench
//! from_file`). Memory is known on Linux only.

mod child;
mod families;
mod generate;
mod locks;
mod memory;
mod players;
mod plot;
mod prior;
mod rows;
mod sample;
mod scaling;
mod table;

use memory::MEMORY;
use rows::{Effort, ROWS};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, io};
use table::say;

/// The row that `scaling` measures.
const SCALING: &str = "8";

const FULL: Effort =
    Effort { repetitions: 5, most_operations: 1_000_000, patience: Duration::from_secs(5) };
const QUICK: Effort =
    Effort { repetitions: 1, most_operations: 100_000, patience: Duration::from_secs(1) };

/// What was asked for.
struct Wanted {
    effort: Effort,
    /// All, if none is named.
    rows: Vec<String>,
    plot: Option<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, sample @ ..] = &arguments[..]
        && first == child::SAMPLE
    {
        return match child::understand(sample) {
            Some((recipe, who)) => outcome(sample::run(&recipe, who).map(|()| true)),
            None => outcome(Err("these are not the words of a parent".to_owned())),
        };
    }
    if let [first, words @ ..] = &arguments[..]
        && first == memory::OF
    {
        return outcome(memory::child(words).map(|()| true));
    }
    match wanted(arguments) {
        Ok(wanted) => outcome(run(&wanted).map_err(|error| error.to_string())),
        Err(why) => outcome(Err(why)),
    }
}

fn outcome(right: Result<bool, String>) -> ExitCode {
    match right {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            // There is no other way left to complain.
            let _ = say(&format!("error: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn wanted(arguments: Vec<String>) -> Result<Wanted, String> {
    let mut wanted = Wanted { effort: FULL, rows: Vec::new(), plot: None };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // Cargo says so.
            "--bench" => {}
            "--quick" => wanted.effort = QUICK,
            "--plot" => {
                wanted.plot = Some(arguments.next().ok_or("`--plot` needs the name of a file")?);
            }
            row if row == SCALING
                || row == MEMORY
                || ROWS.iter().any(|known| known.name == row) =>
            {
                wanted.rows.push(argument);
            }
            _ => return Err(format!("unknown row or option `{argument}`")),
        }
    }
    if wanted.plot.is_some() && !wanted.wants(SCALING) {
        return Err("`--plot` draws row 8, which is not asked for".to_owned());
    }
    Ok(wanted)
}

impl Wanted {
    fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|wanted| wanted == row)
    }
}

/// Whether every verdict was right.
fn run(wanted: &Wanted) -> io::Result<bool> {
    let mut right = true;
    say(&format!("{} keys at once; time and peak memory of a check", sample::threads()))?;
    for row in ROWS.iter().filter(|row| wanted.wants(row.name)) {
        right &= row.run(wanted.effort)?;
    }
    if wanted.wants(MEMORY) {
        right &= memory::run(wanted.effort.most_operations)?;
    }
    if wanted.wants(SCALING) {
        let (lines, scaled) = scaling::run(wanted.effort)?;
        right &= scaled;
        if let Some(file) = &wanted.plot {
            fs::write(file, plot::svg(&lines))?;
        }
    }
    if !right {
        say("a verdict was wrong, or a check died: see above")?;
    }
    Ok(right)
}
