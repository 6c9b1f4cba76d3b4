//! Members, leadership and snapshots of a real cluster change under load, and a replay does the same again.

use crate::command::Place;
use serde_json::Value;

/// Each class once; the membership change follows the change of leader that the transfer brings about.
const SCHEDULE: &str = r#"
    [[entry]]
    at = "1s"
    fault = "transfer"
    target = "follower"
    for = "100ms"

    [[entry]]
    on = "leader-change"
    from = "900ms"
    fault = "snapshot"
    target = "leader"
    for = "100ms"

    [[entry]]
    at = "2s"
    fault = "membership"
    target = "leader"
    for = "300ms"
"#;

fn receipts(place: &Place) -> Vec<Value> {
    let text = place.read("results/latest/faults.jsonl");
    text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_cluster_is_administered_under_load_and_again_by_a_replay() {
    let place = Place::new();
    place.file("my.toml", SCHEDULE);
    let mut told = Vec::new();
    for words in
        ["--schedule my.toml --nodes 3 --time 6s --clients 6 --rate 200", "--replay results/latest"]
    {
        let left = place.harness(&format!("run --quiet --json {words}"));
        assert!([0, 2].contains(&left.code), "{left:?}");
        let document: Value = serde_json::from_str(&left.stdout).unwrap();
        let receipts = receipts(&place);
        assert_eq!(receipts.len(), 3, "{receipts:?}");
        for receipt in &receipts {
            assert_eq!(receipt["effective"], true, "{receipt}");
            let class = &document["coverage"]["faults"][receipt["fault"].as_str().unwrap()];
            assert_eq!(class["effective"], 1, "{class}");
        }
        let snapshot = &receipts[1];
        assert_eq!(snapshot["fault"], "snapshot");
        assert!(snapshot["event_seen"].as_u64() >= receipts[0]["injected"].as_u64(), "{snapshot}");
        assert!(document["coverage"]["log_truncations"].is_u64(), "{document}");
        told.push(
            receipts
                .iter()
                .map(|receipt| {
                    [&receipt["id"], &receipt["fault"], &receipt["target"], &receipt["planned"]]
                        .map(Value::clone)
                })
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(told[0], told[1], "the same faults, targets and order");
}
