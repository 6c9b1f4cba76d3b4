//! Every line the terminal can say, side by side in golden files: a redesign is one reviewable diff.
//! `UPDATE_GOLDEN=1 cargo test -p harness golden` writes them anew.

use super::style::Style;
use super::{render_failure, status, summary};
use crate::event::{Beat, Event, Phase};
use crate::exit::Failure;
use crate::verdict::{
    Blocked, Check, OperationRow, OutcomeCounts, Outcomes, Overlap, Place, Ruling, Seconds,
    UnknownKey, VerdictDocument, Violation,
};
use history::{Nanos, NodeId};
use std::path::Path;
use std::time::Duration;

fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{name} differs; UPDATE_GOLDEN=1 accepts");
}

fn beat() -> Beat {
    Beat {
        elapsed: Duration::from_secs(41),
        total: Duration::from_secs(60),
        operations: 51_004,
        rate_per_second: 1244.4,
        p99: Some(Duration::from_millis(31)),
        leader: Some(NodeId(4)),
        term: 6,
        faults: vec!["kill n2".to_owned()],
    }
}

/// One of every event, some in several forms.
fn events() -> Vec<Event> {
    let word = str::to_owned;
    let phases = [
        Phase::Deploy,
        Phase::Elect,
        Phase::Work,
        Phase::Heal,
        Phase::Settle,
        Phase::FinalReads,
        Phase::Stop,
        Phase::Check,
        Phase::Report,
    ];
    let mut events = vec![
        Event::Planned {
            workload: word("register"),
            system: word("reference"),
            nodes: 5,
            clients: 10,
            seed: word("5eed-a0b3-9d44"),
        },
        Event::Omitted { fault: word("partition"), reason: word("there is only one node") },
        Event::Deployed { nodes: (1..=5).map(NodeId).collect(), links: 20 },
        Event::Elected { leader: NodeId(2), term: 1 },
        Event::Working { faults: vec![word("kill"), word("partition")] },
        Event::Working { faults: Vec::new() },
        Event::Injected { fault: word("partition"), detail: word("n1 n3 ┃ n2 n4 n5") },
        Event::Healed { fault: word("partition"), detail: word("n1 n3 ┃ n2 n4 n5") },
        Event::Beat(beat()),
        Event::Beat(Beat { total: Duration::from_secs(60), ..Beat::default() }),
        Event::Simulated {
            simulated: Duration::from_secs(32_400),
            total: Duration::from_secs(200_000),
            clusters: 54,
        },
        Event::Warning(word("n3 did not answer for 4 s")),
        Event::AllHealed { first_ok: Some(Duration::from_millis(600)) },
        Event::AllHealed { first_ok: None },
        Event::FinalReads { ok: 315, asked: 320 },
        Event::Stopping,
        Event::Checking { operations: 73_110, keys: 64 },
        Event::Checked { took: Duration::from_millis(1300), operations: 73_110, keys: 64 },
        Event::Checked { took: Duration::from_millis(20), operations: 1, keys: 0 },
    ];
    events.extend(phases.map(Event::Started));
    events
}

#[test]
fn golden_status_lines() {
    let at = Duration::from_millis(8_140);
    let mut text = String::new();
    for style in [Style::default(), Style { dumb: true, ..Style::default() }] {
        for event in events() {
            let left = status::line(&event, at).map(|line| style.status(&line));
            let live = status::live(&event, at).map(|line| style.status(&line));
            if let Some(line) = left {
                text.push_str(&format!("      |{line}\n"));
            }
            if let Some(line) = live {
                text.push_str(&format!("live  |{line}\n"));
            }
        }
    }
    golden("status_lines.txt", &text);
}

fn document(verdict: Ruling, check: Check) -> VerdictDocument {
    let counts = OutcomeCounts { ok: 70_911, fail: 1_852, info: 41 };
    VerdictDocument {
        verdict,
        provisional: false,
        checks: vec![
            check,
            Check::new("crashes", Ruling::Valid, "every exit was a fault of ours (7)"),
        ],
        counts: std::iter::once(("read".to_owned(), counts)).collect(),
        seconds: Seconds { run: 60.0, work: 58.0, check: 1.3 },
        ..VerdictDocument::provisional("20261120-152419-register-7")
    }
}

fn row(
    operation: u64,
    process: &str,
    node: u16,
    text: &str,
    from: u64,
    to: Option<u64>,
) -> OperationRow {
    OperationRow {
        operation,
        process: process.to_owned(),
        node: Some(NodeId(node)),
        text: text.to_owned(),
        outcome: if to.is_some() { Outcomes::Ok } else { Outcomes::Info },
        invoked: Nanos(from * 1_000_000),
        completed: to.map(|to| Nanos(to * 1_000_000)),
        error: None,
        place: None,
    }
}

fn violation() -> Violation {
    Violation {
        key: Some("k17".to_owned()),
        exact: true,
        operations: vec![
            row(4, "c5", 2, "write 3", 8100, Some(8114)),
            row(7, "c3", 2, "write 7", 8120, Some(8134)),
            row(8, "c9", 4, "write 9", 8125, None),
            row(12, "c1", 3, "read → 3", 8142, Some(8150)),
        ],
        steps: Vec::new(),
        blocked: vec![Blocked {
            operation: 12,
            text: "read → 3".to_owned(),
            why: "needs 3, finds 7".to_owned(),
        }],
        sentences: vec!["write 7 had finished 8 ms before read → 3 began.".to_owned()],
        faults: vec![Overlap {
            fault: "partition".to_owned(),
            detail: "n1 n3 ┃ n2 n4 n5".to_owned(),
            start: Nanos(8_118_000_000),
            end: None,
        }],
    }
}

/// The same from elsewhere, where the order of events decides.
fn violation_by_place() -> Violation {
    let mut violation = violation();
    for (row, (start, end)) in violation.operations.iter_mut().zip([
        (6, Some(7)),
        (8, Some(9)),
        (10, None),
        (11, Some(14)),
    ]) {
        row.node = None;
        row.place = Some(Place { start, end });
    }
    violation
}

fn context() -> summary::Context {
    summary::Context {
        workload: "register".to_owned(),
        counterexample: Some("results/latest/counterexample.jsonl".to_owned()),
        report: Some("results/latest/report.html".to_owned()),
        replay: Some("results/latest".to_owned()),
        seed: Some("7".to_owned()),
    }
}

#[test]
fn golden_summaries() {
    let valid = Check::new("linearizable", Ruling::Valid, "64 of 64 keys are legal");
    let mut weak = valid.clone();
    weak.warnings.push("no change of leader was observed".to_owned());
    let mut unknown = Check::new("linearizable", Ruling::Unknown, "budget spent on 5 keys")
        .fact("algorithms", "blocks 3, search 56")
        .fact("keys", 64);
    unknown.unknown = (1..=5)
        .map(|key| UnknownKey {
            key: Some(format!("k{key}")),
            reason: "its budget of 60s is spent (no faster algorithm: a value comes twice)"
                .to_owned(),
            explored: 1_204_331,
            reached: "812 of 1000 answered operations were put in order".to_owned(),
        })
        .collect();
    unknown.hints.push("search longer: `harness check … --budget 10m`".to_owned());
    let mut invalid =
        Check::new("linearizable", Ruling::Invalid, "key k17 (the other 63 are valid)");
    invalid.violations.push(violation());
    let mut foreign = Check::new("linearizable", Ruling::Invalid, "no order is legal")
        .fact("algorithms", "search 1")
        .fact("keys", 1);
    foreign.violations.push(violation_by_place());
    let plain = Style::default();
    let mut text = String::new();
    for check in [valid, weak, unknown, invalid, foreign] {
        let document = document(check.verdict, check);
        text.push_str(&summary::render(&document, &context(), &plain));
        text.push_str(&summary::one_line(&document, "3/20", "9", "results/x", &plain));
    }
    let rulings = [Ruling::Valid, Ruling::Valid, Ruling::Unknown];
    text.push_str(&summary::tally(&rulings, Some(3), &plain));
    text.push_str(&summary::tally(&[Ruling::Valid, Ruling::Invalid], None, &plain));
    text.push_str(&summary::tally(&[Ruling::Error], Some(20), &plain));
    let failure = Failure::environment("n3 did not become ready within 10 s")
        .details(["its last line".to_owned()])
        .hint("its log is results/latest/nodes/n3/log");
    text.push_str(&render_failure(&failure, &plain));
    golden("summaries.txt", &text);
}

#[test]
fn a_long_proof_is_drawn_in_part() {
    let mut proof = violation();
    proof.operations =
        (0..70).map(|n| row(n, "c1", 1, "write 3", 10 * n, Some(10 * n + 5))).collect();
    let mut check = Check::new("linearizable", Ruling::Invalid, "key k17");
    check.violations.push(proof);
    let text = summary::render(&document(Ruling::Invalid, check), &context(), &Style::default());
    assert_eq!(text.matches("c1 → n1      write 3").count(), 40, "{text}");
    assert!(text.contains("… and 30 more"), "{text}");
    assert!(text.contains("Counterexample: 70 of 72,804 operations"), "{text}");
    assert!(text.contains("write 7 had finished"), "{text}");
}

#[test]
fn colour_changes_no_word() {
    let mut check = Check::new("linearizable", Ruling::Invalid, "key k17");
    check.violations.push(violation());
    let document = document(Ruling::Invalid, check);
    let painted = summary::render(&document, &context(), &Style { colour: true, dumb: false });
    let mut plain = String::new();
    let mut rest = painted.as_str();
    while let Some(at) = rest.find("\x1b[") {
        plain.push_str(&rest[..at]);
        rest = &rest[at + rest[at..].find('m').unwrap() + 1..];
    }
    plain.push_str(rest);
    assert_eq!(plain, summary::render(&document, &context(), &Style::default()));
}
