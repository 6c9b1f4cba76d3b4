//! One measurement, as the parent sees it.
//!
//! Each is made by a child process, this very program, so that what one check left in memory is not
//! in the peak of the next, and one that takes too long or too much can be ended. The limits begin
//! when the history is made.

use crate::families::{Family, Recipe};
use crate::sample::{Who, bytes_of};
use crate::table::{bytes, duration};
use checker::Ruling;
use std::fmt::{self, Display, Formatter};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// What one check said.
struct Said {
    ruling: Ruling,
    by: String,
    took: Duration,
    peak_bytes: u64,
}

/// What several checks of one history came to.
#[derive(Default)]
pub(crate) struct Median {
    pub(crate) took: Duration,
    /// The history and the check together, at most; 0 if unknown.
    pub(crate) peak_bytes: u64,
    /// Which algorithms decided.
    pub(crate) by: String,
}

/// Why there is no figure.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It took longer than this and was ended.
    TooLong(Duration),
    /// It took more memory than this and was ended.
    TooMuch(u64),
    /// It does not know.
    Undecided,
    /// It said this, which is not so.
    Wrong(Ruling),
    /// It ended without an answer.
    Failed(String),
}

impl Trouble {
    /// Whether it is a defect, not only a lack of speed.
    pub(crate) fn is_defect(&self) -> bool {
        matches!(self, Self::Wrong(_) | Self::Failed(_))
    }
}

impl Display for Trouble {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => write!(f, "> {}", duration(*limit)),
            Self::TooMuch(limit) => write!(f, "> {}", bytes(*limit)),
            Self::Undecided => write!(f, "undecided"),
            Self::Wrong(ruling) => write!(f, "WRONG: it says {ruling:?}"),
            Self::Failed(why) => write!(f, "FAILED: {why}"),
        }
    }
}

/// How far a measurement may go.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) time: Duration,
    pub(crate) bytes: u64,
}

/// How long to wait before looking at the memory of a child again.
const PATIENCE: Duration = Duration::from_millis(20);
/// Making a history of a million operations takes a second or two.
const TIME_TO_MAKE: Duration = Duration::from_secs(60);

/// First argument of a child.
pub(crate) const SAMPLE: &str = "--sample";

/// Checks a history several times, each in a child process.
///
/// # Errors
/// When one of the checks goes too far, is wrong, or gives no answer.
pub(crate) fn median(
    recipe: &Recipe,
    who: Who,
    times: usize,
    bounds: Bounds,
) -> Result<Median, Trouble> {
    let mut taken = Vec::with_capacity(times);
    let mut median = Median::default();
    for _ in 0..times {
        let said = measure(recipe, who, bounds)?;
        match said.ruling {
            Ruling::Unknown => return Err(Trouble::Undecided),
            ruling if ruling != recipe.family.expected() => return Err(Trouble::Wrong(ruling)),
            _ => {}
        }
        taken.push(said.took);
        median.peak_bytes = median.peak_bytes.max(said.peak_bytes);
        median.by = said.by;
    }
    taken.sort_unstable();
    median.took = taken.get(times / 2).copied().unwrap_or_default();
    Ok(median)
}

fn measure(recipe: &Recipe, who: Who, bounds: Bounds) -> Result<Said, Trouble> {
    let started = env::current_exe().and_then(|program| {
        Command::new(program)
            .args(arguments(recipe, who))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
    });
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return Err(Trouble::Failed(format!("it could not be started: {error}"))),
    };
    let lines = listen(&mut child);
    let outcome = watch(&child, &lines, bounds);
    // Whether it has ended already does not matter.
    let _ = child.kill();
    let _ = child.wait();
    outcome
}

/// What the child says, line by line.
fn listen(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = channel();
    if let Some(out) = child.stdout.take() {
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    lines
}

fn watch(child: &Child, lines: &Receiver<String>, bounds: Bounds) -> Result<Said, Trouble> {
    match lines.recv_timeout(TIME_TO_MAKE) {
        Ok(_) => {}
        Err(RecvTimeoutError::Timeout) => return Err(Trouble::TooLong(TIME_TO_MAKE)),
        Err(RecvTimeoutError::Disconnected) => {
            return Err(Trouble::Failed("it made no history".to_owned()));
        }
    }
    let begun = Instant::now();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                return parse(&line).ok_or_else(|| Trouble::Failed(format!("it said `{line}`")));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Trouble::Failed("it gave no answer".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
        if status.is_ok_and(|status| bytes_of(&status, "VmRSS:") > bounds.bytes) {
            return Err(Trouble::TooMuch(bounds.bytes));
        }
        if begun.elapsed() > bounds.time {
            return Err(Trouble::TooLong(bounds.time));
        }
    }
}

/// The line that `sample` prints.
fn parse(line: &str) -> Option<Said> {
    let words: Vec<&str> = line.split('\t').collect();
    let [ruling, by, nanos, peak_bytes] = words[..] else { return None };
    let rulings = [Ruling::Valid, Ruling::Invalid, Ruling::Unknown];
    let ruling = rulings.into_iter().find(|known| format!("{known:?}") == ruling)?;
    let took = Duration::from_nanos(nanos.parse().ok()?);
    let peak_bytes = peak_bytes.parse().ok()?;
    Some(Said { ruling, by: by.to_owned(), took, peak_bytes })
}

fn arguments(recipe: &Recipe, who: Who) -> [String; 8] {
    let Recipe { family, clients, operations, keys, unknown_percent, seed } = recipe;
    [
        SAMPLE.to_owned(),
        who.name().to_owned(),
        family.name().to_owned(),
        clients.to_string(),
        operations.to_string(),
        keys.to_string(),
        unknown_percent.to_string(),
        seed.to_string(),
    ]
}

/// Reads what `arguments` wrote, after the first.
pub(crate) fn understand(arguments: &[String]) -> Option<(Recipe, Who)> {
    let [who, family, clients, operations, keys, unknown_percent, seed] = arguments else {
        return None;
    };
    let who = Who::ALL.into_iter().find(|known| known.name() == who)?;
    let recipe = Recipe {
        family: Family::ALL.into_iter().find(|known| known.name() == family)?,
        clients: clients.parse().ok()?,
        operations: operations.parse().ok()?,
        keys: keys.parse().ok()?,
        unknown_percent: unknown_percent.parse().ok()?,
        seed: seed.parse().ok()?,
    };
    Some((recipe, who))
}
