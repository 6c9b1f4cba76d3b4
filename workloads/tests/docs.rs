//! What `docs/histories.md` shows is what is read and judged.

use checker::{Limits, Ruling};
use history::read_jsonl;
use workloads::{JudgeOptions, by_name};

#[test]
fn the_histories_of_the_docs_are_legal() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/histories.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let blocks = page.split("```jsonl\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut judged = Vec::new();
    for block in blocks {
        let history = read_jsonl(block.as_bytes()).expect("a history");
        assert!(history.warnings.is_empty(), "{:?}", history.warnings);
        let workload = by_name(&history.header.workload).expect("a workload");
        let (limits, stop) = (Limits::default(), &|| false);
        let options = JudgeOptions { limits, stop, threads: 1, certify: false };
        let judgement = workload.judge(&history, &options).expect("operations of the workload");
        assert_eq!(judgement.ruling, Ruling::Valid, "{}: {}", workload.name(), judgement.message);
        judged.push(workload.name());
    }
    assert_eq!(judged, ["kv", "append", "lock"]);
}
