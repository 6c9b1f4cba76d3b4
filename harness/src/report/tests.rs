//! Two small recorded runs, drawn to the byte. `UPDATE_GOLDEN=1` writes what is drawn now.

use super::{render, write};
use crate::results::RunFolder;
use std::fs;
use std::path::{Path, PathBuf};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/report").join(name)
}

fn drawn(name: &str) -> String {
    render(&RunFolder::open(&testdata(name)).unwrap())
}

fn is_golden(name: &str) {
    let (path, html) = (testdata(name).join("expected.html"), drawn(name));
    assert_eq!(html, drawn(name), "the same files give the same page");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &html).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let line = html.lines().zip(expected.lines()).position(|(new, old)| new != old);
    assert!(
        html == expected,
        "{name}: the page differs from {} from line {} on; look at it, then UPDATE_GOLDEN=1",
        path.display(),
        line.unwrap_or_default() + 1,
    );
}

#[test]
fn a_valid_run_is_drawn() {
    is_golden("valid");
}

#[test]
fn an_invalid_run_is_drawn() {
    is_golden("invalid");
    let html = drawn("invalid");
    for told in ["INVALID", "id=\"violation\"", "needs 9001, the value is 9002", "local-read"] {
        assert!(html.contains(told), "{told}");
    }
}

/// Nothing is fetched: no address, no source, no import.
#[test]
fn a_page_refers_to_nothing_outside() {
    let html = drawn("invalid");
    for outside in ["http:", "https:", "src=", "@import", "url(//", "<link"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

/// Whatever is missing or torn, there is a page, and it says what is missing.
#[test]
fn a_page_needs_no_file_but_one() {
    for kept in ["plan.json", "history.jsonl"] {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(testdata("invalid").join(kept), folder.path().join(kept)).unwrap();
        let run = RunFolder::open(folder.path()).unwrap();
        write(&run).unwrap();
        let html = fs::read_to_string(run.report()).unwrap();
        assert!(html.contains("UNKNOWN"), "{kept}");
        assert!(html.contains("verdict.json: there is no such file"), "{kept}");
    }
}

/// Text from a history cannot end the script's data or become markup.
#[test]
fn hostile_text_stays_text() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = r#"{"index":0,"time":0,"process":0,"type":"invoke","f":"read","key":"</script><b>","value":null}"#;
    let header = r#"{"history":1,"workload":"</style><i>"}"#;
    fs::write(folder.path().join("history.jsonl"), format!("{header}\n{hostile}\n")).unwrap();
    let html = render(&RunFolder::open(folder.path()).unwrap());
    assert!(!html.contains("</script><b>") && !html.contains("</style><i>"));
    assert!(html.contains("\\u003c/script>"));
}

/// The first violation stands open, all others are behind one line.
#[test]
fn further_violations_are_folded_away() {
    let mut page = super::page(&RunFolder::open(&testdata("invalid")).unwrap());
    assert!(!super::html::html(&page).contains("id=\"others\""));
    page.violations.extend([page.violations[0].clone(), page.violations[0].clone()]);
    let html = super::html::html(&page);
    let (open, folded) = html.split_once("<details id=\"others\">").unwrap();
    assert!(open.contains("id=\"violation\"") && folded.contains("2 more violations"));
    assert!(folded.contains("id=\"violation-2\"") && folded.contains("id=\"violation-3\""));
}
