//! Each check on small facts, and on the facts next to them that must be judged otherwise.

use super::{Facts, Injection, Ruling, coverage, crashes, power, recovery};
use crate::event::Phase;
use crate::results::{ExitCause, Observation, Observed};
use history::{Event, Header, History, Kind, Nanos, NodeId, Order, Outcome, Process};
use serde_json::json;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// Operations `f` on node `n`, from `invoked` to `ended` (seconds), all of them ending as `kind`.
fn history(operations: &[(&str, u16, u64, u64, Kind)]) -> History {
    let mut events = Vec::new();
    for (process, (f, node, invoked, ended, kind)) in operations.iter().enumerate() {
        for (time, kind) in [(*invoked, Kind::Invoke), (*ended, *kind)] {
            events.push(Event {
                index: 0,
                time: Nanos(time * SECOND),
                process: Process::Client(process as u64),
                kind,
                f: (*f).to_owned(),
                key: Some("k".to_owned()),
                value: json!(null),
                node: Some(NodeId(*node)),
                error: None,
            });
        }
    }
    events.sort_by_key(|event| (event.time, event.kind != Kind::Invoke));
    for (index, event) in events.iter_mut().enumerate() {
        event.index = index as u64;
    }
    History::from_events(Header::new("kv"), events, Order::Time).unwrap()
}

fn facts<'a>(
    history: &'a History,
    injections: &'a [Injection],
    observations: &'a [Observation],
    requested: &'a [String],
) -> Facts<'a> {
    Facts {
        requested,
        nodes: 2,
        recovery_limit: Duration::from_secs(30),
        recovery_claimed: true,
        functions: &["read", "write"],
        history,
        injections,
        observations,
    }
}

fn kill(start: u64, end: Option<u64>, ineffective: Option<&str>) -> Injection {
    Injection {
        id: start,
        fault: "kill".to_owned(),
        detail: "n2".to_owned(),
        start: Nanos(start * SECOND),
        end: end.map(|end| Nanos(end * SECOND)),
        ineffective: ineffective.map(str::to_owned),
    }
}

fn seen(at: u64, what: Observed) -> Observation {
    Observation { time: Nanos(at * SECOND), what }
}

fn exit(cause: ExitCause) -> Observed {
    let log = vec!["panicked at raft.rs".to_owned()];
    Observed::Exit { node: NodeId(2), status: "exit code 101".to_owned(), cause, log }
}

fn starved(at: u64) -> Observation {
    let (stall_p99_ms, stall_max_ms) = (900.0, 2000.0);
    let (cpu_idle, cpu_steal) = (None, None);
    seen(at, Observed::Harness { stall_p99_ms, stall_max_ms, cpu_idle, cpu_steal, starved: true })
}

fn leads(node: u16, term: u64) -> Observed {
    let role = "leader".to_owned();
    Observed::Status {
        node: NodeId(node),
        role,
        term,
        leader: None,
        commit: 0,
        last: 0,
        counters: None,
    }
}

/// Served through both nodes right after a heal at 10 s.
const SERVED: [(&str, u16, u64, u64, Kind); 6] = [
    ("write", 1, 1, 2, Kind::Ok),
    ("read", 1, 6, 7, Kind::Ok),
    ("write", 1, 10, 11, Kind::Ok),
    ("read", 1, 11, 12, Kind::Ok),
    ("read", 2, 11, 13, Kind::Ok),
    ("write", 2, 11, 13, Kind::Ok),
];

#[test]
fn only_an_unexplained_exit_is_a_crash() {
    let empty = history(&[]);
    let judge = |observations: &[Observation]| crashes(&facts(&empty, &[], observations, &[]));
    assert_eq!(judge(&[]).verdict, Ruling::Unknown);
    let ready = seen(0, Observed::Ready { node: NodeId(2) });
    for (cause, expected) in [
        (ExitCause::Fault, Ruling::Valid),
        (ExitCause::Stop, Ruling::Valid),
        (ExitCause::NotReady, Ruling::Invalid),
        (ExitCause::Unexplained, Ruling::Invalid),
    ] {
        let check = judge(&[ready.clone(), seen(3, exit(cause.clone()))]);
        assert_eq!(check.verdict, expected, "{cause:?}");
    }
    for (at, expected) in [(10, Ruling::Unknown), (40, Ruling::Invalid)] {
        let check = judge(&[ready.clone(), seen(12, exit(ExitCause::NotReady)), starved(at)]);
        assert_eq!(check.verdict, expected, "starved at {at} s");
    }
    let check = judge(&[ready, seen(3, exit(ExitCause::Unexplained))]);
    let said = "n2 ended by itself at 3.0 s (exit code 101): panicked at raft.rs";
    assert_eq!(check.message, said);
}

#[test]
fn recovery_wants_a_write_and_a_read_through_every_live_node() {
    let faults = [kill(5, Some(10), None)];
    let late = seen(60, Observed::Note { text: "end".to_owned() });
    let judge = |operations: &[_], observations: &[Observation]| {
        recovery(&facts(&history(operations), &faults, observations, &[])).verdict
    };
    let end = std::slice::from_ref(&late);
    assert_eq!(judge(&SERVED, end), Ruling::Valid);
    for (missing, needed) in SERVED.iter().enumerate().skip(2) {
        let mut without = SERVED.to_vec();
        without[missing].4 = Kind::Info;
        assert_eq!(judge(&without, end), Ruling::Invalid, "without {needed:?}");
        assert_eq!(judge(&without, &[]), Ruling::Unknown, "the run ended early");
        assert_eq!(judge(&without, &[starved(20), late.clone()]), Ruling::Unknown);
    }
    let dead = [seen(12, exit(ExitCause::Unexplained)), late.clone()];
    assert_eq!(judge(&SERVED[..4], &dead), Ruling::Valid, "the crash is another check's");
    let dead = [seen(12, exit(ExitCause::Fault)), late.clone()];
    assert_eq!(judge(&SERVED, &dead), Ruling::Unknown, "n2 was never seen to serve again");
}

/// A workload that has nothing to look at, or nothing to change, is served by what it has.
#[test]
fn recovery_wants_no_more_than_the_workload_has() {
    let faults = [kill(5, Some(10), None)];
    let late = [seen(60, Observed::Note { text: "end".to_owned() })];
    let judge = |functions: &[&'static str], kind| {
        let operations = [("generate", 1, 11, 12, Kind::Ok), ("generate", 2, 11, 12, kind)];
        let history = history(&operations);
        recovery(&Facts { functions, ..facts(&history, &faults, &late, &[]) }).verdict
    };
    assert_eq!(judge(&["generate"], Kind::Ok), Ruling::Valid);
    assert_eq!(judge(&["generate"], Kind::Info), Ruling::Invalid);
    assert_eq!(judge(&["generate", "read"], Kind::Ok), Ruling::Unknown, "no read was tried");
}

/// Nobody may happen to write through a node until the final reads, which are minutes after the last heal of a long run.
#[test]
fn what_nobody_asked_for_is_not_late() {
    let faults = [kill(5, Some(10), None)];
    let late = seen(60, Observed::Note { text: "end".to_owned() });
    let judge = |operations: &[_]| {
        recovery(&facts(&history(operations), &faults, std::slice::from_ref(&late), &[]))
    };
    let mut seldom = SERVED.to_vec();
    (seldom[5].2, seldom[5].3) = (55, 57);
    let check = judge(&seldom);
    assert_eq!((check.verdict, check.facts["seconds"].as_f64()), (Ruling::Valid, Some(2.0)));
    let check = judge(&SERVED[..5]);
    assert_eq!(check.verdict, Ruling::Unknown);
    assert_eq!(check.message, "no write through n2 was tried after the last heal");
}

#[test]
fn recovery_past_the_limit_is_missed() {
    let mut slow = SERVED.to_vec();
    slow[4].3 = 42;
    let faults = [kill(5, Some(10), None)];
    let history = history(&slow);
    let check = recovery(&facts(&history, &faults, &[], &[]));
    assert_eq!(check.verdict, Ruling::Invalid);
    assert!(check.message.starts_with("read through n2 only after 31.0 s"), "{}", check.message);
    let observations = [];
    let unclaimed =
        Facts { recovery_claimed: false, ..facts(&history, &faults, &observations, &[]) };
    let check = recovery(&unclaimed);
    assert_eq!(check.verdict, Ruling::Unknown, "who claims no limit breaks none");
    assert!(check.message.ends_with("but the system claims no limit"), "{}", check.message);
}

#[test]
fn recovery_without_faults_and_with_unhealed_ones() {
    let history = history(&SERVED);
    assert_eq!(recovery(&facts(&history, &[], &[], &[])).verdict, Ruling::Valid);
    let unhealed = [kill(5, Some(10), None), kill(8, None, None)];
    let check = recovery(&facts(&history, &unhealed, &[], &[]));
    assert_eq!(check.verdict, Ruling::Unknown);
    assert_eq!(check.message, "kill n2 at 8.0 s was never healed");
}

#[test]
fn coverage_counts_only_what_bit() {
    let served = history(&SERVED);
    let wanted = ["kill".to_owned()];
    let judge =
        |history: &History, faults: &[Injection]| coverage(&facts(history, faults, &[], &wanted)).0;
    assert_eq!(judge(&served, &[kill(5, Some(10), None)]).verdict, Ruling::Valid);
    let never = judge(&served, &[]);
    assert_eq!((never.verdict, never.message.as_str()), (Ruling::Unknown, "no kill was injected"));
    let blunt = judge(&served, &[kill(5, Some(10), Some("pid was gone already"))]);
    assert_eq!(blunt.verdict, Ruling::Unknown);
    assert_eq!(blunt.message, "no kill bit (pid was gone already)");
    let quiet = judge(&history(&SERVED[2..]), &[kill(5, Some(9), None)]);
    assert_eq!(quiet.message, "no operation succeeded during a fault");
    let dead = judge(&history(&SERVED[..2]), &[kill(5, Some(10), None)]);
    assert_eq!(dead.message, "no operation succeeded after the last heal");
}

#[test]
fn only_what_bit_counts_as_a_fault_that_was_survived() {
    let served = history(&SERVED[2..]);
    let wanted = ["kill".to_owned()];
    // One that bit before anything was asked, and one that did not bite while everything was.
    let faults = [kill(5, Some(9), None), kill(11, Some(11), Some("pid was gone already"))];
    let (check, coverage) = coverage(&facts(&served, &faults, &[], &wanted));
    assert_eq!(coverage.ok_during_faults, 0, "{}", check.message);
    assert_eq!(check.message, "no operation succeeded during a fault");
}

#[test]
fn a_run_that_was_cut_short_is_not_covered() {
    let served = history(&SERVED);
    let judge = |phases: &[(u64, Phase)]| {
        let phases: Vec<_> =
            phases.iter().map(|(at, phase)| seen(*at, Observed::Phase { phase: *phase })).collect();
        let check = coverage(&facts(&served, &[], &phases, &[])).0;
        (check.verdict, check.message)
    };
    let (work, reads, stop) = ((1, Phase::Work), (11, Phase::FinalReads), (20, Phase::Stop));
    assert_eq!(judge(&[work, reads, stop]).0, Ruling::Valid);
    for (phases, said) in [
        (&[work][..], "the run ended before its final reads"),
        (&[work, stop], "the run ended before its final reads"),
        (&[work, reads], "the run ended in its final reads"),
        (&[work, (14, Phase::FinalReads), stop], "no final read was answered"),
    ] {
        assert_eq!(judge(phases), (Ruling::Unknown, said.to_owned()));
    }
}

#[test]
fn that_no_leader_changed_is_told_only_where_somebody_says_who_leads() {
    let (history, requested) = (history(&[]), ["kill".to_owned()]);
    let warnings = |observations: &[Observation]| {
        let (check, _) = coverage(&facts(&history, &[], observations, &requested));
        check.warnings.iter().filter(|text| text.contains("no change of leader")).count()
    };
    let (node, role) = (NodeId(1), "leader".to_owned());
    let status =
        Observed::Status { node, role, term: 1, leader: None, commit: 0, last: 0, counters: None };
    assert_eq!((warnings(&[]), warnings(&[seen(1, status)])), (0, 1));
}

#[test]
fn what_the_run_noted_is_a_warning() {
    let empty = history(&[]);
    let note = [seen(1, Observed::Note { text: "fault 3 was not healed".to_owned() })];
    let check = coverage(&facts(&empty, &[], &note, &[])).0;
    assert_eq!(check.warnings, ["fault 3 was not healed"]);
}

#[test]
fn changes_of_leader_are_counted_once() {
    let served = history(&SERVED);
    let observations = [
        seen(1, leads(1, 1)),
        seen(2, leads(1, 1)),
        seen(6, leads(2, 2)),
        seen(7, leads(1, 1)),
        seen(8, leads(2, 3)),
        seen(11, Observed::Phase { phase: Phase::FinalReads }),
        seen(12, leads(1, 4)),
        seen(13, Observed::Phase { phase: Phase::Stop }),
    ];
    let (check, coverage) = coverage(&facts(&served, &[], &observations, &[]));
    assert_eq!(check.verdict, Ruling::Valid);
    assert_eq!(coverage.leader_changes, 2);
    assert_eq!(coverage.reads_across_leader_change, 3);
}

#[test]
fn power_wants_every_function_to_succeed_once() {
    let judge = |operations: &[_]| power(&facts(&history(operations), &[], &[], &[]), 0);
    assert_eq!(judge(&SERVED).verdict, Ruling::Valid);
    let failed = judge(&[("read", 1, 1, 2, Kind::Ok), ("write", 1, 1, 2, Kind::Info)]);
    assert_eq!(failed.verdict, Ruling::Unknown);
    assert_eq!(failed.message, "no write ever succeeded");
    assert_eq!(judge(&[("read", 1, 1, 2, Kind::Fail)]).verdict, Ruling::Unknown);
    assert_eq!(judge(&[]).verdict, Ruling::Unknown);
}

#[test]
fn an_answer_without_a_meaning_never_passes() {
    for (code, expected) in [("timeout", Ruling::Valid), ("protocol", Ruling::Unknown)] {
        let mut history = history(&SERVED);
        let last = history.operations.last_mut().unwrap();
        last.outcome = Outcome::Info { index: None, time: None, error: Some(code.into()) };
        assert_eq!(power(&facts(&history, &[], &[], &[]), 0).verdict, expected, "{code}");
    }
}
