//! `harness list`: what there is to choose from, and the runs so far.

use crate::cli::Listed;
use crate::exit::Failure;
use crate::results::{RunFolder, list_runs};
use crate::system;
use crate::verdict::VerdictDocument;
use faults::Fault;
use std::path::Path;

/// The rows of a list: a name and one sentence about it.
///
/// # Errors
/// When the results folder cannot be read.
pub fn rows(what: Listed, results: &Path) -> Result<Vec<(String, String)>, Failure> {
    let named = |name: &str, about: &str| (name.to_owned(), about.to_owned());
    Ok(match what {
        Listed::Workloads => {
            workloads::all().iter().map(|one| named(one.name(), one.about())).collect()
        }
        Listed::Faults => {
            let here = |one: &&dyn Fault| (one.name().to_owned(), about_fault(*one));
            faults::registry::all().iter().map(here).collect()
        }
        Listed::Systems => {
            let own = named("FILE.toml", "yours, described in a file: docs/your-system.md");
            system::all().iter().map(|one| named(one.name(), one.about())).chain([own]).collect()
        }
        Listed::Bugs => system::all()
            .iter()
            .flat_map(|one| one.bugs())
            .map(|bug| named(bug.name, bug.about))
            .collect(),
        Listed::Runs => {
            let runs = list_runs(results).map_err(|e| Failure::usage(e.to_string()))?;
            runs.iter().map(|run| (run.name(), about(run))).collect()
        }
    })
}

/// What it does, what it needs of the machine and whether that is here, and why `all` leaves it out.
fn about_fault(fault: &dyn Fault) -> String {
    let mut about = fault.about().to_owned();
    if let Some(needs) = fault.needs() {
        let here =
            fault.machine().map_or_else(|why| format!("not here: {why}"), |()| "here".to_owned());
        about.push_str(&format!(" [needs {needs}: {here}]"));
    }
    if let Some(why) = fault.left_out_of_all() {
        about.push_str(&format!(" [not part of `all`: {why}]"));
    }
    about
}

/// What is known of a run: its verdict and the first check that says so.
fn about(run: &RunFolder) -> String {
    let read = std::fs::read(run.verdict()).ok();
    let document = read.and_then(|bytes| serde_json::from_slice::<VerdictDocument>(&bytes).ok());
    match document {
        None => "no verdict".to_owned(),
        Some(document) if document.provisional => "not finished".to_owned(),
        Some(document) => {
            let operations = crate::terminal::status::count(document.totals().total(), "operation");
            format!("{:<7}  {operations}", document.verdict.to_string())
        }
    }
}
