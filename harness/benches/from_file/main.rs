//! From a history file to its verdict: `harness check` as people run it, a process each time.
//!
//! `cargo bench -p harness --bench from_file` makes two files of a million operations on a thousand keys, by fifty
//! clients that are always busy, and checks each eleven times: `unique` has reads and writes of values of their own, `mix`
//! what the kv workload does, with one outcome in a hundred unknown. Figures are in docs/performance.md, targets in
//! issue 3. The files are in the page cache when they are read, and gone afterwards. The argument `--keep DIR` leaves
//! them in DIR for another look.

mod crowd;

use crowd::Crowd;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Checks of each file; odd, so that one of them is the median.
const TIMES: usize = 11;

/// What is measured, what the clients do, and how many seconds it may take.
const ROWS: [(&str, Crowd, f64); 2] = [
    ("unique", Crowd { kinds: [50, 50, 0, 0], unknown_percent: 0 }, 0.6),
    ("mix", Crowd { kinds: [40, 30, 22, 8], unknown_percent: 1 }, 2.0),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let scratch = tempfile::tempdir()?;
    let directory = match arguments.iter().map(String::as_str).collect::<Vec<&str>>()[..] {
        [] => scratch.path(),
        ["--keep", directory] => Path::new(directory),
        _ => return Err("expected no argument, or `--keep DIR`".into()),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "| file | bytes | median | least | most | asked for |")?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for (name, crowd, asked) in ROWS {
        let path = directory.join(name).with_extension("jsonl");
        crowd.write(BufWriter::new(File::create(&path)?))?;
        let megabytes = path.metadata()?.len() / 1_000_000;
        let mut times = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            times.push(check(&path)?);
        }
        times.sort_unstable();
        let [median, least, most] = [TIMES / 2, 0, TIMES - 1].map(|at| times[at].as_secs_f64());
        writeln!(
            out,
            "| {name} | {megabytes} MB | {median:.2} s | {least:.2} s | {most:.2} s | ≤ {asked} s |"
        )?;
    }
    Ok(())
}

/// How long one check takes, from the start of its process to the end. Any verdict but valid is an error.
fn check(path: &Path) -> Result<Duration, Box<dyn Error>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.arg("check").arg(path).stdin(Stdio::null()).stdout(Stdio::null());
    let started = Instant::now();
    let status = command.status()?;
    let took = started.elapsed();
    match status.success() {
        true => Ok(took),
        false => Err(format!("a legal history was not found to be valid: {status}").into()),
    }
}
