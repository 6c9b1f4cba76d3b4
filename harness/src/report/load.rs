//! The files of a run folder, as far as they are there.
//!
//! A report is most wanted when a run went wrong, so nothing is required: what is missing or unreadable becomes a
//! sentence on the page, and the rest is drawn.

use crate::deploy::DeploymentRecord;
use crate::plan::Plan;
use crate::results::{Observation, ObservationHeader, RunFolder, read_lines};
use crate::verdict::VerdictDocument;
use faults::Receipt;
use history::{History, NodeId, read_jsonl_parallel};
use serde::de::{DeserializeOwned, IgnoredAny};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

/// What a run left behind.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) run: String,
    pub(super) plan: Option<Plan>,
    /// What the system called itself, if that is on file.
    pub(super) system: Option<String>,
    pub(super) verdict: Option<VerdictDocument>,
    pub(super) history: Option<History>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) observations: Vec<Observation>,
    /// Files found, in the order in which they are listed.
    pub(super) files: Vec<String>,
    /// What could not be read, in sentences.
    pub(super) notes: Vec<String>,
}

impl Inputs {
    /// Reads all there is.
    pub(super) fn load(folder: &RunFolder) -> Self {
        let mut inputs = Self { run: folder.name(), ..Self::default() };
        let notes = &mut inputs.notes;
        inputs.plan = document(&folder.plan_json(), notes);
        // Of a run that came to have no nodes there is none.
        inputs.system = std::fs::read(folder.deployment_json())
            .ok()
            .and_then(|text| serde_json::from_slice::<DeploymentRecord>(&text).ok())
            .map(|record| record.system);
        inputs.verdict = document(&folder.verdict(), notes);
        inputs.receipts = lines::<IgnoredAny, _>(&folder.faults(), notes);
        inputs.observations = lines::<ObservationHeader, _>(&folder.cluster(), notes);
        inputs.history = open(&folder.history(), notes).and_then(|file| {
            let threads = crate::check::threads();
            let read = read_jsonl_parallel(file, threads);
            note(read.map_err(|e| e.to_string()), &folder.history(), notes)
        });
        inputs.files = files(folder, inputs.plan.as_ref().map_or(0, |plan| plan.nodes));
        inputs
    }
}

/// Opens a file; a missing one is worth a sentence too.
fn open(path: &Path, notes: &mut Vec<String>) -> Option<File> {
    let opened = File::open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => "there is no such file in the run folder".to_owned(),
        _ => e.to_string(),
    });
    note(opened, path, notes)
}

fn document<T: DeserializeOwned>(path: &Path, notes: &mut Vec<String>) -> Option<T> {
    let file = open(path, notes)?;
    note(serde_json::from_reader(BufReader::new(file)).map_err(|e| e.to_string()), path, notes)
}

fn lines<H: DeserializeOwned, T: DeserializeOwned>(path: &Path, notes: &mut Vec<String>) -> Vec<T> {
    let Some(file) = open(path, notes) else { return Vec::new() };
    let read = note(read_lines::<H, T>(BufReader::new(file)), path, notes);
    read.flatten().map_or_else(Vec::new, |(_, values)| values)
}

/// Turns a failure into a sentence about a file.
fn note<T>(read: Result<T, String>, path: &Path, notes: &mut Vec<String>) -> Option<T> {
    read.map_err(|problem| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        notes.push(format!("{name}: {problem}."));
    })
    .ok()
}

/// The files that are there, as paths from the page.
fn files(folder: &RunFolder, nodes: u16) -> Vec<String> {
    let top = [
        folder.history(),
        folder.counterexample(),
        folder.verdict(),
        folder.plan_json(),
        folder.deployment_json(),
        folder.faults(),
        folder.cluster(),
        folder.revisions(),
        folder.clients_log(),
    ];
    let logs = (1..=nodes).map(|number| folder.node_log(NodeId(number)));
    top.into_iter()
        .chain(logs)
        .filter(|path| path.is_file())
        .filter_map(|path| Some(path.strip_prefix(folder.root()).ok()?.to_str()?.to_owned()))
        .collect()
}
