//! The promises of each service, and that what is not promised really happens.

use super::*;

fn ask(services: &mut Services, node: &str, service: &str, mut body: Value) -> Value {
    body["msg_id"] = json!(5);
    let line = json!({"src": node, "dest": service, "body": body}).to_string();
    let answer = services.answer(line.as_bytes()).expect("an answer");
    let mut answer: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!((&answer["src"], &answer["dest"]), (&json!(service), &json!(node)));
    assert_eq!(answer["body"]["in_reply_to"], json!(5));
    let body = answer["body"].as_object_mut().expect("a body");
    body.remove("in_reply_to");
    if body["type"] == "error" {
        return body["code"].clone();
    }
    Value::Object(body.clone())
}

fn read(key: &str) -> Value {
    json!({"type": "read", "key": key})
}

fn write(key: &str, value: u64) -> Value {
    json!({"type": "write", "key": key, "value": value})
}

fn cas(key: &str, from: u64, to: u64) -> Value {
    json!({"type": "cas", "key": key, "from": from, "to": to})
}

fn shows(value: u64) -> Value {
    json!({"type": "read_ok", "value": value})
}

#[test]
fn a_linearizable_store_has_one_state_and_maelstroms_errors() {
    let mut services = Services::new(1);
    let mut ask = |body| ask(&mut services, "n1", "lin-kv", body);
    assert_eq!(ask(read("x")), json!(20));
    assert_eq!(ask(cas("x", 0, 1)), json!(20));
    let mut create = cas("x", 0, 1);
    create["create_if_not_exists"] = json!(true);
    assert_eq!(ask(create.clone()), json!({"type": "cas_ok"}));
    assert_eq!(ask(create), json!(22), "it is there now");
    assert_eq!(ask(cas("x", 1, 2)), json!({"type": "cas_ok"}));
    assert_eq!(ask(read("x")), shows(2));
    assert_eq!(ask(write("x", 9)), json!({"type": "write_ok"}));
    assert_eq!(ask(read("x")), shows(9));
    assert_eq!(ask(json!({"type": "add", "key": "x"})), json!(10));
    // Any JSON is a key, and a value: a list is not the text of one.
    let list = json!({"type": "write", "key": [1, "a"], "value": {"b": null}});
    assert_eq!(ask(list), json!({"type": "write_ok"}));
    assert_eq!(ask(json!({"type": "read", "key": "[1,\"a\"]"})), json!(20));
    let held = json!({"type": "read_ok", "value": {"b": null}});
    assert_eq!(ask(json!({"type": "read", "key": [1, "a"]})), held);
}

#[test]
fn timestamps_begin_at_nothing_and_are_given_once() {
    let mut services = Services::new(1);
    for expected in 0..5 {
        let answer = ask(&mut services, "n2", "lin-tso", json!({"type": "ts"}));
        assert_eq!(answer, json!({"type": "ts_ok", "ts": expected}));
    }
    assert_eq!(ask(&mut services, "n2", "lin-tso", read("x")), json!(10));
}

/// `n1` counts up; what the others see is never older than what they saw, now and then older than what is, and not older
/// than the states that are kept. Whoever writes has seen all.
#[test]
fn a_sequential_store_shows_each_node_a_past_that_only_moves_on() {
    for seed in 0..20 {
        let mut services = Services::new(seed);
        let (mut stale, mut seen) = (0, [0; 2]);
        for value in 1..=200 {
            ask(&mut services, "n1", "seq-kv", write("x", value));
            for (node, seen) in ["n2", "n3"].iter().zip(&mut seen) {
                let answer = ask(&mut services, node, "seq-kv", read("x"));
                // Before the first write of all there was nothing.
                let now = answer["value"].as_u64().unwrap_or(0);
                assert!(now >= *seen, "{node} went back from {seen} to {now}");
                assert!(now + 31 >= value, "{node} saw {now} of {value}");
                stale += u64::from(now < value);
                *seen = now;
            }
            assert_eq!(ask(&mut services, "n1", "seq-kv", read("x")), shows(value), "its own");
        }
        assert!(stale > 50, "seed {seed}: only {stale} reads were stale");
        ask(&mut services, "n2", "seq-kv", write("y", 1));
        assert_eq!(ask(&mut services, "n2", "seq-kv", read("x")), shows(200), "after a write");
    }
}

/// What compares equal in the past only is decided by what is newest; nothing is swapped twice.
#[test]
fn a_sequential_compare_and_set_wins_once() {
    for seed in 0..50 {
        let mut services = Services::new(seed);
        ask(&mut services, "n1", "seq-kv", write("x", 1));
        let swapped = json!({"type": "cas_ok"});
        let won = ["n2", "n3", "n1"]
            .iter()
            .filter(|node| ask(&mut services, node, "seq-kv", cas("x", 1, 2)) == swapped);
        assert!(won.count() <= 1, "seed {seed}");
        // A count by compare-and-set from what was read, as nodes do it, loses nothing.
        let mut tries = 0;
        while ask(&mut services, "n4", "seq-kv", cas("x", 2, 3)) != swapped {
            ask(&mut services, "n1", "seq-kv", cas("x", 1, 2));
            tries += 1;
            assert!(tries < 1_000, "seed {seed}: it never wins");
        }
    }
}

#[test]
fn the_example_of_maelstroms_own_text_is_possible() {
    let possible = (0..200).any(|seed| {
        let mut services = Services::new(seed);
        ask(&mut services, "n1", "seq-kv", write("x", 1));
        let swapped = ask(&mut services, "n2", "seq-kv", cas("x", 1, 2));
        // It may still see nothing.
        if swapped != json!({"type": "cas_ok"}) {
            return false;
        }
        ask(&mut services, "n1", "seq-kv", write("x", 1));
        ask(&mut services, "n3", "seq-kv", write("y", 1));
        ask(&mut services, "n3", "seq-kv", read("x")) == shows(2)
    });
    assert!(possible, "a write of the same value never happened in the past");
}

#[test]
fn the_last_write_wins_and_others_are_lost_and_in_the_end_all_see_the_same() {
    let (mut stale, mut lost) = (0, 0);
    for seed in 0..50 {
        let mut services = Services::new(seed);
        ask(&mut services, "n1", "lww-kv", write("x", 1));
        ask(&mut services, "n2", "lww-kv", write("x", 2));
        let mut shown = Vec::new();
        for _ in 0..40 {
            shown.push(ask(&mut services, "n3", "lww-kv", read("x")));
        }
        stale += usize::from(shown[0] != shown[39]);
        lost += usize::from(shown[39] == shows(1));
        assert!(shown[30..].iter().all(|one| *one == shown[39]), "seed {seed}: {shown:?}");
        let mut create = cas("z", 0, 1);
        create["create_if_not_exists"] = json!(true);
        assert_eq!(ask(&mut services, "n1", "lww-kv", create), json!(20), "as Maelstrom's");
    }
    assert!(stale > 5 && lost > 5, "stale {stale}, lost {lost} of 50");
}

#[test]
fn what_they_keep_is_bounded_and_not_what_passes() {
    for service in ["lin-kv", "seq-kv", "lww-kv"] {
        let mut services = Services::new(1);
        let text =
            |letter: &str| json!({"type": "write", "key": "x", "value": letter.repeat(100_000)});
        let filled: Vec<usize> = (0..100)
            .map(|turn| {
                let answer = ask(&mut services, "n1", service, text(["a", "b"][turn % 2]));
                assert_eq!(answer, json!({"type": "write_ok"}), "{service}");
                let failed = ask(&mut services, "n1", service, cas("x", 1, 2));
                assert!([json!(20), json!(22)].contains(&failed), "{service}: {failed}");
                services.kept.bytes
            })
            .collect();
        // The last 32 states of `seq-kv` and what the next one replaces, two replicas of `lww-kv`.
        assert!(filled.iter().all(|bytes| *bytes < 34 * 101_000), "{service}: {filled:?}");
        let before = services.kept.bytes;
        services.kept.bytes = MOST_BYTES;
        let refused =
            ask(&mut services, "n1", service, json!({"type": "write", "key": "y", "value": 1}));
        assert_eq!(refused, json!(11), "{service}");
        assert_eq!(ask(&mut services, "n1", service, read("y")), json!(20), "nothing was done");
        services.kept.bytes = before;
        assert_eq!(ask(&mut services, "n1", service, write("y", 1)), json!({"type": "write_ok"}));
    }
    let mut services = Services::new(1);
    ask(&mut services, "n1", "lin-kv", write("x", 1));
    services.kept.bytes = MOST_BYTES;
    let swapped = ask(&mut services, "n1", "lin-kv", cas("x", 1, 2));
    assert_eq!(swapped, json!({"type": "cas_ok"}), "it needs no more than what it replaces");
}

#[test]
fn what_is_no_request_to_a_service_gets_no_answer() {
    let mut services = Services::new(1);
    for line in ["", "{}", "x", r#"{"src":"n1","dest":"n2","body":{"type":"read"}}"#] {
        assert_eq!(services.answer(line.as_bytes()), None, "{line}");
    }
}
