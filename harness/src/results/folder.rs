//! Making, finding and filling run folders.

use crate::seed::Seed;
use history::NodeId;
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How many runs of one workload and seed may start within one second.
const SUFFIX_LIMIT: u32 = 1000;

/// A run folder that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    root: PathBuf,
}

/// A run folder could not be made, found or written.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `create`.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The path is not a run folder.
    #[error("{} is not a run folder: it has neither plan.json nor history.jsonl", .0.display())]
    NotARun(PathBuf),
}

impl ResultsError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

impl RunFolder {
    /// Creates a fresh folder under `results` (made if need be) and points `latest` at it.
    ///
    /// `stamp` is the time of the start in UTC as `yyyymmdd-hhmmss`.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn create(
        results: &Path,
        stamp: &str,
        workload: &str,
        seed: Seed,
    ) -> Result<Self, ResultsError> {
        fs::create_dir_all(results).map_err(ResultsError::io("create", results))?;
        let name = format!("{stamp}-{workload}-{seed}");
        let mut attempt = 1;
        let root = loop {
            let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
            let root = results.join(format!("{name}{suffix}"));
            match fs::create_dir(&root) {
                Ok(()) => break root,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && attempt < SUFFIX_LIMIT => {
                    attempt += 1;
                }
                Err(e) => return Err(ResultsError::io("create", &root)(e)),
            }
        };
        let folder = Self { root };
        folder.point_latest(results)?;
        Ok(folder)
    }

    /// Opens a folder that an earlier run made; `latest` and other symbolic links are followed, so
    /// that the folder stays the same one while newer runs start.
    ///
    /// # Errors
    /// When there is no such folder, or it holds no run.
    pub fn open(path: &Path) -> Result<Self, ResultsError> {
        let root = fs::canonicalize(path).map_err(ResultsError::io("open", path))?;
        let folder = Self { root };
        if folder.plan_json().is_file() || folder.history().is_file() {
            Ok(folder)
        } else {
            Err(ResultsError::NotARun(path.to_owned()))
        }
    }

    /// Replaces `latest` in one step, so that a reader never finds it missing.
    fn point_latest(&self, results: &Path) -> Result<(), ResultsError> {
        let latest = results.join("latest");
        let fresh = results.join(format!(".latest-{}", self.name()));
        std::os::unix::fs::symlink(self.name(), &fresh)
            .and_then(|()| fs::rename(&fresh, &latest))
            .map_err(|e| {
                let _ = fs::remove_file(&fresh);
                ResultsError::io("link", &latest)(e)
            })
    }

    /// The folder's own name, such as `20261120-152419-kv-7`.
    #[must_use]
    pub fn name(&self) -> String {
        self.root.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What was asked, resolved; written before anything starts.
    #[must_use]
    pub fn plan_json(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    /// Ports, paths, process ids, versions and the clock: what a plan may not hold.
    #[must_use]
    pub fn deployment_json(&self) -> PathBuf {
        self.root.join("deployment.json")
    }

    /// What every client saw.
    #[must_use]
    pub fn history(&self) -> PathBuf {
        self.root.join("history.jsonl")
    }

    /// Receipts of faults.
    #[must_use]
    pub fn faults(&self) -> PathBuf {
        self.root.join("faults.jsonl")
    }

    /// What was observed of nodes, phases and the harness itself.
    #[must_use]
    pub fn cluster(&self) -> PathBuf {
        self.root.join("cluster.jsonl")
    }

    /// What clients that are processes of their own wrote to their standard error; only if they did.
    #[must_use]
    pub fn clients_log(&self) -> PathBuf {
        self.root.join("clients.log")
    }

    /// The revisions that came with answers; only of a system that has such.
    #[must_use]
    pub fn revisions(&self) -> PathBuf {
        self.root.join("revisions.jsonl")
    }

    /// The verdict document.
    #[must_use]
    pub fn verdict(&self) -> PathBuf {
        self.root.join("verdict.json")
    }

    /// The smallest proof of a violation; only in the folder of an invalid run.
    #[must_use]
    pub fn counterexample(&self) -> PathBuf {
        self.root.join("counterexample.jsonl")
    }

    /// The page for people.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// Everything of one node.
    #[must_use]
    pub fn node(&self, node: NodeId) -> PathBuf {
        self.root.join("nodes").join(node.to_string())
    }

    /// What a node wrote to its standard error.
    #[must_use]
    pub fn node_log(&self, node: NodeId) -> PathBuf {
        self.node(node).join("log")
    }

    /// A node's data directory; removed after a valid run.
    #[must_use]
    pub fn node_data(&self, node: NodeId) -> PathBuf {
        self.node(node).join("data")
    }

    /// A node's counters of seeded bugs.
    #[must_use]
    pub fn node_marks(&self, node: NodeId) -> PathBuf {
        self.node(node).join("marks")
    }

    /// What a node's clocks are told; only while a run with faults of clocks goes on.
    #[must_use]
    pub fn node_clock(&self, node: NodeId) -> PathBuf {
        self.node(node).join("clock")
    }

    /// The library that gives nodes clocks of their own; as long as those.
    #[must_use]
    pub fn clock_shim(&self) -> PathBuf {
        self.root.join("nodes").join("clock.so")
    }

    /// Makes the folders of one node.
    ///
    /// # Errors
    /// When they cannot be created.
    pub fn create_node(&self, node: NodeId) -> Result<(), ResultsError> {
        let data = self.node_data(node);
        fs::create_dir_all(&data).map_err(ResultsError::io("create", &data))
    }

    /// Removes the data directories of `nodes` nodes, which only a run that is not valid needs.
    ///
    /// # Errors
    /// When one that exists cannot be removed.
    pub fn remove_data(&self, nodes: u16) -> Result<(), ResultsError> {
        for number in 1..=nodes {
            let data = self.node_data(NodeId(number));
            match fs::remove_dir_all(&data) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(ResultsError::io("remove", &data)(e));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Writes a whole document so that a reader sees the old one or the new one, never half of it.
///
/// # Errors
/// When it cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), ResultsError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(io::Error::from)
        .map_err(ResultsError::io("write", path))?;
    bytes.push(b'\n');
    let fresh = path.with_extension("json.partial");
    fs::File::create(&fresh)
        .and_then(|mut file| file.write_all(&bytes))
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(ResultsError::io("write", path))
}

/// The run folders under `results`, oldest first; none when there is no such directory.
///
/// # Errors
/// When the directory cannot be read.
pub fn list_runs(results: &Path) -> Result<Vec<RunFolder>, ResultsError> {
    let entries = match fs::read_dir(results) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(ResultsError::io("read", results))?,
    };
    let mut runs = Vec::new();
    for entry in entries {
        let entry = entry.map_err(ResultsError::io("read", results))?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && let Ok(folder) = RunFolder::open(&entry.path()) {
            runs.push(folder);
        }
    }
    runs.sort_by_key(RunFolder::name);
    Ok(runs)
}

/// What a file of a run folder is for, in half a sentence; `path` is relative to the folder.
#[must_use]
pub fn about(path: &str) -> &'static str {
    match path {
        "history.jsonl" => "what every client saw, one event a line",
        "counterexample.jsonl" => {
            "the operations of the proof alone; `harness check` judges it in an instant"
        }
        "verdict.json" => "the verdict document, for scripts",
        "plan.json" => {
            "everything that was decided before the run; `harness run --replay` plays it again"
        }
        "deployment.json" => "ports, processes and versions",
        "faults.jsonl" => "a receipt for each fault: asked, in effect, evidence, healed",
        "clients.log" => "what client processes wrote to their standard error, up to a mebibyte",
        "cluster.jsonl" => "what was observed of nodes, phases and the harness itself",
        "revisions.jsonl" => "the revision of the whole store that came with each answer",
        _ => "what this node wrote to its log",
    }
}

#[cfg(test)]
mod tests {
    use super::{RunFolder, list_runs, write_json};
    use crate::seed::Seed;

    #[test]
    fn two_runs_of_one_second_get_two_folders() {
        let results = tempfile::tempdir().unwrap();
        let make = || RunFolder::create(results.path(), "20261120-152419", "kv", Seed(7)).unwrap();
        let (first, second) = (make(), make());
        assert_eq!(first.name(), "20261120-152419-kv-7");
        assert_eq!(second.name(), "20261120-152419-kv-7-2");
        write_json(&second.plan_json(), &1).unwrap();
        let latest = RunFolder::open(&results.path().join("latest")).unwrap();
        assert_eq!(latest.name(), second.name());
        write_json(&first.plan_json(), &1).unwrap();
        let names: Vec<String> =
            list_runs(results.path()).unwrap().iter().map(RunFolder::name).collect();
        assert_eq!(names, [first.name(), second.name()]);
    }

    #[test]
    fn a_folder_without_a_run_is_refused() {
        let empty = tempfile::tempdir().unwrap();
        let error = RunFolder::open(empty.path()).unwrap_err().to_string();
        assert!(error.ends_with("is not a run folder: it has neither plan.json nor history.jsonl"));
    }
}
