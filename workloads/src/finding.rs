//! Judgements without a search: of workloads that promise something else than a legal order of their operations.
//!
//! Such a workload looks at the whole history and names what breaks its promise, each time with operations that break it
//! alone, because these are what is written as the counterexample and judged again. What is an accusation only for
//! want of other operations (nobody added this) therefore brings along those without which it would say something else.

use checker::{Judgement, Ruling, Violation};
use history::{NodeId, Operation, Outcome};
use serde_json::Value;
use std::collections::BTreeMap;

/// The argument of a read at the end of a run: asked when everything had been quiet, it must show everything.
pub(crate) const FINAL: &str = "final";

/// Something that breaks a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The operations that suffice to show it, by the index of their invocation.
    pub(crate) operations: Vec<u64>,
    /// What is wrong, for people.
    pub(crate) sentences: Vec<String>,
}

/// What a workload found.
pub(crate) enum Found {
    /// All is as promised, in words.
    Right(String),
    /// The promise is broken: how, in words, and the smallest that shows it.
    Wrong(String, Finding),
    /// It cannot be told, for this reason.
    Open(String),
}

impl From<Found> for Judgement {
    fn from(found: Found) -> Self {
        let all = |ruling, message, valid, violations| Self {
            ruling,
            message,
            partitions: 1,
            valid,
            violations,
            ..Self::default()
        };
        match found {
            Found::Right(message) => all(Ruling::Valid, message, 1, Vec::new()),
            Found::Open(message) => all(Ruling::Unknown, message, 0, Vec::new()),
            Found::Wrong(message, finding) => {
                let mut operations = finding.operations;
                operations.sort_unstable();
                operations.dedup();
                let violation = Violation {
                    key: None,
                    operations,
                    by: "the workload itself",
                    exact: true,
                    steps: Vec::new(),
                    blocked: Vec::new(),
                    others: Vec::new(),
                    sentences: finding.sentences,
                };
                all(Ruling::Invalid, message, 0, vec![violation])
            }
        }
    }
}

/// Through which nodes final reads were asked for, and whether one of each was answered.
#[derive(Debug, Default)]
pub(crate) struct Asked(BTreeMap<NodeId, bool>);

impl Asked {
    /// One final read, answered or not.
    pub(crate) fn note(&mut self, read: &Operation) {
        if let Some(node) = read.node {
            *self.0.entry(node).or_default() |= answered(read).is_some();
        }
    }

    /// The nodes that answered none, for a sentence.
    pub(crate) fn silent(&self) -> Option<String> {
        let silent = self.0.iter().filter(|(_, answered)| !**answered);
        let silent: Vec<String> = silent.map(|(node, _)| node.to_string()).collect();
        (!silent.is_empty()).then(|| silent.join(", "))
    }
}

/// The answer of an operation that happened, and when it had come, in the order of the history.
pub(crate) fn answered(operation: &Operation) -> Option<(&Value, u64)> {
    match &operation.outcome {
        Outcome::Ok { value, .. } => Some((value, operation.end.unwrap_or(u64::MAX))),
        Outcome::Fail { .. } | Outcome::Info { .. } => None,
    }
}

/// Whether it certainly did not happen.
pub(crate) fn failed(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Fail { .. })
}

/// Who asked whom, for a sentence: `c7 on n2`.
pub(crate) fn who(operation: &Operation) -> String {
    match operation.node {
        Some(node) => format!("{} on {node}", operation.process),
        None => operation.process.to_string(),
    }
}

/// A value short enough for a line.
pub(crate) fn short(value: &Value) -> String {
    cut(value.to_string())
}

/// The beginning of a text, if that is too long for a line.
pub(crate) fn cut(text: String) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// `1 id`, `3 ids`.
pub(crate) fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::{DecodeError, JudgeOptions, by_name};
    use checker::{Judgement, Limits, Ruling};
    use history::{History, read_jsonl};
    use serde_json::Value;
    use std::fmt::Write;

    /// One operation of a history in which nothing overlaps: its function, argument and answer, as JSON.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Line {
        Ok(&'static str, &'static str, &'static str),
        Fail(&'static str, &'static str),
        Info(&'static str, &'static str),
        /// Asked of this node, the others of n1, and never answered.
        On(&'static str, &'static str, &'static str),
    }

    fn history(workload: &str, lines: &[Line]) -> History {
        let mut text = format!("{{\"history\":1,\"workload\":\"{workload}\"}}\n");
        for (number, line) in lines.iter().enumerate() {
            let (node, f, input, kind, value) = match line {
                Line::Ok(f, input, value) => (&"n1", f, input, "ok", value),
                Line::Fail(f, input) => (&"n1", f, input, "fail", input),
                Line::Info(f, input) => (&"n1", f, input, "info", input),
                Line::On(node, f, input) => (node, f, input, "info", input),
            };
            for (index, kind, value) in
                [(2 * number, "invoke", input), (2 * number + 1, kind, value)]
            {
                writeln!(
                    text,
                    "{{\"index\":{index},\"time\":{index},\"process\":{number},\"type\":\"{kind}\",\
                     \"f\":\"{f}\",\"value\":{value},\"node\":\"{node}\"}}"
                )
                .expect("a string takes everything");
            }
        }
        read_jsonl(text.as_bytes()).expect("a history")
    }

    /// What the workload says of it.
    pub(crate) fn read(workload: &str, lines: &[Line]) -> Result<Judgement, DecodeError> {
        let options =
            JudgeOptions { limits: Limits::default(), stop: &|| false, threads: 1, certify: false };
        by_name(workload).expect("it is listed").judge(&history(workload, lines), &options)
    }

    /// The same as text: ruling, message, the operations of the proof and its sentences. A proof is judged again alone and
    /// must say the same.
    pub(crate) fn judge(workload: &str, lines: &[Line]) -> String {
        let judgement = read(workload, lines).expect("its operations");
        let violation = judgement.violations.first();
        let operations = violation.map_or(&[][..], |violation| &violation.operations);
        if let Some(violation) = violation {
            let whole = history(workload, lines);
            let kept = violation.operations.iter().copied().collect();
            let file = history::write_counterexample(Vec::new(), &whole, &kept).expect("memory");
            let part = read_jsonl(&file[..]).expect("a history");
            let options = JudgeOptions {
                limits: Limits::default(),
                stop: &|| false,
                threads: 1,
                certify: false,
            };
            let again = by_name(workload).expect("it is listed").judge(&part, &options);
            let again = again.expect("its operations");
            assert_eq!(again.ruling, Ruling::Invalid);
            assert_eq!(again.violations[0].sentences, violation.sentences, "judged alone");
        }
        let ruling = match judgement.ruling {
            Ruling::Valid => "valid",
            Ruling::Invalid => "invalid",
            Ruling::Unknown => "unknown",
        };
        let sentences: Vec<&str> =
            violation.iter().flat_map(|one| &one.sentences).map(String::as_str).collect();
        let message = &judgement.message;
        let text = format!("{ruling}: {message} {operations:?} {}", sentences.join(" "));
        text.trim_end().to_owned()
    }

    /// Every workload says in one line what an operation is, also one that makes no sense to it.
    #[test]
    fn operations_are_described_in_a_line() {
        for (workload, line, said) in [
            ("unique-ids", Line::Ok("generate", "null", "[1]"), "generate → [1]"),
            ("echo", Line::Ok("echo", "1", "2"), "echo 1 → 2"),
            ("echo", Line::Info("echo", "1"), "echo 1"),
            ("g-set", Line::Ok("read", "null", "[1,2]"), "read → 2 elements"),
            ("g-set", Line::Fail("add", "7"), "add 7"),
            ("broadcast", Line::Ok("broadcast", "\"x\"", "\"x\""), "broadcast \"x\""),
            ("pn-counter", Line::Ok("read", "null", "-4"), "read → -4"),
            ("g-counter", Line::Ok("add", "-4", "-4"), "add"),
        ] {
            let history = history(workload, &[line]);
            let described = by_name(workload).expect("listed").describe(&history.operations[0]);
            assert_eq!(described, said, "{workload}");
        }
        let long = Value::String("ä".repeat(100));
        assert_eq!(super::short(&long).chars().count(), 61);
    }
}
