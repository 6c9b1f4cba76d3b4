//! From what was typed to a plan with nothing left open.

use super::{Clients, Omitted, Plan, budget, machine, written};
use crate::cli::RunArgs;
use crate::exit::Failure;
use crate::seed::Seed;
use crate::system::{self, SeededBug, Selection, System, Timing};
use faults::{Budget, Fault, Power, Schedule};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

const NODES: std::ops::RangeInclusive<u64> = 1..=9;
const CLIENTS: std::ops::RangeInclusive<u64> = 1..=1_000;
const RATE: std::ops::RangeInclusive<u64> = 1..=100_000;
const KEYS: std::ops::RangeInclusive<u64> = 1..=10_000;
/// With more, a lease would be over before the next heartbeat.
const LEASE_DRIFT: std::ops::RangeInclusive<u64> = 0..=400_000;
const TIME: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
const DEADLINE: Duration = Duration::from_secs(2);
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(1);
/// Of both: shorter ones are lost in what the operating system takes to let a process run.
const SHORTEST_TIMING: Duration = Duration::from_millis(5);
const SEGMENT_BYTES: u64 = 4 << 20;
/// With faults of the disk, so that a node needs space, and has files at rest, every second or so: a
/// hundred writes, of seventy bytes each, as clients at the usual rate make.
const SMALL_SEGMENT_BYTES: u64 = 8 << 10;
const RETIRE_OPERATIONS: u64 = 300;
const RETIRE_UNKNOWN: u64 = 10;

impl Plan {
    /// Decides everything that can be decided before anything starts. Draws only from `seed`.
    ///
    /// # Errors
    /// When a name is unknown, a number out of range, or a fault could not bite.
    pub fn resolve(args: &RunArgs, seed: Seed) -> Result<Self, Failure> {
        let selection = Selection {
            name: args.system.clone(),
            program: args.bin.clone(),
            arguments: args.arguments.clone(),
        };
        let system = system::select(&selection)?;
        let workload = find_workload(&args.workload, system)?;
        check_ranges(args)?;
        system.check_nodes(args.nodes)?;
        let shared_network = machine::check(system)?;
        let timing = find_timing(args, system)?;
        let bug = args.bug.as_deref().map(|name| find_bug(name, system)).transpose()?;
        let needed = bug.as_ref().and_then(|bug| bug.lease_drift_ppm);
        let lease_drift_ppm = args.lease_drift.or(needed);
        if args.lease_drift.is_some() && !system.has_leases() {
            let message = format!("`--lease-drift`: system `{}` has no leases", system.name());
            return Err(Failure::usage(message));
        }
        let Chosen { classes, swarm, omitted } = find_faults(&args.faults, system, args.nodes)?;
        let mut plan = Self {
            plan: Self::FORMAT,
            system: selection.name,
            version: system.has_own_version().then(|| system.version()),
            warning: system.warning(),
            program: selection.program,
            arguments: selection.arguments,
            shared_network,
            workload: workload.to_owned(),
            seed,
            nodes: args.nodes,
            clients: Clients::divide(args.clients, args.nodes),
            rate_per_second: args.rate,
            time: args.time,
            keys: args.keys,
            retire_operations: RETIRE_OPERATIONS,
            retire_unknown: RETIRE_UNKNOWN,
            deadline: DEADLINE.max(args.attempt),
            attempt: args.attempt,
            heartbeat: timing.heartbeat,
            election: timing.election,
            segment_bytes: SEGMENT_BYTES,
            snapshot_every: args.snapshot_every,
            lease_drift_ppm,
            pre_vote: find_pre_vote(args, system)?,
            slow_node: args.slow_node,
            bug: bug.map(|bug| bug.name.to_owned()),
            recovery_limit: system.recovery_limit(timing.election),
            recovery_unclaimed: !system.claims_recovery(),
            fault_budget: claimed(system, args.nodes, lease_drift_ppm),
            faults: classes,
            intensities: BTreeMap::new(),
            swarm,
            omitted,
            schedule: Schedule::default(),
            typed_in: None,
        };
        match &args.schedule {
            Some(path) => plan.take_schedule(path)?,
            None => plan.draw_schedule()?,
        }
        plan.size_segments();
        Ok(plan)
    }

    /// The same plan under the seed of the next run of a series: only what a seed decides changes.
    ///
    /// # Errors
    /// When no schedule can be drawn.
    pub fn with_seed(&self, seed: Seed, keep_schedule: bool) -> Result<Self, Failure> {
        let mut plan = Self { seed, ..self.clone() };
        if !keep_schedule {
            plan.draw_schedule()?;
            plan.size_segments();
        }
        Ok(plan)
    }

    /// Decides how large a segment is, which the classes of fault decide, and so in a swarm the seed.
    fn size_segments(&mut self) {
        let mut classes = self.faults.iter().filter_map(|class| faults::registry::by_name(class));
        let small = classes.any(Fault::wants_new_files);
        self.segment_bytes = if small { SMALL_SEGMENT_BYTES } else { SEGMENT_BYTES };
    }

    /// Lets the seed choose among the classes of a swarm: some, at least one, each with an intensity. What it leaves
    /// out differs from seed to seed, because a class that always strikes may hide what another one would show.
    fn draw_swarm(&mut self) {
        if self.swarm.is_empty() {
            return;
        }
        let mut random = faults::Random::new(self.seed.derive("swarm"), 0);
        let mut left: Vec<String> = self.swarm.clone();
        random.shuffle(&mut left);
        let first = left.pop();
        let chosen: BTreeSet<String> =
            left.into_iter().filter(|_| random.chance(50)).chain(first).collect();
        self.intensities.clear();
        for class in &chosen {
            let choices = faults::Intensity::ALL.map(|intensity| (1, intensity));
            let intensity = random.weighted(&choices).unwrap_or_default();
            if intensity != faults::Intensity::default() {
                self.intensities.insert(class.clone(), intensity);
            }
        }
        self.faults = chosen.into_iter().collect();
    }

    fn draw_schedule(&mut self) -> Result<(), Failure> {
        self.draw_swarm();
        if self.faults.is_empty() {
            return Ok(());
        }
        let settings = faults::Settings {
            classes: self.faults.clone(),
            intensities: self.intensities.clone(),
            nodes: usize::from(self.nodes),
            budget: self.fault_budget,
            work: self.time,
            seed: self.seed.derive("schedule"),
        };
        self.schedule = faults::schedule(&settings).map_err(|error| match error {
            faults::ScheduleError::TooShort { .. } => {
                Failure::usage(error.to_string()).hint("try a longer `--time`")
            }
            _ => Failure::usage(error.to_string()),
        })?;
        Ok(())
    }

    /// Takes the schedule of a file; its classes become those that were asked for.
    fn take_schedule(&mut self, path: &Path) -> Result<(), Failure> {
        let refuse = |why: String| {
            Failure::usage(format!("cannot use the schedule {}: {why}", path.display()))
                .hint("docs/schedules.md shows how one is written; a run's plan holds one under `schedule`")
        };
        let text = std::fs::read_to_string(path).map_err(|e| refuse(e.to_string()))?;
        // What people write begins with no brace.
        let is_json = text.trim_start().starts_with('{');
        let schedule: Schedule = if is_json {
            serde_json::from_str(&text).map_err(|e| refuse(e.to_string()))?
        } else {
            written::parse(&text).map_err(refuse)?
        };
        self.faults = schedule.classes().into_iter().map(str::to_owned).collect();
        self.faults.sort_unstable();
        self.omitted.clear();
        self.swarm.clear();
        self.intensities.clear();
        self.schedule = schedule;
        self.check_schedule()
            .map_err(|failure| Failure { hints: failure.hints, ..refuse(failure.message) })
    }

    /// Whether the plan can be played: its names are known and its schedule, which somebody may have written by hand,
    /// never takes more nodes from the majority than the system has to spare. In which network nodes live is decided anew:
    /// that is the business of the machine it is played on.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check(&mut self) -> Result<(), Failure> {
        let system = system::select(&self.selection())?;
        system.check_nodes(self.nodes)?;
        self.shared_network = machine::check(system)?;
        find_workload(&self.workload, system)?;
        self.check_schedule()
    }

    fn check_schedule(&self) -> Result<(), Failure> {
        let system = system::select(&self.selection())?;
        let mut ids = BTreeSet::new();
        for entry in &self.schedule.entries {
            if !ids.insert(entry.id) {
                return Err(Failure::usage(format!("two entries have the id {}", entry.id)));
            }
            sensible(entry, self.time)
                .map_err(|why| Failure::usage(format!("entry {}: {why}", entry.id)))?;
        }
        for class in self.schedule.classes() {
            bites(find_fault(class, "--schedule")?, system, self.nodes)
                .map_err(|why| Failure::usage(format!("`{class}` cannot bite: {why}")))?;
        }
        let claimed = claimed(system, self.nodes, self.lease_drift_ppm);
        let nodes = usize::from(self.nodes);
        for entry in &self.schedule.entries {
            find_fault(&entry.fault, "--schedule")?
                .check(entry, nodes, &claimed)
                .map_err(|why| Failure::usage(format!("entry {}: {why}", entry.id)))?;
        }
        budget::check(&self.schedule, nodes, &claimed).map_err(Failure::usage)
    }
}

/// Whether an entry that somebody may have written means anything within work of this length, and why not.
fn sensible(entry: &faults::Entry, work: Duration) -> Result<(), String> {
    let fault = find_fault(&entry.fault, "--schedule").map_err(|unknown| unknown.message)?;
    if entry.duration.is_zero() {
        return Err("it lasts no time".to_owned());
    }
    if let faults::Trigger::OnLeaderChange { armed, after, latest } = entry.trigger
        && latest < armed.saturating_add(after)
    {
        return Err("it strikes at the latest before it may strike at all".to_owned());
    }
    if entry.latest_end() > work {
        return Err("it ends after the work does".to_owned());
    }
    if entry.shape.is_some() && !fault.has_shapes() {
        return Err(format!("a {} has no `shape`; leave it out", entry.fault));
    }
    if entry.heal.is_some() && !fault.has_heals() {
        return Err(format!("a {} has no `heal`; leave it out", entry.fault));
    }
    Ok(())
}

/// A workload that can be run with this system.
fn find_workload(name: &str, system: &dyn System) -> Result<&'static str, Failure> {
    let runs = |workload: &&&dyn workloads::Workload| workload.runs();
    let known: Vec<&str> =
        workloads::all().iter().filter(runs).map(|workload| workload.name()).collect();
    match workloads::by_name(name) {
        None => Err(Failure::unknown_name("workload", name, "--workload", &known)),
        Some(workload) if !known.contains(&name) => Err(Failure::usage(format!(
            "histories of workload `{}` can be judged, and nothing here can be run with it; there are: {}",
            workload.name(),
            known.join(", ")
        ))),
        Some(workload) if system.workloads().contains(&name) => Ok(workload.name()),
        Some(_) => Err(Failure::usage(format!(
            "system `{}` has not the operations of workload `{name}`; it has those of: {}",
            system.name(),
            system.workloads().join(", ")
        ))),
    }
}

fn find_timing(args: &RunArgs, system: &dyn System) -> Result<Timing, Failure> {
    let usual = system.timing();
    let given = [
        ("--heartbeat", args.heartbeat.is_some()),
        ("--election", args.election.is_some()),
        ("--snapshot-every", args.snapshot_every.is_some()),
    ];
    if let Some((flag, _)) = given.iter().find(|(_, given)| *given && !system.takes_settings()) {
        let message = format!("`{flag}`: system `{}` does not take it", system.name());
        return Err(Failure::usage(message).hint("say it where its nodes are started"));
    }
    let heartbeat = args.heartbeat.unwrap_or(usual.heartbeat);
    let election = args.election.unwrap_or(usual.election);
    for (flag, given) in [("--heartbeat", heartbeat), ("--election", election)] {
        if !(SHORTEST_TIMING..=Duration::from_secs(60)).contains(&given) {
            let given = crate::duration::text(given);
            return Err(Failure::usage(format!("`{flag} {given}` is out of range: 5ms to 1m")));
        }
    }
    if election < heartbeat * 2 {
        let [heartbeat, election] = [heartbeat, election].map(crate::duration::text);
        return Err(Failure::usage(format!(
            "`--election {election}` with heartbeats of {heartbeat}: one that is late would depose a leader"
        ))
        .hint("give it at least twice the time between heartbeats"));
    }
    let timing = Timing { heartbeat, election };
    system.check_timing(timing).map(|()| timing)
}

fn find_pre_vote(args: &RunArgs, system: &dyn System) -> Result<Option<bool>, Failure> {
    match (args.pre_vote, system.has_pre_vote()) {
        (Some(_), false) => {
            let message = format!("`--pre-vote`: system `{}` leaves no choice", system.name());
            Err(Failure::usage(message))
        }
        (given, true) => Ok(Some(given.unwrap_or(true))),
        (None, false) => Ok(None),
    }
}

fn find_bug(name: &str, system: &dyn System) -> Result<SeededBug, Failure> {
    let bugs = system.bugs();
    let known: Vec<&str> = bugs.iter().map(|bug| bug.name).collect();
    let found = bugs.iter().find(|bug| bug.name == name).copied();
    found.ok_or_else(|| Failure::unknown_name("bug", name, "--bug", &known))
}

/// What the system claims to survive. Leases rest on the declared drift, so with them it claims no greater one.
fn claimed(system: &dyn System, nodes: u16, lease_drift_ppm: Option<u32>) -> Budget {
    let budget = system.fault_budget(nodes);
    let drift_ppm = lease_drift_ppm.map_or(budget.drift_ppm, |ppm| ppm.min(budget.drift_ppm));
    Budget { drift_ppm, ..budget }
}

fn find_fault(name: &str, flag: &str) -> Result<&'static dyn Fault, Failure> {
    let known: Vec<&str> = faults::registry::all().iter().map(|fault| fault.name()).collect();
    faults::registry::by_name(name)
        .ok_or_else(|| Failure::unknown_name("fault", name, flag, &known))
}

/// What `--faults` comes to.
#[derive(Default)]
struct Chosen {
    /// The classes, in order of name and each once.
    classes: Vec<String>,
    /// Those of which a seed chooses, for `swarm`.
    swarm: Vec<String>,
    /// Classes that are left out, with the reason.
    omitted: Vec<Omitted>,
}

/// The classes named; for `all` and `swarm`, those to be had.
fn find_faults(text: &str, system: &dyn System, nodes: u16) -> Result<Chosen, Failure> {
    if text == "none" {
        return Ok(Chosen::default());
    }
    let mut chosen = BTreeSet::new();
    let mut omitted = Vec::new();
    if matches!(text, "all" | "swarm") {
        for fault in faults::registry::all() {
            let wanted = fault.left_out_of_all().map_or(Ok(()), |why| Err(why.to_owned()));
            let named =
                system.only_by_name(fault.power()).map_or(Ok(()), |why| Err(why.to_owned()));
            match wanted.and_then(|()| bites(*fault, system, nodes)).and(named) {
                Ok(()) => {
                    chosen.insert(fault.name().to_owned());
                }
                Err(reason) => omitted.push(Omitted { fault: fault.name().to_owned(), reason }),
            }
        }
        omitted.sort_by(|a, b| a.fault.cmp(&b.fault));
        let classes: Vec<String> = chosen.into_iter().collect();
        let swarm = if text == "swarm" { classes.clone() } else { Vec::new() };
        return Ok(Chosen { classes, swarm, omitted });
    }
    for name in text.split(',').map(str::trim) {
        if matches!(name, "none" | "all" | "swarm") {
            let message = format!("`{name}` in `--faults` cannot stand beside other names");
            return Err(Failure::usage(message));
        }
        let fault = find_fault(name, "--faults")?;
        bites(fault, system, nodes).map_err(|why| {
            Failure::usage(format!("`--faults {name}` cannot bite: {why}"))
                .hint("`--faults none` runs without faults, `--faults all` takes what there is")
        })?;
        chosen.insert(name.to_owned());
    }
    Ok(Chosen { classes: chosen.into_iter().collect(), swarm: Vec::new(), omitted })
}

/// Whether a class can do anything to this system, or why not.
fn bites(fault: &dyn Fault, system: &dyn System, nodes: u16) -> Result<(), String> {
    let power = fault.power();
    if !system.powers().contains(&power) {
        return Err(format!("{} (system `{}`)", power.lacking(), system.name()));
    }
    if let Some(why) = system.does_not_survive(fault.name()) {
        return Err(why.to_owned());
    }
    fault.machine()?;
    if power == Power::Disk {
        machine::disks(system)?;
    }
    if power == Power::Clock {
        let unknown = || format!("system `{}` does not say what its nodes run", system.name());
        faults::clock::preloadable(&system.program().ok_or_else(unknown)?)?;
    }
    let budget = system.fault_budget(nodes);
    let reason = fault.cannot_bite(usize::from(nodes)).or_else(|| fault.beyond(&budget));
    if let Some(reason) = reason {
        return Err(reason);
    }
    if budget.down == 0 {
        return Err(format!("of {nodes} nodes, `{}` can lose none", system.name()));
    }
    Ok(())
}

fn check_ranges(args: &RunArgs) -> Result<(), Failure> {
    within("--nodes", u64::from(args.nodes), &NODES)?;
    within("--clients", args.clients as u64, &CLIENTS)?;
    within("--rate", u64::from(args.rate), &RATE)?;
    within("--keys", args.keys as u64, &KEYS)?;
    if let Some(entries) = args.snapshot_every {
        within("--snapshot-every", entries, &(1..=1_000_000_000))?;
    }
    if let Some(ppm) = args.lease_drift {
        within("--lease-drift", ppm.into(), &LEASE_DRIFT)?;
    }
    if let Some(count) = args.count {
        within("--count", count, &(1..=100_000))?;
    }
    if !TIME.contains(&args.time) {
        let given = crate::duration::text(args.time);
        return Err(Failure::usage(format!("`--time {given}` is out of range: 1s to 24h")));
    }
    if !(SHORTEST_ATTEMPT..=Duration::from_secs(60)).contains(&args.attempt) {
        let given = crate::duration::text(args.attempt);
        return Err(Failure::usage(format!("`--attempt {given}` is out of range: 1ms to 1m")));
    }
    if let Some(node) = args.slow_node.filter(|node| !(1..=args.nodes).contains(&node.0)) {
        let last = args.nodes;
        return Err(Failure::usage(format!("`--slow-node {node}`: the nodes are n1 to n{last}")));
    }
    Ok(())
}

fn within(flag: &str, given: u64, range: &std::ops::RangeInclusive<u64>) -> Result<(), Failure> {
    if range.contains(&given) {
        return Ok(());
    }
    let (low, high) = (range.start(), range.end());
    Err(Failure::usage(format!("`{flag} {given}` is out of range: {low} to {high}")))
}

#[cfg(test)]
mod tests;
