//! The page for people: one self-contained `report.html` in every run folder.
//!
//! [`write()`] reads the folder's files (`load`), makes one typed value of them (`page`, filled by `build` and its
//! parts), and draws it (`html`, with a style sheet and a script that are part of the binary). Text, tables and the
//! proof of a violation are plain HTML, readable without the script; the script draws what has a time axis.
//!
//! Invariants: the same files give the same bytes; nothing is fetched from anywhere; what is missing becomes a sentence
//! on the page, never a failure; the page judges nothing itself, it shows the verdict document. Long runs are sampled,
//! and the page says so.

mod build;
mod html;
mod load;
mod measure;
mod operations;
pub mod page;
mod timeline;
mod violation;
mod words;

#[cfg(test)]
mod tests;

use crate::results::RunFolder;
use history::Nanos;
use std::path::PathBuf;
use std::{fs, io};

/// A report could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct ReportError {
    /// Where.
    path: PathBuf,
    /// Why.
    source: io::Error,
}

/// Draws the report of a run from the files in its folder, replacing an earlier one.
///
/// # Errors
/// When the page cannot be written. Files that are missing or cannot be read are sentences on the page instead.
pub fn write(folder: &RunFolder) -> Result<(), ReportError> {
    let path = folder.report();
    let failed = |source| ReportError { path: path.clone(), source };
    let fresh = path.with_extension("html.partial");
    fs::write(&fresh, render(folder)).map_err(failed)?;
    fs::rename(&fresh, &path).map_err(failed)
}

/// What the report of a run shows, before it is drawn.
#[must_use]
pub fn page(folder: &RunFolder) -> page::Page {
    build::page(load::Inputs::load(folder))
}

/// The page as HTML.
fn render(folder: &RunFolder) -> String {
    html::html(&page(folder))
}

/// The unit of the page.
fn micros(time: Nanos) -> u64 {
    time.0 / 1_000
}
