//! Certificates of valid histories, replayed by somebody who believes nobody: the replayer here reads the two files as
//! JSON, and knows what a key-value store is, and nothing of ours.

use crate::check::read_after_two_writes;
use crate::command::Place;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Whether the certificate shows that the history is legal; why not, if not.
fn replay(history: &str, certificate: &str) -> Result<(), String> {
    let parse = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (history, certificate) = (parse(history), parse(certificate));
    let (mut open, mut calls, mut due) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    for event in &history[1..] {
        let process = event["process"].as_u64().unwrap();
        if event["type"] == "invoke" {
            open.insert(process, event["index"].as_u64().unwrap());
            calls.insert(event["index"].as_u64().unwrap(), (event, None));
            continue;
        }
        let index = open[&process];
        let observed = event["type"] == "ok" || event["error"] == "mismatch";
        match observed {
            true => drop((calls.get_mut(&index).unwrap().1 = Some(event), due.insert(index))),
            false if event["type"] == "fail" => drop(calls.remove(&index)),
            false => {}
        }
    }
    for line in &certificate[1..] {
        let (mut state, mut now) = (history[0]["initial"].clone(), 0);
        for index in line["order"].as_array().unwrap() {
            let index = index.as_u64().unwrap();
            let (call, answer) = calls.remove(&index).ok_or("an operation twice, or none")?;
            let end = answer.map_or(u64::MAX, |answer| answer["time"].as_u64().unwrap());
            now = now.max(call["time"].as_u64().unwrap());
            let (input, cas) = (&call["value"], call["f"] == "cas");
            let fits = match call["f"].as_str().unwrap() {
                "read" => answer.is_none_or(|answer| answer["value"] == state),
                "cas" => answer.is_none_or(|a| (a["type"] == "ok") == (state == input[0])),
                _ => true,
            };
            if call["key"] != line["key"] || end < now || !fits {
                return Err(format!("operation {index} does not fit"));
            }
            match call["f"].as_str().unwrap() {
                "write" => state = input.clone(),
                "delete" => state = Value::Null,
                _ if cas && state == input[0] => state = input[1].clone(),
                _ => {}
            }
            due.remove(&index);
        }
    }
    if due.is_empty() { Ok(()) } else { Err("an answered operation is missing".to_owned()) }
}

/// What clients of a correct store could have seen: each operation takes effect at one moment between its ends.
fn drawn(seed: u64, operations: usize) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |bound: u64| random.next_u64() % bound;
    let mut store: BTreeMap<u64, Value> = BTreeMap::new();
    let mut processes: Vec<u64> = (0..5).collect();
    let mut free = vec![0_u64; processes.len()];
    // Moments of effect, apart enough for the ends of others to fall between them.
    let mut events = Vec::new();
    for number in 1..=operations as u64 {
        let effect = number * 10;
        let ready: Vec<usize> = (0..processes.len()).filter(|at| free[*at] < effect).collect();
        if ready.is_empty() {
            continue;
        }
        let client = ready[below(ready.len() as u64) as usize];
        let from = free[client].max(effect.saturating_sub(1 + below(40))) + 1;
        let to = effect + 1 + below(40);
        let (key, value) = (below(3), json!(below(4)));
        let state = store.get(&key).cloned().unwrap_or_default();
        let (f, input) = match below(8) {
            0..3 => ("read", Value::Null),
            3..6 => ("write", value),
            6 => ("cas", json!([value, below(4)])),
            _ => ("delete", Value::Null),
        };
        let wins = f != "cas" || state == input[0];
        let fate = below(10);
        if wins && fate != 0 {
            match f {
                "write" => drop(store.insert(key, input.clone())),
                "cas" => drop(store.insert(key, input[1].clone())),
                "delete" => drop(store.remove(&key)),
                _ => {}
            }
        }
        let who = json!({"process": processes[client], "f": f, "key": format!("k{key}")});
        let with = |more: Value| {
            let mut event = who.clone();
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        let answer = if f == "read" { state } else { input.clone() };
        events.push((from, with(json!({"type": "invoke", "value": input}))));
        let end = match fate {
            // It did not happen, and whether that is known is a matter of luck; or it did, and nobody knows.
            0 => json!({"type": if below(2) == 0 { "fail" } else { "info" }, "value": input}),
            1 => json!({"type": "info", "value": input}),
            _ if wins => json!({"type": "ok", "value": answer}),
            _ => json!({"type": "fail", "value": input, "error": "mismatch"}),
        };
        if end["type"] == "info" {
            processes[client] += 100;
        }
        events.push((to, with(end)));
        free[client] = to;
    }
    events.sort_by_key(|(time, _)| *time);
    let mut text = "{\"history\":1,\"workload\":\"kv\",\"initial\":null}\n".to_owned();
    for (index, (time, mut event)) in events.into_iter().enumerate() {
        event["index"] = json!(index);
        event["time"] = json!(time);
        text.push_str(&format!("{event}\n"));
    }
    text
}

#[test]
fn certificates_can_be_replayed_by_anybody() {
    let place = Place::new();
    let (mut unknown, mut deletes, mut mismatches) = (0, 0, 0);
    for seed in 0..40 {
        let text = drawn(seed, 20 + 4 * seed as usize);
        unknown += text.matches("\"info\"").count();
        deletes += text.matches("\"delete\"").count();
        mismatches += text.matches("\"mismatch\"").count();
        place.file("h.jsonl", &text);
        let left = place.harness("check h.jsonl --certificate c.jsonl");
        assert_eq!(left.code, 0, "seed {seed}: {left:?}");
        let replayed = replay(&text, &place.read("c.jsonl"));
        assert_eq!(replayed, Ok(()), "seed {seed}\n{text}\n{}", place.read("c.jsonl"));
    }
    assert!(unknown > 100 && deletes > 100 && mismatches > 100, "{unknown} {deletes} {mismatches}");
}

/// The replayer is not one that says yes to everything.
#[test]
fn the_replayer_refuses_what_is_not_a_certificate() {
    let place = Place::new();
    let text = read_after_two_writes("7");
    place.file("h.jsonl", &text);
    assert_eq!(place.harness("check h.jsonl --certificate c.jsonl").code, 0);
    let good = place.read("c.jsonl");
    assert_eq!(replay(&text, &good), Ok(()));
    for (from, to, what) in [
        ("[0,2,4]", "[2,0,4]", "swapped, against the order of time"),
        ("[0,2,4]", "[0,4,2]", "swapped, so that an answer is wrong"),
        ("[0,2,4]", "[0,2]", "one dropped"),
        ("[0,2,4]", "[0,2,2,4]", "one doubled"),
        ("[0,2,4]", "[0,2,4,6]", "one that is none"),
        ("\"a\"", "\"b\"", "another key"),
    ] {
        assert!(good.contains(from), "{good}");
        assert!(replay(&text, &good.replace(from, to)).is_err(), "{what}");
    }
    let (three, seven) = (read_after_two_writes("3"), read_after_two_writes("7"));
    assert!(replay(&three, &good).is_err() && replay(&seven, &good).is_ok());
}

#[test]
fn a_history_that_is_not_valid_leaves_no_certificate_behind() {
    let place = Place::new();
    let there = || place.directory.path().join("c.jsonl").exists();
    place.file("good.jsonl", read_after_two_writes("7"));
    place.file("bad.jsonl", read_after_two_writes("3"));
    let left = place.harness("check bad.jsonl --certificate c.jsonl");
    assert_eq!(left.code, 1, "{left:?}");
    assert!(left.stdout.contains("warning: c.jsonl was not written: only a valid"), "{left:?}");
    assert!(!there());
    assert_eq!(place.harness("check good.jsonl --certificate c.jsonl").code, 0);
    assert!(there());
    assert_eq!(place.harness("check bad.jsonl --certificate c.jsonl").code, 1);
    assert!(!there(), "it would look like one of the history that was judged last");
}

#[test]
fn a_certificate_never_takes_the_place_of_something_else() {
    let place = Place::new();
    for (name, output) in [("good.jsonl", "7"), ("bad.jsonl", "3")] {
        let text = read_after_two_writes(output);
        place.file(name, &text);
        let left = place.harness(&format!("check {name} --certificate {name}"));
        assert_eq!((left.code, left.stdout.as_str()), (254, ""), "{left:?}");
        assert!(left.stderr.contains("is there already and no certificate"), "{left:?}");
        assert_eq!(place.read(name), text);
    }
}

#[test]
fn a_certificate_is_written_to_a_file() {
    let place = Place::new();
    place.file("h.jsonl", read_after_two_writes("7"));
    let left = place.harness("check h.jsonl --certificate -");
    assert_eq!((left.code, left.stdout.as_str()), (254, ""), "{left:?}");
    assert!(left.stderr.contains("a certificate is written to a file"), "{left:?}");
}

#[test]
fn a_certificate_that_cannot_be_written_does_not_hide_the_verdict() {
    let place = Place::new();
    place.file("h.jsonl", read_after_two_writes("7"));
    for path in ["nowhere/c.jsonl", "/dev/full"] {
        let left = place.harness(&format!("check h.jsonl --certificate {path}"));
        assert_eq!(left.code, 255, "{left:?}");
        assert!(left.stdout.contains("VALID register"), "{left:?}");
        assert!(left.stderr.contains(&format!("cannot write the certificate {path}")), "{left:?}");
    }
}
