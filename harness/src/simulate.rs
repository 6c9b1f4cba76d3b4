//! `harness simulate`: the reference cluster in simulated time, judged like any other.
//!
//! Nothing here depends on the machine: a seed fixes the run, event by event, and so the answer, byte by byte.
//! Three checks are merged worst-wins. *Promises*: the simulator's oracle saw every message and every disk.
//! *Linearizable*: what the clients saw is judged as a history from a file would be. *Coverage*: a clean run in
//! which nothing went wrong is no pass; a witness that is missing makes it unknown. Each cluster of the
//! simulation is judged by itself, and the first that fails ends it.
//!
//! Two clocks are looked at: the budget of a search, which can turn an answer into unknown and into nothing else, and
//! that of the progress on stderr, which is no part of the answer.

use crate::check::{self, Recorded, Search};
use crate::cli::SimulateArgs;
use crate::event::{Event, Sink};
use crate::exit::{Exit, Failure};
use crate::system::reference::simulate::{Episode, Simulation, Smallest, smallest};
use crate::terminal::style::Style;
use crate::terminal::{self, Terminal, simulated, summary};
use crate::verdict::{Check, Mark, Ruling, Seconds, VerdictDocument};
use history::History;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What every clean simulation must have gone through to be called valid.
const DEMANDED: [&str; 7] = [
    "changes of leader",
    "crashes",
    "entries committed after a crash",
    "lost messages",
    "truncated logs",
    "snapshots installed",
    "changes of members",
];

/// Simulates, judges, prints.
///
/// # Errors
/// When an argument is out of range, or the answer cannot be written.
pub fn execute(args: &SimulateArgs) -> Result<Exit, Failure> {
    let simulation = Simulation {
        seed: args.seed.0,
        nodes: args.nodes,
        seconds: args.seconds,
        bug: args.bug.clone(),
    };
    simulation.refuse_what_it_cannot_reach()?;
    let mut sum = Sum::default();
    let (episodes, start) = (simulation.episodes()?, Instant::now());
    let progress = Terminal::new(false);
    progress.emit(start.elapsed(), sum.progress(&simulation));
    for episode in episodes {
        let episode = episode?;
        sum.add(&episode)?;
        progress.emit(start.elapsed(), sum.progress(&simulation));
        if sum.failed() {
            sum.smallest = smallest(&episode, |history| {
                let judged = judge(history, &sum.search);
                judged.is_ok_and(|document| document.verdict == Ruling::Invalid)
            });
            sum.episode = episode.number;
            break;
        }
    }
    progress.finish();
    let (document, smallest) = sum.document(&simulation);
    let exit = Exit::from(document.verdict);
    let text = if args.json {
        summary::json(&VerdictDocument { seconds: Seconds::default(), ..document })?
    } else {
        let again = again(&simulation);
        simulated::render(&document, smallest.as_ref(), &again, &Style::stdout())
    };
    terminal::to_stdout(&text)?;
    Ok(exit)
}

/// The command that repeats a simulation.
fn again(simulation: &Simulation) -> String {
    let Simulation { seed, nodes, seconds, bug } = simulation;
    let bug = bug.as_ref().map_or(String::new(), |bug| format!(" --bug {bug}"));
    format!("harness simulate --seed {seed} --nodes {nodes} --seconds {seconds}{bug}")
}

fn judge(history: History, search: &Search) -> Result<VerdictDocument, Failure> {
    let recorded = Recorded {
        name: "simulate".to_owned(),
        plan: None,
        history,
        receipts: Vec::new(),
        observations: Vec::new(),
        revisions: None,
        notes: Vec::new(),
    };
    check::judge(&recorded, search).map(|(document, _)| document)
}

/// All clusters so far.
#[derive(Debug, Default)]
struct Sum {
    /// How hard to look at each history.
    search: Search,
    document: Option<VerdictDocument>,
    /// Histories, and keys, that were judged.
    judged: (u64, u64),
    /// The worst answer about a history.
    worst: Option<Check>,
    promises: Option<Check>,
    witnesses: BTreeMap<&'static str, u64>,
    marks: Mark,
    simulated: Duration,
    episode: u64,
    smallest: Option<Smallest>,
}

impl Sum {
    fn add(&mut self, episode: &Episode) -> Result<(), Failure> {
        let Episode { number, broken, history, witnesses, marks, simulated, .. } = episode;
        let mut judged = judge(history.clone(), &self.search)?;
        for (name, count) in witnesses {
            *self.witnesses.entry(name).or_default() += count;
        }
        self.marks.reached += marks.0;
        self.marks.triggered += marks.1;
        self.simulated += *simulated;
        self.judged.0 += 1;
        let check = judged.checks.remove(0);
        self.judged.1 += check.facts.get("keys").and_then(serde_json::Value::as_u64).unwrap_or(0);
        if check.verdict > self.worst.as_ref().map_or(Ruling::Valid, |worst| worst.verdict) {
            self.worst = Some(check.fact("episode", *number));
        }
        if let Some((promise, text, time)) = broken {
            let message =
                format!("{promise}: {text}, {:.3} s into episode {number}", time.as_secs_f64());
            let check = Check::new("promises", Ruling::Invalid, message);
            self.promises = Some(check.fact("episode", *number).fact("promise", promise.clone()));
        }
        match &mut self.document {
            None => self.document = Some(judged),
            Some(document) => {
                for (f, count) in judged.counts {
                    let sum = document.counts.entry(f).or_default();
                    sum.ok += count.ok;
                    sum.fail += count.fail;
                    sum.info += count.info;
                }
            }
        }
        Ok(())
    }

    fn progress(&self, simulation: &Simulation) -> Event {
        let total = Duration::from_secs(simulation.seconds);
        Event::Simulated { simulated: self.simulated, total, clusters: self.judged.0 }
    }

    fn failed(&self) -> bool {
        self.promises.is_some()
            || self.worst.as_ref().is_some_and(|check| check.verdict == Ruling::Invalid)
    }

    fn document(self, simulation: &Simulation) -> (VerdictDocument, Option<Smallest>) {
        let coverage = self.coverage();
        let Sum { document, judged: (histories, keys), worst, promises, witnesses, marks, .. } =
            self;
        let valid = |name: &str, text: String| Check::new(name, Ruling::Valid, text);
        let linearizable = worst.unwrap_or_else(|| {
            let text = format!("{keys} keys in {histories} histories");
            valid("linearizable", text).fact("keys", keys).fact("histories", histories)
        });
        let mut promises = promises
            .unwrap_or_else(|| valid("promises", "kept at every step, on every disk".to_owned()));
        if let Some(Smallest { actions, .. }) = &self.smallest {
            promises = promises.fact("actions", actions.clone());
        }
        let mut document = document.unwrap_or_else(|| VerdictDocument::provisional("simulate"));
        document.checks = vec![linearizable, promises, coverage];
        document.verdict = VerdictDocument::worst(&document.checks);
        document.provisional = false;
        document.coverage.leader_changes = witnesses.get(DEMANDED[0]).copied().unwrap_or(0);
        if let Some(bug) = &simulation.bug {
            document.coverage.marks.insert(bug.clone(), marks);
        }
        document.seconds = Seconds { run: self.simulated.as_secs_f64(), ..Seconds::default() };
        (document, self.smallest)
    }

    /// Nothing wrong was seen: but was there anything to see?
    fn coverage(&self) -> Check {
        let missing: Vec<&str> = DEMANDED
            .into_iter()
            .filter(|name| self.witnesses.get(name).copied().unwrap_or(0) == 0)
            .collect();
        let mut check = if missing.is_empty() {
            let told = |(name, count): (&&str, &u64)| format!("{count} {name}");
            let told: Vec<String> = self.witnesses.iter().map(told).collect();
            Check::new("coverage", Ruling::Valid, told.join(" · "))
        } else {
            let text = format!("there were no {}", missing.join(", no "));
            let mut check = Check::new("coverage", Ruling::Unknown, text);
            check.hints.push("a longer `--seconds` gives everything more chances".to_owned());
            check
        };
        for (name, count) in &self.witnesses {
            check = check.fact(&name.replace(' ', "_"), *count);
        }
        check
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    fn simulation() -> Simulation {
        Simulation { seed: 1, nodes: 3, seconds: 60, bug: None }
    }

    fn document_of(mut sum: Sum) -> VerdictDocument {
        for episode in simulation().episodes().unwrap() {
            sum.add(&episode.unwrap()).unwrap();
        }
        // What is asked here is what follows from the history alone.
        sum.witnesses = DEMANDED.into_iter().map(|name| (name, 1)).collect();
        sum.document(&simulation()).0
    }

    #[test]
    fn a_history_that_was_not_decided_makes_it_unknown() {
        let document = document_of(Sum::default());
        assert_eq!((document.verdict, Exit::from(document.verdict)), (Ruling::Valid, Exit::Valid));
        let sum = Sum::default();
        sum.search.cut.store(true, Ordering::Relaxed);
        let document = document_of(sum);
        assert_eq!(document.checks[0].verdict, Ruling::Unknown, "{:?}", document.checks[0]);
        assert_eq!(Exit::from(document.verdict), Exit::Unknown);
    }

    #[test]
    fn each_witness_is_demanded() {
        let witnesses = |missing: &str| {
            let count = |name: &'static str| (name, u64::from(name != missing));
            Sum { witnesses: DEMANDED.map(count).into(), ..Sum::default() }.coverage()
        };
        assert_eq!(witnesses("none").verdict, Ruling::Valid);
        for name in DEMANDED {
            let check = witnesses(name);
            assert_eq!(check.verdict, Ruling::Unknown);
            assert!(check.message.contains(name), "{check:?}");
        }
    }
}
