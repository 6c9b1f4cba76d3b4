//! Histories recorded elsewhere: each rule on a small sample, each refusal with its place, and the
//! real files where they are at hand.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "foreign/assembling.rs"]
mod assembling;
#[path = "foreign/detecting.rs"]
mod detecting;
#[path = "foreign/notation.rs"]
mod notation;
#[path = "foreign/reading.rs"]
mod reading;
#[path = "foreign/real.rs"]
mod real;

use history::{ForeignOptions, Format, History, Operation, Outcome, Process, read_foreign};
use serde_json::Value;

fn options(format: Format) -> ForeignOptions {
    ForeignOptions::new(format)
}

fn named(format: Format, workload: &str) -> ForeignOptions {
    ForeignOptions { workload: Some(workload.to_owned()), ..options(format) }
}

fn read(format: Format, text: &str) -> History {
    read_foreign(text.as_bytes(), &options(format)).unwrap()
}

fn refused(format: Format, text: &str) -> String {
    refused_with(&options(format), text)
}

fn refused_with(options: &ForeignOptions, text: &str) -> String {
    read_foreign(text.as_bytes(), options).unwrap_err().to_string()
}

/// The only value of a history that writes it.
fn written(edn: &str) -> Value {
    let text = format!("{{:process 0, :type :invoke, :f :write, :value {edn}}}\n");
    read(Format::Edn, &text).operations[0].input.clone()
}

/// An operation as `process f key input → outcome`.
fn said(operation: &Operation) -> String {
    let outcome = match &operation.outcome {
        Outcome::Ok { value, .. } => format!("ok {value}"),
        Outcome::Fail { error, .. } => format!("fail {}", error.as_deref().unwrap_or("-")),
        Outcome::Info { index: None, .. } => "open".to_owned(),
        Outcome::Info { error, .. } => format!("info {}", error.as_deref().unwrap_or("-")),
    };
    let process = match operation.process {
        Process::Client(number) => number.to_string(),
        Process::Nemesis => "nemesis".to_owned(),
    };
    let key = operation.key.as_ref().map_or("-".to_owned(), ToString::to_string);
    format!("{process} {} {key} {} → {outcome}", operation.f, operation.input)
}

fn all_said(history: &History) -> Vec<String> {
    history.operations.iter().map(said).collect()
}
