//! Clocks of their own for the nodes: the library that is put before libc, and a page for each node.
//!
//! Library and pages are files of the run folder, there only while the run goes on: the guardian is told of them before
//! they are made, and removes them when the last process is gone, whatever became of the harness. Nodes that
//! would not take the library are refused by the plan; whether a started one has taken it shows in its page.
//!
//! They are made only for runs whose plan has faults of clocks: otherwise nodes start as ever.

use super::{DeployError, NodePaths};
use crate::guardian::Guardian;
use faults::clock::{ClockPage, ClockReading, PAGE_VARIABLE, SHIM, Skew};
use faults::{Clocks, EnvironmentError};
use history::NodeId;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The variable that tells the dynamic linker what to load before all else.
const PRELOAD: &str = "LD_PRELOAD";

/// The clocks of all nodes.
pub(super) struct NodeClocks {
    shim: String,
    pages: BTreeMap<NodeId, Page>,
}

struct Page {
    path: String,
    page: ClockPage,
}

impl NodeClocks {
    /// Puts the library at `shim` and makes the pages.
    pub(super) fn create(
        shim: &Path,
        nodes: &BTreeMap<NodeId, NodePaths>,
        guardian: &Guardian,
    ) -> Result<Self, DeployError> {
        let name = loadable(shim).map_err(DeployError::Clocks)?;
        let files = nodes.values().map(|paths| paths.clock.clone()).chain([shim.to_owned()]);
        guardian.sweep(files.collect())?;
        let refused = |path: &Path| {
            let path = path.display().to_string();
            move |error: io::Error| DeployError::Clocks(format!("cannot write {path}: {error}"))
        };
        std::fs::write(shim, SHIM).map_err(refused(shim))?;
        let mut pages = BTreeMap::new();
        for (node, NodePaths { clock, .. }) in nodes {
            let page = ClockPage::create(clock).map_err(refused(clock))?;
            pages.insert(*node, Page { path: clock.display().to_string(), page });
        }
        Ok(Self { shim: name, pages })
    }

    /// What a node's environment must hold besides.
    pub(super) fn variables(&self, node: NodeId) -> Vec<(String, String)> {
        let Some(page) = self.pages.get(&node) else { return Vec::new() };
        let before = std::env::var(PRELOAD).unwrap_or_default();
        let preload = format!("{} {before}", self.shim);
        vec![
            (PRELOAD.to_owned(), preload.trim_end().to_owned()),
            (PAGE_VARIABLE.to_owned(), page.path.clone()),
        ]
    }

    /// Whether a process that is ready has its clocks from here; if not, what it did, as a fragment.
    pub(super) fn taken_by(&self, node: NodeId, pid: i32) -> Result<(), String> {
        let reading = self.reading(node).map_err(|error| error.to_string())?;
        if reading.pid == u64::from(pid.unsigned_abs()) {
            return Ok(());
        }
        Err(format!(
            "did not take the clocks it was given: {} was not loaded before libc",
            self.shim
        ))
    }

    /// Gives every node the machine's clocks again, as far as that can be done.
    pub(super) fn release(&self) {
        for page in self.pages.values() {
            // Whoever releases has nobody left to tell, and the nodes end soon.
            let _ = page.page.set(Skew::default());
        }
    }

    fn page(&self, node: NodeId) -> Result<&ClockPage, EnvironmentError> {
        let missing = || EnvironmentError(format!("there is no {node}"));
        self.pages.get(&node).map(|page| &page.page).ok_or_else(missing)
    }
}

impl Clocks for NodeClocks {
    fn set(&self, node: NodeId, skew: Skew) -> Result<(), EnvironmentError> {
        let refused = |error| EnvironmentError(format!("the clock page of {node}: {error}"));
        self.page(node)?.set(skew).map_err(refused)
    }

    fn reading(&self, node: NodeId) -> Result<ClockReading, EnvironmentError> {
        let refused = |error| EnvironmentError(format!("the clock page of {node}: {error}"));
        self.page(node)?.reading().map_err(refused)
    }
}

/// The path as the dynamic linker can be told of it: it takes spaces and colons for the end of a name.
fn loadable(shim: &Path) -> Result<String, String> {
    let name = PathBuf::from(shim).into_os_string().into_string();
    match name {
        Ok(name) if !name.contains([' ', ':']) => Ok(name),
        _ => Err(format!(
            "the path {} has a space or a colon in it, which a library to preload must not have; choose another \
             `--results` folder",
            shim.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::loadable;
    use std::path::Path;

    #[test]
    fn a_path_that_the_linker_would_cut_is_refused() {
        assert_eq!(loadable(Path::new("/a/b.so")), Ok("/a/b.so".to_owned()));
        for path in ["/a b/c.so", "/a:b/c.so"] {
            assert!(loadable(Path::new(path)).unwrap_err().contains("`--results`"), "{path}");
        }
    }
}
