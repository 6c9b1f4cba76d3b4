//! Reads what was recorded.

use super::Search;
use super::input::{self, malformed};
use crate::exit::Failure;
use crate::plan::Plan;
use crate::results::{Observation, ObservationHeader, RunFolder, read_lines};
use faults::Receipt;
use history::{Header, History, HistoryError, Order, read_jsonl_parallel};
use serde::de::{DeserializeOwned, IgnoredAny};
use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

/// Everything a judgement looks at.
#[derive(Debug)]
pub struct Recorded {
    /// Name of the run folder or of the file.
    pub name: String,
    /// What was asked; none for a history from a file.
    pub plan: Option<Plan>,
    /// What clients saw.
    pub history: History,
    /// What became of the faults.
    pub receipts: Vec<Receipt>,
    /// What was observed of nodes and harness.
    pub observations: Vec<Observation>,
    /// What was odd about the files, in sentences.
    pub notes: Vec<String>,
}

impl Recorded {
    /// Reads a history alone.
    ///
    /// # Errors
    /// When it cannot be read or is no history.
    pub fn from_file(path: &Path, search: &Search) -> Result<Self, Failure> {
        let history = input::read(path, search)?;
        Ok(Self {
            name: input::name(path),
            plan: None,
            notes: history.warnings.clone(),
            history,
            receipts: Vec::new(),
            observations: Vec::new(),
        })
    }

    /// Reads a run folder, as far as its run came.
    ///
    /// # Errors
    /// When a file that is there cannot be understood.
    pub fn from_folder(folder: &RunFolder) -> Result<Self, Failure> {
        let plan: Plan = read_plan(folder)?;
        let nothing = || {
            History::from_events(Header::new(&plan.workload), Vec::new(), Order::Time)
                .map_err(|error| malformed(&folder.history(), &error))
        };
        let history = if folder.history().exists() {
            match open_history(&folder.history())? {
                Err(HistoryError::Empty) => nothing()?,
                other => other.map_err(|error| malformed(&folder.history(), &error))?,
            }
        } else {
            nothing()?
        };
        let mut notes = history.warnings.clone();
        Ok(Self {
            name: folder.name(),
            history,
            receipts: lines::<IgnoredAny, _>(&folder.faults(), &mut notes),
            observations: lines::<ObservationHeader, _>(&folder.cluster(), &mut notes),
            plan: Some(plan),
            notes,
        })
    }
}

/// The plan of a run, for `check` and `run --replay`.
///
/// # Errors
/// When it is missing, malformed or of another version.
pub fn read_plan(folder: &RunFolder) -> Result<Plan, Failure> {
    let path = folder.plan_json();
    let unreadable =
        |error: String| Failure::usage(format!("cannot read the plan {}: {error}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|e| unreadable(e.to_string()))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| unreadable(e.to_string()))?;
    match value.get("plan").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(Plan::FORMAT) => {}
        Some(version) => {
            let known = Plan::FORMAT;
            return Err(unreadable(format!("its format version is {version}, known is {known}")));
        }
        None => return Err(unreadable("it states no format version".to_owned())),
    }
    serde_json::from_value(value).map_err(|e| unreadable(e.to_string()))
}

fn open_history(path: &Path) -> Result<Result<History, HistoryError>, Failure> {
    let refused = |e: std::io::Error| {
        let failure = Failure::usage(format!("cannot read {}: {e}", path.display()));
        if e.kind() == ErrorKind::NotFound {
            failure.hint("`harness list runs` shows the runs there are")
        } else {
            failure
        }
    };
    let file = File::open(path).map_err(refused)?;
    Ok(read_jsonl_parallel(file, crate::check::threads()))
}

/// The lines of a file that a run may not have come to write; a malformed one becomes a note.
fn lines<H: DeserializeOwned, T: DeserializeOwned>(path: &Path, notes: &mut Vec<String>) -> Vec<T> {
    let read = match File::open(path) {
        Ok(file) => read_lines::<H, T>(BufReader::new(file)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.to_string()),
    };
    match read {
        Ok(found) => found.map_or_else(Vec::new, |(_, values)| values),
        Err(problem) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            notes.push(format!("{name} was not used: {problem}"));
            Vec::new()
        }
    }
}
