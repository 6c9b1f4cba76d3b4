//! The run folder: `results/<yyyymmdd-hhmmss>-<workload>-<seed>/`, everything a run leaves behind.
//!
//! This is the only module that builds paths of a run folder; `results/README.md` explains each file
//! to people. A folder is created exclusively, so two runs never share one; `latest` points at the
//! newest. Files are written so that a harness killed at any moment leaves a folder that
//! `harness check` can judge: line files grow by whole lines, whole documents appear by rename.
//!
//! It does not know what is in the files, except that each states its format version.

mod folder;
mod observation;
mod revision;

pub use folder::{ResultsError, RunFolder, about, list_runs, write_json};
pub use observation::{ExitCause, Observation, ObservationHeader, Observed, read_lines};
pub use revision::{Revision, RevisionHeader};
