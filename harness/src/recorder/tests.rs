//! The rules of the recorder, on a real file.

use super::*;
use serde_json::json;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::sync::Arc;

fn header() -> Header {
    serde_json::from_value(json!({"history": 1, "workload": "kv"})).unwrap()
}

fn recorder() -> (Recorder, File) {
    let file = tempfile::tempfile().unwrap();
    let reader = file.try_clone().unwrap();
    (Recorder::start(file, &header()).unwrap().keep_events(), reader)
}

fn lines(file: &mut File) -> Vec<Value> {
    file.seek(SeekFrom::Start(0)).unwrap();
    let lines = BufReader::new(&*file).lines();
    lines.skip(1).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn write(value: i64) -> Invocation {
    Invocation { f: "write", key: Some("k1".to_owned()), value: json!(value) }
}

#[test]
fn an_invocation_is_on_file_when_invoke_returns() {
    let (recorder, mut file) = recorder();
    let process = recorder.process();
    let call = recorder.invoke(process, &write(7), Some(NodeId(2))).unwrap();
    let seen = lines(&mut file);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["type"], "invoke");
    assert_eq!(seen[0]["value"], 7);
    assert_eq!(seen[0]["node"], "n2");
    let done = recorder.complete(call, &Completion::Ok(json!(7)), Some(NodeId(3))).unwrap();
    assert!(!done.retired && done.latency > Nanos(0));
    let seen = lines(&mut file);
    assert_eq!(seen[1]["type"], "ok");
    assert_eq!(seen[1]["node"], "n3");
    assert_eq!(recorder.counts()["write"], Count { ok: 1, fail: 0, info: 0 });
}

#[test]
fn a_process_has_one_open_call_and_is_retired_by_info() {
    let (recorder, _file) = recorder();
    let process = recorder.process();
    let call = recorder.invoke(process, &write(1), None).unwrap();
    let second = recorder.invoke(process, &write(2), None);
    assert!(matches!(second, Err(RecordError::Protocol { .. })));
    let info = Completion::Info { error: "timeout".to_owned() };
    assert!(recorder.complete(call, &info, None).unwrap().retired);
    assert!(matches!(recorder.invoke(process, &write(3), None), Err(RecordError::Protocol { .. })));
    assert_ne!(recorder.process(), process);
}

#[test]
fn times_are_strictly_increasing_over_all_threads() {
    let (recorder, mut file) = recorder();
    let recorder = Arc::new(recorder);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let recorder = Arc::clone(&recorder);
            scope.spawn(move || {
                for value in 0..200 {
                    let call = recorder.invoke(recorder.process(), &write(value), None).unwrap();
                    recorder.complete(call, &Completion::Ok(json!(value)), None).unwrap();
                }
            });
        }
        scope.spawn(|| recorder.nemesis("partition", json!({"id": 1, "phase": "start"})).unwrap());
    });
    let seen = lines(&mut file);
    assert_eq!(seen.len(), 1601);
    for (place, pair) in seen.windows(2).enumerate() {
        assert!(pair[0]["time"].as_u64() < pair[1]["time"].as_u64(), "{pair:?}");
        assert_eq!(pair[0]["index"], json!(place));
    }
    assert_eq!(recorder.events_from(1600).len(), 1);
    assert!(recorder.events_from(9999).is_empty());
}

#[test]
fn events_stay_in_memory_only_where_they_are_wanted() {
    let recorder = Recorder::start(tempfile::tempfile().unwrap(), &header()).unwrap();
    for value in 0..3 {
        let call = recorder.invoke(recorder.process(), &write(value), None).unwrap();
        recorder.complete(call, &Completion::Ok(json!(value)), None).unwrap();
    }
    assert_eq!((recorder.len(), recorder.keys()), (6, 1));
    assert!(recorder.events_from(0).is_empty());
    assert!(recorder.lock().events.is_none());
}

#[test]
fn a_tie_is_moved_by_one_nanosecond() {
    assert_eq!(stamp(0, None), 0);
    assert_eq!(stamp(7, Some(6)), 7);
    assert_eq!(stamp(7, Some(7)), 8);
    assert_eq!(stamp(7, Some(9)), 10);
}

#[test]
fn a_refused_line_breaks_the_recorder_for_good() {
    // Every write to /dev/full fails as on a full disk.
    let full = File::options().write(true).open("/dev/full").unwrap();
    assert!(matches!(Recorder::start(full, &header()), Err(RecordError::Write(_))));
}
