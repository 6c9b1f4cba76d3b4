//! Files: what is written is read back, what is torn is read up to the tear, what is wrong is
//! named.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use history::{
    Event, Header, History, HistoryError, Kind, Nanos, NodeId, Order, Outcome, Process, Writer,
    read_jsonl, write_counterexample,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

struct Draw(ChaCha8Rng);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }
}

/// A history that a recorder could have written: `workers` sequential callers, retired after info,
/// and a nemesis.
fn events(seed: u64, length: usize) -> Vec<Event> {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed));
    let workers = 1 + draw.below(5);
    let mut open: Vec<Option<Event>> = vec![None; workers as usize];
    let mut processes: Vec<u64> = (0..workers).collect();
    let (mut index, mut time, mut fresh) = (0, 0, workers);
    let mut events = Vec::new();
    while events.len() < length {
        index += 1 + draw.below(3);
        time += draw.below(3);
        let worker = draw.below(workers) as usize;
        let event = if draw.below(20) == 0 {
            Event {
                index,
                time: Nanos(time),
                process: Process::Nemesis,
                kind: Kind::Info,
                f: "partition".to_owned(),
                key: None,
                value: json!({"id": draw.below(3), "phase": "start", "nodes": ["n1"]}),
                node: None,
                error: None,
            }
        } else if let Some(invocation) = open[worker].take() {
            let kind = [Kind::Ok, Kind::Ok, Kind::Fail, Kind::Info][draw.below(4) as usize];
            if kind == Kind::Info {
                processes[worker] = fresh;
                fresh += 1;
            }
            let usual = kind != Kind::Ok;
            let error = (usual != (draw.below(8) == 0)).then(|| "time\"out\n ✗".to_owned());
            let mut event = Event { index, time: Nanos(time), kind, error, ..invocation };
            if draw.below(4) == 0 {
                event.value = json!({"b": [draw.below(9)], "a": null});
            }
            if draw.below(4) == 0 {
                event.node = [None, Some(NodeId(9))][draw.below(2) as usize];
            }
            event
        } else {
            let invocation = Event {
                index,
                time: Nanos(time),
                process: Process::Client(processes[worker]),
                kind: Kind::Invoke,
                f: ["read", "write", "cas"][draw.below(3) as usize].to_owned(),
                key: (draw.below(4) != 0).then(|| format!("k{}", draw.below(3))),
                value: [Value::Null, json!(draw.below(100)), json!([1, 2]), json!("a\nb")]
                    [draw.below(4) as usize]
                    .clone(),
                node: (draw.below(2) == 0).then_some(NodeId(1 + worker as u16)),
                error: (draw.below(8) == 0).then(|| "early".to_owned()),
            };
            open[worker] = Some(invocation.clone());
            invocation
        };
        events.push(event);
    }
    events
}

fn header() -> Header {
    Header {
        initial: json!(7),
        seed: Some("5eed".to_owned()),
        start: Some("2026-11-20T15:24:19Z".to_owned()),
        ..Header::new("kv")
    }
}

fn write(events: &[Event]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    for event in events {
        writer.append(event).unwrap();
    }
    writer.into_inner()
}

fn refused(text: &str) -> String {
    read_jsonl(text.as_bytes()).unwrap_err().to_string()
}

/// A history with the usual header and these lines.
fn with_header(lines: &str) -> String {
    format!("{{\"history\":1,\"workload\":\"kv\"}}\n{lines}")
}

#[test]
fn what_is_written_is_read_back() {
    for seed in 0..300 {
        let events = events(seed, seed as usize % 60);
        let history = read_jsonl(&write(&events)[..]).unwrap();
        assert_eq!(history.events(), events, "seed {seed}");
        assert_eq!(history.header, header());
        assert!(history.warnings.is_empty());
        let invocations = events.iter().filter(|event| event.kind == Kind::Invoke).count();
        assert_eq!(history.operations.len(), invocations);
    }
}

#[test]
fn a_file_torn_at_any_byte_is_its_whole_lines() {
    for seed in 0..5 {
        let events = events(seed, 12);
        let file = write(&events);
        let header_bytes = file.iter().position(|byte| *byte == b'\n').unwrap();
        for length in 0..=file.len() {
            let torn = &file[..length];
            let result = read_jsonl(torn);
            if length < header_bytes {
                assert!(result.is_err(), "seed {seed}: a header cut at {length} was accepted");
                continue;
            }
            let history = result.unwrap();
            let whole = torn.iter().filter(|byte| **byte == b'\n').count().saturating_sub(1);
            assert_eq!(history.events(), &events[..whole], "seed {seed}, {length} bytes");
            assert_eq!(history.warnings.is_empty(), torn.last() == Some(&b'\n'));
        }
    }
}

#[test]
fn a_counterexample_keeps_indexes_and_header() {
    let history = read_jsonl(&write(&events(4, 60))[..]).unwrap();
    let chosen: BTreeSet<u64> =
        history.operations.iter().step_by(3).map(|operation| operation.index).collect();
    let file = write_counterexample(Vec::new(), &history, &chosen).unwrap();
    let smaller = read_jsonl(&file[..]).unwrap();
    assert_eq!(smaller.header, history.header);
    let kept: Vec<_> =
        history.operations.iter().filter(|operation| chosen.contains(&operation.index)).collect();
    assert_eq!(smaller.operations.iter().collect::<Vec<_>>(), kept);
}

#[test]
fn a_counterexample_repeats_the_lines_of_its_operations() {
    for seed in 0..100 {
        let events = events(seed, 50);
        let text = String::from_utf8(write(&events)).unwrap();
        let history = read_jsonl(text.as_bytes()).unwrap();
        let chosen: BTreeSet<u64> =
            history.operations.iter().step_by(2).map(|operation| operation.index).collect();
        let file = write_counterexample(Vec::new(), &history, &chosen).unwrap();
        let mut of_chosen: BTreeMap<Process, bool> = BTreeMap::new();
        let lines = text.lines().skip(1).zip(&events).filter(|(_, event)| {
            if event.kind == Kind::Invoke {
                of_chosen.insert(event.process, chosen.contains(&event.index));
            }
            of_chosen.get(&event.process).copied().unwrap_or_default()
        });
        let header = text.lines().next().into_iter();
        let expected: Vec<&str> = header.chain(lines.map(|(line, _)| line)).collect();
        let written = String::from_utf8(file).unwrap();
        assert_eq!(written.lines().collect::<Vec<_>>(), expected, "seed {seed}");
    }
}

#[test]
fn a_byte_order_mark_is_skipped_and_nothing_else_is() {
    let lines = "{\"index\":0,\"time\":1,\"process\":0,\"type\":\"invoke\",\"f\":\"read\"}\n";
    let text = with_header(lines);
    let marked = format!("\u{feff}{text}");
    assert_eq!(read_jsonl(marked.as_bytes()).unwrap(), read_jsonl(text.as_bytes()).unwrap());
    assert!(matches!(read_jsonl("\u{feff}".as_bytes()), Err(HistoryError::Empty)));
    let torn = read_jsonl("\u{feff}{\"history\":1,\"workload\":\"kv\"}".as_bytes()).unwrap();
    assert_eq!(torn.warnings.len(), 1);
    let twice = refused(&format!("\u{feff}{marked}"));
    assert!(twice.starts_with("line 1, column 1: this is not a JSON object"), "{twice}");
    let inside = refused(&with_header(&format!("\u{feff}{lines}")));
    assert!(inside.starts_with("line 2, column 1: this is not a JSON object"), "{inside}");
}

#[test]
fn equal_names_of_a_history_are_one_allocation() {
    let history = brief(&["0 invoke write k", "0 ok write k", "1 invoke write k"]).unwrap();
    let [first, second] = &history.operations[..] else { panic!("two operations") };
    assert!(std::ptr::eq(first.f.as_str(), second.f.as_str()));
    assert!(std::ptr::eq(first.key.as_deref().unwrap(), second.key.as_deref().unwrap()));
}

#[test]
fn one_line_is_one_write_and_nothing_follows_a_failed_one() {
    struct Counting(Vec<usize>, usize);
    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.len() == self.1 {
                return Err(io::Error::other("disk full"));
            }
            self.0.push(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let events = events(1, 10);
    let mut writer = Writer::new(Counting(Vec::new(), 6), &header()).unwrap();
    let written: Vec<bool> = events.iter().map(|event| writer.append(event).is_ok()).collect();
    assert_eq!(written.iter().filter(|ok| **ok).count(), 5, "the header is the sixth write");
    let mut output = writer.into_inner();
    assert_eq!(output.0.len(), 6);
    output.1 = 100;
    let mut writer = Writer::new(Counting(Vec::new(), 1), &header()).unwrap();
    assert!(writer.append(&events[0]).is_err());
    let again = writer.append(&events[1]).unwrap_err().to_string();
    assert!(again.contains("an earlier line"), "{again}");
}

#[test]
fn a_header_alone_is_an_empty_history() {
    let history = read_jsonl(with_header("").as_bytes()).unwrap();
    assert!(history.operations.is_empty());
    assert_eq!(history.header.initial, Value::Null);
}

#[test]
fn what_is_not_a_history_is_named() {
    assert!(matches!(read_jsonl(&b""[..]), Err(HistoryError::Empty)));
    let binary: Vec<u8> = (0..=255).collect();
    assert!(matches!(read_jsonl(&binary[..]), Err(HistoryError::Header { .. })));
    let garbage = refused("[1,\"kv\"]\n");
    assert!(garbage.starts_with("line 1, column 1: this is not a JSON object"), "{garbage}");
    let version = refused("{\"history\":2,\"workload\":\"kv\"}\n");
    assert!(version.contains("format version 2"), "{version}");
    let workload = refused("{\"history\":1}\n");
    assert!(workload.contains("missing field `workload`"), "{workload}");
    assert!(refused("{\"history\":1,\"workl").contains("ends in the middle"));
}

#[test]
fn a_malformed_line_is_named_with_its_column() {
    for (line, expected) in [
        ("\n", "line 2, column 1: the line is blank"),
        ("{\"index\":0,\"time\":\n", "line 2, column 19: the line ends in the middle of a value"),
        ("{\"index\":-1}\n", "line 2, column 11: invalid value: integer `-1`, expected u64"),
        (
            "{\"index\":0,\"time\":1,\"process\":0,\"type\":\"maybe\",\"f\":\"read\"}\n",
            "line 2, column 46: unknown variant `maybe`, expected one of `invoke`, `ok`, `fail`, `info`",
        ),
        (
            "{\"index\":0,\"time\":1,\"process\":\"c1\",\"type\":\"ok\",\"f\":\"read\"}\n",
            "process must be a number or \"nemesis\", not \"c1\"",
        ),
        (
            "{\"index\":0,\"time\":1,\"process\":0,\"type\":\"ok\",\"f\":\"read\",\"node\":\"3\"}\n",
            "`3` is not a node name such as `n3`",
        ),
        ("{\"index\":0,\"time\":1,\"process\":0,\"type\":\"ok\"}\n", "missing field `f`"),
        (
            "{\"index\":0,\"time\":1,\"process\":0,\"type\":\"ok\",\"f\":\"read\",\"val\":3}\n",
            "unknown field `val`, expected one of",
        ),
        (
            "{\"index\":0,\"time\":1,\"process\":0,\"type\":\"ok\",\"f\":\"read\"}\n",
            "an ok read needs the `value` it returned",
        ),
    ] {
        let message = refused(&with_header(line));
        assert!(message.contains(expected), "{line}\n  gave     {message}\n  expected {expected}");
    }
    let not_text = [with_header("{\"f\":\"").as_bytes(), b"\xff\xfe\"}\n"].concat();
    let message = read_jsonl(&not_text[..]).unwrap_err().to_string();
    assert!(message.starts_with("line 2, column "), "{message}");
}

/// A history from lines of `process type f key`, one nanosecond apart.
fn brief(lines: &[&str]) -> Result<History, HistoryError> {
    let mut file = with_header("").into_bytes();
    for (index, line) in lines.iter().enumerate() {
        let words: Vec<&str> = line.split(' ').collect();
        let event = json!({
            "index": index, "time": index, "process": words[0].parse::<u64>().unwrap(),
            "type": words[1], "f": words[2], "key": words[3], "value": 1,
        });
        writeln!(file, "{event}").unwrap();
    }
    read_jsonl(&file[..])
}

#[test]
fn events_that_cannot_follow_each_other_are_named() {
    for (lines, expected) in [
        (
            &["0 invoke read a", "0 invoke read a"][..],
            "line 3: process 0 invokes again while its operation 0 is open",
        ),
        (&["0 ok read a"], "line 2: ok of process 0, which has nothing open"),
        (
            &["0 invoke read a", "0 ok write a"],
            "line 3: ok of `write`, but process 0 had invoked `read` (index 0)",
        ),
        (
            &["0 invoke read a", "0 ok read b"],
            "line 3: ok with key `b`, but process 0 had invoked with key `a` (index 0)",
        ),
        (
            &["0 invoke read a", "0 info read a", "0 invoke read a"],
            "line 4: process 0 invokes again although its operation 0 ended as info",
        ),
        (
            &["0 invoke read a", "0 info read a", "0 ok read a"],
            "line 4: ok of process 0, which has nothing open",
        ),
    ] {
        let message = brief(lines).unwrap_err().to_string();
        assert!(message.contains(expected), "{lines:?}\n  gave     {message}");
    }
}

#[test]
fn indexes_and_times_must_agree() {
    let line = |index: u64, time: u64, process: u64| {
        format!(
            "{{\"index\":{index},\"time\":{time},\"process\":{process},\"type\":\"invoke\",\"f\":\"read\"}}\n"
        )
    };
    let message = refused(&with_header(&(line(4, 5, 0) + &line(4, 6, 1))));
    assert_eq!(message, "line 3: index 4 after index 4, expected a greater one");
    let message = refused(&with_header(&(line(4, 5, 0) + &line(3, 6, 1))));
    assert_eq!(message, "line 3: index 3 after index 4, expected a greater one");
    let message = refused(&with_header(&(line(4, 5, 0) + &line(9, 4, 1))));
    assert_eq!(message, "line 3: index 9 has time 4, which is before the time 5 of index 4");
    assert!(read_jsonl(with_header(&(line(4, 5, 0) + &line(9, 5, 1))).as_bytes()).is_ok());
}

#[test]
fn where_position_decides_clocks_do_not() {
    let mut events: Vec<Event> = events(2, 40);
    for event in &mut events {
        event.time = Nanos(1_000 - event.time.0);
    }
    assert!(History::from_events(header(), events.clone(), Order::Time).is_err());
    let history = History::from_events(header(), events, Order::Position).unwrap();
    for operation in &history.operations {
        let place = history.events().iter().position(|event| event.index == operation.index);
        assert_eq!(operation.start, place.unwrap() as u64);
        assert!(operation.end.is_none_or(|end| end > operation.start));
    }
}

#[test]
fn outcomes_are_what_was_recorded() {
    let history = brief(&[
        "0 invoke write a",
        "1 invoke write a",
        "2 invoke read a",
        "0 info write a",
        "1 fail write a",
    ])
    .unwrap();
    let outcomes: Vec<_> =
        history.operations.iter().map(|operation| (&operation.outcome, operation.end)).collect();
    assert!(matches!(outcomes[0], (Outcome::Info { index: Some(3), .. }, None)));
    assert!(matches!(outcomes[1], (Outcome::Fail { index: 4, .. }, Some(4))));
    assert!(matches!(outcomes[2], (Outcome::Info { index: None, .. }, None)));
}
