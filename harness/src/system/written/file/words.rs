//! The words of a system's file: which there are, how each is written, and what is wrong with one that is not.
//!
//! Asked before anything of the file is understood, and again where its reader only says that it expected something else.

use crate::exit::nearest;
use toml::de::{DeTable, Error};

/// Every word with an example of it, those that must be there first.
const WORDS: [(&str, &str); 16] = [
    ("name", r#"name = "my-store""#),
    ("about", r#"about = "what it is, in one sentence""#),
    ("start", r#"start = ["my-store", "--listen", "{address}:7001", "--data", "{data}"]"#),
    ("client", r#"client = ["python3", "{here}/my_client.py"]"#),
    ("ports", "ports = { peers = [7000], client = 7001 }, each from 1 to 65535"),
    ("version", r#"version = "1.2", or a command: version = ["my-store", "--version"]"#),
    ("needs", r#"needs = { python3 = "python3" }, a program and its package"#),
    ("stop", r#"stop = ["kill", "-INT", "{pid}"]"#),
    ("probe", r#"probe = ["python3", "{here}/my_probe.py", "{probe}"]"#),
    ("environment", r#"environment = { LEVEL = "debug" }"#),
    ("powers", r#"powers = ["cut", "kill", "pause"], or fewer, or with "disk""#),
    ("survives", r#"survives = 1, or survives = "minority""#),
    ("recovery_limit", r#"recovery_limit = "60s""#),
    ("shared_network", "shared_network = true"),
    ("workloads", r#"workloads = ["kv", "register"], or one of them"#),
    ("crashes", r#"crashes = ["PANIC"], pieces of lines in a node's log"#),
];
/// How many of them must be there.
const NEEDED: usize = 5;
/// What the reader expects, in its words and in ours.
const EXPECTED: [(&str, &str); 6] = [
    ("expected a string", "expected a text in quotes"),
    ("expected a sequence", "expected a list in brackets"),
    ("expected a map", "expected a table in braces"),
    ("expected u16", "expected a port"),
    ("unknown field", "unknown word"),
    ("missing field", "there is no"),
];

/// Whether every word is one and the needed ones are there.
///
/// # Errors
/// The byte at which something is wrong, and what.
pub(super) fn check(text: &str) -> Result<(), (usize, String)> {
    // What is no TOML is told by whoever reads all of it.
    let Ok(table) = DeTable::parse(text) else { return Ok(()) };
    for word in table.get_ref().keys() {
        let name = word.get_ref().as_ref();
        if example(name).is_none() {
            let known = WORDS.map(|(word, _)| word);
            let near = nearest(name, &known).map(|near| format!("; did you mean `{near}`?"));
            let near = near.unwrap_or_else(|| format!("; there are {}", known.join(", ")));
            return Err((word.span().start, format!("unknown word `{name}`{near}")));
        }
    }
    match WORDS[..NEEDED].iter().find(|(word, _)| !table.get_ref().contains_key(*word)) {
        Some((word, example)) => {
            Err((text.len(), format!("there is no `{word}`; write it like {example}")))
        }
        None => Ok(()),
    }
}

/// What the reader of the file says, with the word it is about and an example of that.
pub(super) fn told(text: &str, error: &Error) -> (usize, String) {
    let at = error.span().map_or(0, |span| span.start);
    let mut why = error.message().to_owned();
    for (theirs, ours) in EXPECTED {
        why = why.replace(theirs, ours);
    }
    let table = DeTable::parse(text).ok();
    let word = table.as_ref().and_then(|table| {
        // The last word that begins before it.
        let before = table.get_ref().keys().filter(|word| word.span().start <= at);
        before.max_by_key(|word| word.span().start)
    });
    let known = word.and_then(|word| Some((word.get_ref(), example(word.get_ref())?)));
    match known {
        Some((word, example)) => (at, format!("`{word}`: {why}; write it like {example}")),
        None => (at, why),
    }
}

fn example(word: &str) -> Option<&'static str> {
    WORDS.iter().find(|(one, _)| *one == word).map(|(_, example)| *example)
}
