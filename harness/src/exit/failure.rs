//! An expected error: what went wrong, what helps, and which exit code it deserves.

use super::Exit;
use std::fmt;

/// An error that people are meant to read: one lowercase sentence without a full stop, lines of
/// detail such as the end of a node's log, and hints. Only the terminal renders it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code to leave with.
    pub exit: Exit,
    /// What went wrong.
    pub message: String,
    /// Lines of evidence, shown indented as they are.
    pub details: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
}

impl Failure {
    /// Bad arguments or unreadable input.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The harness or its environment failed.
    #[must_use]
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(Exit::Error, message)
    }

    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), details: Vec::new(), hints: Vec::new() }
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds lines of evidence.
    #[must_use]
    pub fn details(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(lines);
        self
    }

    /// The name `given` is not among the `known` ones: says so, and which one was probably meant.
    #[must_use]
    pub fn unknown_name(what: &str, given: &str, flag: &str, known: &[&str]) -> Self {
        let mut failure = Self::usage(format!("unknown {what} `{given}` in `{flag}`"));
        if let Some(near) = nearest(given, known) {
            failure = failure.hint(format!("did you mean `{near}`?"));
        }
        failure.hint(format!("known: {}", known.join(", ")))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The known name that is a typing slip away from `given`, if any: at most a third of its letters.
pub(crate) fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (distance(given, name), *name))
        .min()
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .map(|(_, name)| name)
}

/// Edits (insert, delete, replace, swap of neighbours) between two short texts.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best =
                (rows[i - 1][j - 1] + change).min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_recognised() {
        let known = ["partition", "kill", "pause"];
        for (given, meant) in [
            ("partitoin", Some("partition")),
            ("parition", Some("partition")),
            ("kil", Some("kill")),
            ("pasue", Some("pause")),
            ("disk", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, &known), meant, "{given}");
        }
    }
}
