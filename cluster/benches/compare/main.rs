//! This cluster beside etcd's, on the same disk, under the same load from the same client.
//!
//! ```text
//! cargo bench -p cluster --bench compare                        all rows, some minutes
//! cargo bench -p cluster --bench compare -- writes reads        these rows
//! cargo bench -p cluster --bench compare -- --seconds 10 --rounds 5 --kills 20
//! cargo bench -p cluster --bench compare -- --write docs/performance.md
//! ```
//!
//! Each cluster is three processes on loopback with their data in the system's directory for temporary files
//! (`TMPDIR` chooses the disk; in memory the figures mean nothing). Both sync every write, beat every
//! 100 ms and wait a second for a silent leader, which is etcd's default; all else is each one's
//! default. Clients run in this process, on one thread, at the leader. Ours and etcd's take turns, window
//! by window; of each window the first second is dropped; a figure is the median over windows.
//!
//! Of the processor time of the machine, what is not the clusters' or this program's is others'. A window in
//! which they used more than a tenth of a core is marked "disturbed": its rates and latencies say little, its
//! processor time per operation is still a fair comparison.
//!
//! Without `etcd` on the path it says so and prints its own figures. It exits with 1 if it could not
//! measure; a target that was missed is printed as such and is no failure.

mod client;
mod cpu;
mod etcd;
mod failover;
mod load;
mod processes;
mod rows;
mod table;

use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use client::Who;
use processes::{Cluster, ELECTION, HEARTBEAT};
use rows::{Pair, ROWS};
use table::say;
use tokio::signal::unix::{SignalKind, signal};

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// The heading of the section of a file that `--write` replaces.
const SECTION: &str = "## Cluster beside etcd";

/// What was asked for.
struct Wanted {
    rows: Vec<String>,
    window: Duration,
    rounds: usize,
    kills: usize,
    /// A file whose section is to be written anew.
    write: Option<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match &arguments[..] {
        [first, rest @ ..] if first == processes::NODE => processes::serve_node(rest),
        [first, rest @ ..] if first == processes::ETCD => processes::serve_etcd(rest),
        _ => understand(&arguments).and_then(|wanted| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(until_stopped(compare(&wanted)))
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error of a child is its log; a parent has nowhere else to complain.
            drop(std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{error}\n")));
            ExitCode::FAILURE
        }
    }
}

/// Ends in order on SIGINT and SIGTERM, too: what is dropped takes its processes and files with it.
async fn until_stopped(work: impl Future<Output = Result<()>>) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = work => result,
        _ = interrupt.recv() => Err("interrupted".into()),
        _ = terminate.recv() => Err("stopped".into()),
    }
}

fn understand(arguments: &[String]) -> Result<Wanted> {
    let (window, rounds, kills) = (Duration::from_secs(5), 3, 20);
    let mut wanted = Wanted { rows: Vec::new(), window, rounds, kills, write: None };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            // Cargo says this to every benchmark.
            "--bench" => {}
            "--seconds" => wanted.window = Duration::from_secs(value()?.parse::<u64>()?.max(1)),
            "--rounds" => wanted.rounds = value()?.parse::<usize>()?.max(1),
            "--kills" => wanted.kills = value()?.parse::<usize>()?.max(1),
            "--write" => wanted.write = Some(value()?.clone()),
            row if ROWS.contains(&row) => wanted.rows.push(row.to_owned()),
            other => {
                return Err(
                    format!("{other} is neither a row ({}) nor a flag", ROWS.join(", ")).into()
                );
            }
        }
    }
    if wanted.rows.is_empty() {
        wanted.rows = ROWS.map(str::to_owned).into();
    }
    Ok(wanted)
}

async fn compare(wanted: &Wanted) -> Result<()> {
    let version = processes::etcd_version();
    let ours = env!("CARGO_PKG_VERSION");
    let (window, rounds) = (wanted.window.as_secs(), wanted.rounds);
    let etcd = version.as_ref().map_or("no etcd here".to_owned(), |v| format!("etcd {v}"));
    let setting = format!(
        "cluster {ours}, {etcd}; 3 nodes each on one disk, every write synced, heartbeat {} ms, election timeout \
         {} ms; values of 256 bytes, 10,000 keys; windows of {window} s in turns, {rounds} of each, medians; \
         load average at the start {}",
        HEARTBEAT.as_millis(),
        ELECTION.as_millis(),
        load_average(),
    );
    say(&setting)?;
    if version.is_none() {
        say("etcd is not on the path: only this cluster is measured")?;
    }
    let mut pair = Pair {
        ours: Cluster::start(Who::Ours).await?,
        etcd: match version {
            Some(_) => Some(Cluster::start(Who::Etcd).await?),
            None => None,
        },
    };
    let mut lines = Vec::new();
    for row in &wanted.rows {
        say(&format!("{row}:"))?;
        lines.extend(rows::measure(row, &mut pair, wanted).await?);
    }
    let table = table::markdown(&lines);
    say(&format!("\n{table}"))?;
    match &wanted.write {
        Some(file) => write_section(file, &format!("{setting}.\n\n{table}")),
        None => Ok(()),
    }
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// Replaces a section of a Markdown file, up to the next heading of its level, or adds it at the end.
fn write_section(file: &str, content: &str) -> Result<()> {
    let text = fs::read_to_string(file)?;
    let (before, rest) = text.split_once(SECTION).unwrap_or((&text, ""));
    let after = rest.find("\n## ").map_or("", |at| &rest[at..]);
    let after = if after.is_empty() { String::new() } else { format!("\n{}", after.trim_start()) };
    fs::write(file, format!("{}\n\n{SECTION}\n\n{content}{after}", before.trim_end()))?;
    Ok(())
}
