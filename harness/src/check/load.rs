//! Reads what was recorded.

use super::Search;
use super::input::{self, malformed};
use crate::deploy::DeploymentRecord;
use crate::exit::Failure;
use crate::plan::Plan;
use crate::results::{
    Observation, ObservationHeader, Revision, RevisionHeader, RunFolder, read_lines,
};
use crate::system;
use faults::Receipt;
use history::{Header, History, HistoryError, Order, read_jsonl_parallel};
use serde::de::{DeserializeOwned, IgnoredAny};
use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

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
    /// The revisions that came with answers; none of a system that has none.
    pub revisions: Option<Vec<Revision>>,
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
            revisions: None,
        })
    }

    /// Reads a run folder, as far as its run came.
    ///
    /// # Errors
    /// When a file that is there cannot be understood.
    pub fn from_folder(folder: &RunFolder) -> Result<Self, Failure> {
        let plan: Plan = read_plan_to_judge(folder)?;
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
        let mut notes: Vec<String> =
            plan.warning.iter().chain(&history.warnings).cloned().collect();
        let has_revisions = folder.revisions().exists()
            || system::all().iter().any(|one| one.name() == plan.system && one.has_revisions());
        Ok(Self {
            revisions: has_revisions
                .then(|| lines::<RevisionHeader, _>(&folder.revisions(), &mut notes)),
            name: folder.name(),
            history,
            receipts: lines::<IgnoredAny, _>(&folder.faults(), &mut notes),
            observations: lines::<ObservationHeader, _>(&folder.cluster(), &mut notes),
            plan: Some(plan),
            notes,
        })
    }
}

/// The plan of a run, to play it again.
///
/// # Errors
/// When it is missing, malformed or of another version: what a plan of another version leaves open, this one would
/// decide differently.
pub fn read_plan(folder: &RunFolder) -> Result<Plan, Failure> {
    let (version, value) = plan_value(folder)?;
    if version != u64::from(Plan::FORMAT) {
        let message = format!(
            "its format version is {version}, and this version of harness plays version {}",
            Plan::FORMAT
        );
        return Err(unreadable(folder, message).hint(
            "`harness check RUN` still judges the run; to play it, use the version of harness that wrote it",
        ));
    }
    serde_json::from_value(value).map_err(|e| unreadable(folder, e.to_string()))
}

/// The folder from which the paths of a run's plan lead, if that is another one than this and still there.
#[must_use]
pub fn typed_in(folder: &RunFolder) -> Option<PathBuf> {
    let text = std::fs::read(folder.deployment_json()).ok()?;
    let record: DeploymentRecord = serde_json::from_slice(&text).ok()?;
    let here = std::env::current_dir().ok();
    record.directory.filter(|directory| directory.is_dir() && here.as_ref() != Some(directory))
}

/// The same to judge what was recorded, also of version 1: there the budget was a number of nodes.
fn read_plan_to_judge(folder: &RunFolder) -> Result<Plan, Failure> {
    let (version, mut value) = plan_value(folder)?;
    if version == 1 {
        let (down, nodes) = (value["fault_budget"].take(), value["nodes"].clone());
        value["fault_budget"] = serde_json::json!({"down": down, "crash": nodes});
    } else if version != u64::from(Plan::FORMAT) {
        let known = Plan::FORMAT;
        let message = format!("its format version is {version}, known are 1 to {known}");
        return Err(unreadable(folder, message));
    }
    serde_json::from_value(value).map_err(|e| unreadable(folder, e.to_string()))
}

fn unreadable(folder: &RunFolder, why: String) -> Failure {
    Failure::usage(format!("cannot read the plan {}: {why}", folder.plan_json().display()))
}

fn plan_value(folder: &RunFolder) -> Result<(u64, serde_json::Value), Failure> {
    let text = std::fs::read_to_string(folder.plan_json());
    let text = text.map_err(|e| unreadable(folder, e.to_string()))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| unreadable(folder, e.to_string()))?;
    let version = value.get("plan").and_then(serde_json::Value::as_u64);
    let version =
        version.ok_or_else(|| unreadable(folder, "it states no format version".to_owned()))?;
    Ok((version, value))
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
