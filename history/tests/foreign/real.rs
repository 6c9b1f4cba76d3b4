//! Real histories, which keep their own licences and so are not part of the project: read from the
//! folder that HISTORIES names, or from `../shared/histories` beside the workspace.

use super::{named, options};
use history::{Format, History, Outcome, read_foreign};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The folder, or none after saying so.
fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/histories");
    let folder = std::env::var_os("HISTORIES").map_or(beside, PathBuf::from);
    let there = folder.is_dir();
    if !there {
        // Not println: what a test that passes prints is not shown.
        let mut output = std::io::stderr().lock();
        writeln!(output, "skipped: no real histories at {} (set HISTORIES)", folder.display())
            .unwrap();
    }
    there.then_some(folder)
}

/// The histories in this folder with this ending, by name.
fn files(folder: &Path, ending: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no .{ending} file in {}", folder.display());
    found
}

/// How many operations ended ok, fail, info, and not at all.
fn outcomes(history: &History) -> [usize; 4] {
    let mut counts = [0; 4];
    for operation in &history.operations {
        counts[match operation.outcome {
            Outcome::Ok { .. } => 0,
            Outcome::Fail { .. } => 1,
            Outcome::Info { index: Some(_), .. } => 2,
            Outcome::Info { index: None, .. } => 3,
        }] += 1;
    }
    counts
}

/// How often a word stands in the bytes.
fn occurrences(bytes: &[u8], word: &str) -> usize {
    std::str::from_utf8(bytes).unwrap().matches(word).count()
}

#[test]
fn every_log_of_etcd_is_read_whole() {
    let Some(folder) = folder() else { return };
    let logs = files(&folder.join("etcd-2.0-register"), "log");
    assert_eq!(logs.len(), 52);
    let mut mismatches = 0;
    for (name, bytes) in logs {
        assert_eq!(Format::detect(&bytes), Some(Format::Log), "{name}");
        let history = read_foreign(&bytes, &options(Format::Log)).unwrap();
        let [ok, fail, info, open] = outcomes(&history);
        assert_eq!(ok, occurrences(&bytes, ":ok"), "{name}");
        assert_eq!(fail, occurrences(&bytes, ":fail"), "{name}");
        assert_eq!(info, occurrences(&bytes, ":info"), "{name}");
        assert_eq!(ok + fail + info + open, occurrences(&bytes, ":invoke"), "{name}");
        assert_eq!(history.header.workload, "register", "{name}");
        mismatches += history.operations.iter().filter(|operation| {
            matches!(&operation.outcome, Outcome::Fail { error: Some(error), .. } if error == "mismatch")
        }).count();
    }
    assert_eq!(mismatches, 900);
}

#[test]
fn every_history_of_knossos_is_read_whole() {
    let Some(folder) = folder() else { return };
    for (verdict, count) in [("good", 55), ("bad", 4)] {
        let histories = files(&folder.join("knossos").join(verdict), "edn");
        assert_eq!(histories.len(), count);
        for (name, bytes) in histories {
            assert_eq!(Format::detect(&bytes), Some(Format::Edn), "{name}");
            let history = read_foreign(&bytes, &named(Format::Edn, "register")).unwrap();
            assert_eq!(history.operations.len(), occurrences(&bytes, ":invoke"), "{name}");
        }
    }
}

#[test]
fn the_histories_of_elle_are_read_or_refused_by_name() {
    let Some(folder) = folder() else { return };
    let read = |name: &str, workload: Option<&str>| {
        let bytes = std::fs::read(folder.join("elle").join(name)).unwrap();
        assert_eq!(Format::detect(&bytes), Some(Format::Edn), "{name}");
        let options = workload.map_or(options(Format::Edn), |name| named(Format::Edn, name));
        read_foreign(&bytes, &options)
            .map(|history| (history.header.workload.clone(), outcomes(&history)))
            .map_err(|error| error.to_string())
    };
    let append = "append".to_owned();
    assert_eq!(read("05-elle-si-without-g-single.edn", None), Ok((append.clone(), [4, 0, 0, 0])));
    assert_eq!(read("09-elle-cli-list-append-gh-30.edn", None), Ok((append, [5, 0, 0, 0])));
    let said = read("04-elle-paper-example.edn", None).unwrap_err();
    assert_eq!(said, "line 1, column 1: an operation needs :process");
    let said = read("09-elle-cli-counter.edn", None).unwrap_err();
    assert!(
        said.contains("the functions are `add`, which fit several workloads or none"),
        "{said}"
    );
    let counter = "counter".to_owned();
    let found = read("09-elle-cli-counter.edn", Some("counter"));
    assert_eq!(found, Ok((counter, [287, 0, 0, 0])));
}
