//! What can be typed.
//!
//! Arguments are taken in two steps: here they are words with a shape, and [`crate::plan`] decides
//! what they mean together. Everything that can be wrong with one becomes a [`Failure`](crate::exit::Failure): one sentence,
//! a hint where there is one, exit code 254.

mod refusal;
mod text;

pub use refusal::parse;

use crate::duration;
use crate::seed::Seed;
use clap::{Args, Parser, Subcommand, ValueEnum};
use history::NodeId;
use std::path::PathBuf;
use std::time::Duration;

/// Tests a distributed system by breaking it and judging what its clients saw.
#[derive(Debug, Parser)]
#[command(
    name = "harness",
    version,
    about = "Breaks a real cluster on purpose and judges what its clients saw",
    before_help = text::EXAMPLES,
    after_help = text::SEE_HELP,
    after_long_help = text::exit_codes_and_files(),
    help_template = text::TEMPLATE,
    disable_help_subcommand = true,
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Break a cluster on purpose and judge what its clients saw
    Run(Box<RunArgs>),
    /// Judge a recorded history or a run folder again
    Check(CheckArgs),
    /// List what there is to choose from
    List(ListArgs),
    /// Break the reference cluster in simulated time, from a seed alone
    Simulate(SimulateArgs),
    /// Run one node of the reference cluster
    Node(crate::node::Args),
    /// Run one Maelstrom node, and carry its messages; started by a deployment
    #[command(hide = true)]
    Maelstrom(crate::system::maelstrom::bridge::Args),
    /// Own the processes of one run; started by `run` itself
    #[command(hide = true)]
    Guardian(crate::guardian::Args),
    /// Be the disks under the nodes of one run; started by its guardian
    #[command(hide = true)]
    Disk(crate::disk::Args),
}

/// `harness run`.
#[derive(Clone, Debug, Args)]
#[command(
    before_help = text::RUN_EXAMPLES,
    after_help = text::SEE_HELP,
    after_long_help = text::exit_codes_and_files(),
    help_template = text::TEMPLATE,
)]
pub struct RunArgs {
    /// The system under test, or a FILE.toml that describes yours; `harness list systems`
    #[arg(long, value_name = "NAME|FILE", default_value = "reference")]
    pub system: String,
    /// The program its nodes run, for a system that leaves the choice
    #[arg(long, value_name = "PATH")]
    pub bin: Option<PathBuf>,
    /// What clients do; `harness list workloads`
    #[arg(long, value_name = "NAME", default_value = "kv")]
    pub workload: String,
    /// Classes of faults, separated by commas, or `none`, `all`, or `swarm` (some of all, by the seed); `harness list faults`
    #[arg(long, value_name = "NAMES", default_value = "partition")]
    pub faults: String,
    /// Nodes of the cluster, 1 to 9
    #[arg(long, value_name = "N", default_value = "5")]
    pub nodes: u16,
    /// Clients at work at once, 1 to 1000
    #[arg(long, value_name = "N", default_value = "10")]
    pub clients: usize,
    /// Operations invoked per second, over all clients
    #[arg(long, value_name = "N", default_value = "500")]
    pub rate: u32,
    /// How long clients work
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    pub time: Duration,
    /// Fixes the plan, not the interleaving; drawn afresh if not given
    #[arg(long, value_name = "SEED")]
    pub seed: Option<Seed>,
    /// Start every node with a seeded bug; `harness list bugs`
    #[arg(long, value_name = "NAME")]
    pub bug: Option<String>,
    /// Keys in use at once
    #[arg(long, value_name = "N", default_value = "8")]
    pub keys: usize,
    /// Longest wait for one attempt of an operation
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = duration::parse)]
    pub attempt: Duration,
    /// Make one node slow for the whole run
    #[arg(long, value_name = "NODE")]
    pub slow_node: Option<NodeId>,
    /// Have every node take a snapshot, and compact its log, after so many entries
    #[arg(long, value_name = "N")]
    pub snapshot_every: Option<u64>,
    /// Let nodes answer reads by lease; no clock is off by more millionths
    ///
    /// The clients that only read then ask for such reads; all others, and the final reads, ask a quorum. Faults of
    /// clocks stay within what is declared here.
    #[arg(long, value_name = "PPM")]
    pub lease_drift: Option<u32>,
    /// Time between two heartbeats of a leader; without it, as is usual for the system
    #[arg(long, hide_short_help = true, value_name = "DURATION", value_parser = duration::parse)]
    pub heartbeat: Option<Duration>,
    /// The shortest election timeout; without it, as is usual for the system
    #[arg(long, hide_short_help = true, value_name = "DURATION", value_parser = duration::parse)]
    pub election: Option<Duration>,
    /// Whether nodes ask before they stand for election whether they could win, where that is a choice [default: true]
    #[arg(long, hide_short_help = true, value_name = "BOOL")]
    pub pre_vote: Option<bool>,
    /// Play the faults of this file (TOML, or the JSON of a plan) instead of drawing them from the seed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["replay", "faults"])]
    pub schedule: Option<PathBuf>,
    /// Play the plan of an earlier run again; timing will differ
    #[arg(long, value_name = "RUN", conflicts_with_all = PLANNED)]
    pub replay: Option<PathBuf>,
    /// Runs, one after the other, each with the next seed
    #[arg(long, value_name = "N", conflicts_with = "until_failure")]
    pub count: Option<u64>,
    /// Run again and again until one run is invalid
    #[arg(long)]
    pub until_failure: bool,
    /// End a run as soon as what was recorded so far is a violation
    #[arg(long)]
    pub fail_fast: bool,
    /// Where run folders go
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// Print exactly the verdict document on stdout
    #[arg(long)]
    pub json: bool,
    /// No progress on stderr
    #[arg(long, short)]
    pub quiet: bool,
    /// Arguments for every node, for a system that takes some
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<String>,
}

/// Everything that a replayed plan fixes already.
const PLANNED: [&str; 19] = [
    "system",
    "bin",
    "arguments",
    "heartbeat",
    "election",
    "pre_vote",
    "workload",
    "faults",
    "nodes",
    "clients",
    "rate",
    "time",
    "seed",
    "bug",
    "keys",
    "attempt",
    "slow_node",
    "snapshot_every",
    "lease_drift",
];

/// `harness check`.
#[derive(Clone, Debug, Args)]
#[command(
    before_help = text::CHECK_EXAMPLES,
    after_help = text::SEE_HELP,
    after_long_help = text::exit_codes_and_files(),
    help_template = text::TEMPLATE,
)]
pub struct CheckArgs {
    /// A history (also as .gz, or `-` for standard input), or the folder of a run
    #[arg(value_name = "FILE|RUN")]
    pub path: PathBuf,
    /// Judge by this workload's spec instead of the one that the header names
    #[arg(long, value_name = "NAME")]
    pub workload: Option<String>,
    /// How the history is written
    ///
    /// auto (look at it), jsonl (ours), edn (Jepsen's history.edn), txt (its history.txt), log (old `INFO jepsen.util`
    /// lines), porcupine (its key-value logs), elle (elle-cli's JSON)
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = format)]
    pub format: Detect,
    /// Take each value of a history from elsewhere for a pair of a key and a value
    #[arg(long)]
    pub independent: bool,
    /// The value of a key that was never written, as JSON, instead of the header's
    #[arg(long, value_name = "VALUE", value_parser = json_value)]
    pub initial: Option<serde_json::Value>,
    /// Take every failed compare-and-set for one that compared unequal
    #[arg(long)]
    pub cas_fail_observes: bool,
    /// Search no longer than this; what is undecided then is unknown
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = budget)]
    pub budget: Duration,
    /// Search with no more memory than this
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = bytes)]
    pub memory: u64,
    /// If the history is valid, write a legal order of each key into this file
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Print exactly the verdict document on stdout
    #[arg(long)]
    pub json: bool,
}

/// How a history is written; none to look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detect(pub Option<history::Format>);

fn format(text: &str) -> Result<Detect, String> {
    match text {
        "auto" => Ok(Detect(None)),
        name => {
            name.parse().map(|format| Detect(Some(format))).map_err(|e| format!("{e}, or auto"))
        }
    }
}

/// `harness list`.
#[derive(Clone, Debug, Args)]
#[command(help_template = text::TEMPLATE)]
pub struct ListArgs {
    /// What to list
    #[arg(value_name = "WHAT")]
    pub what: Listed,
    /// Where run folders are
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

/// `harness simulate`.
#[derive(Clone, Debug, Args)]
#[command(
    before_help = text::SIMULATE_EXAMPLES,
    after_help = text::SEE_HELP,
    after_long_help = text::exit_codes_and_files(),
    help_template = text::TEMPLATE,
)]
pub struct SimulateArgs {
    /// Fixes the run, event by event
    #[arg(long, value_name = "SEED")]
    pub seed: Seed,
    /// Nodes of the cluster, 3 to 7
    #[arg(long, value_name = "N", default_value = "5")]
    pub nodes: u64,
    /// How long, in simulated seconds; 10 or more
    #[arg(long, value_name = "N", default_value = "600")]
    pub seconds: u64,
    /// Give every node a seeded bug; `harness list bugs`
    #[arg(long, value_name = "NAME")]
    pub bug: Option<String>,
    /// Print exactly the verdict document on stdout
    #[arg(long)]
    pub json: bool,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// What clients can do
    Workloads,
    /// What can go wrong
    Faults,
    /// What can be tested
    Systems,
    /// Bugs that a system can be started with
    Bugs,
    /// Runs so far
    Runs,
}

/// A duration in which something can be done.
fn budget(text: &str) -> Result<Duration, String> {
    match duration::parse(text) {
        Ok(Duration::ZERO) => Err(format!("`{text}` decides nothing; give it at least `1ms`")),
        Ok(budget) => Ok(budget),
        Err(error) => Err(error.to_string()),
    }
}

fn json_value(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text)
        .map_err(|_| format!("`{text}` is not JSON; write it like `null`, `0` or `\"text\"`"))
}

/// `2GiB`, `512MiB`, `4096KiB` or a plain number of bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let error = || format!("`{text}` is not a size; write it like `512MiB` or `2GiB`");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(error()),
    };
    let number: u64 = number.parse().map_err(|_| error())?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::{Cli, bytes};
    use clap::CommandFactory;

    #[test]
    fn the_command_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("7"), Ok(7));
        for bad in ["", "GiB", "0", "2GB", "-1", "99999999999GiB"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
