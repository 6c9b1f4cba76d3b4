//! The last thing a command says: the verdict, its checks, the proof, what to do next.

use super::status::{count, thousands};
use super::style::Style;
use super::timeline;
use crate::duration::short;
use crate::exit::Failure;
use crate::verdict::{Check, Ruling, UnknownKey, VerdictDocument, Violation};
use std::time::Duration;

/// More keys than this that could not be decided are counted, not told.
const UNDECIDED: usize = 3;
/// Columns before every line that is not a status line.
const INDENT: &str = "             ";

/// What a summary shows beside the verdict document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The workload.
    pub workload: String,
    /// Where the counterexample lies, as a path a person can type.
    pub counterexample: Option<String>,
    /// Where the report lies.
    pub report: Option<String>,
    /// The run folder, when it can be replayed.
    pub replay: Option<String>,
    /// The seed, when a run is told about.
    pub seed: Option<String>,
}

/// The whole block.
#[must_use]
pub fn render(document: &VerdictDocument, context: &Context, style: &Style) -> String {
    let mut lines = vec!["────────────".to_owned()];
    lines.extend(warnings(document, style));
    lines.push(headline(document, context, style));
    let width = document.checks.iter().map(|check| check.name.len()).max().unwrap_or(0).max(12);
    for check in &document.checks {
        lines.push(row(check, width, style));
    }
    lines.extend(undecided(document));
    if document.provisional {
        lines.push(format!("{INDENT}Nothing was judged: the run was left before its end."));
    }
    if let Some((violation, more)) = smallest(document) {
        lines.push(String::new());
        lines.extend(proof(violation, more, document, style));
    }
    let next = next(document, context, style);
    if !next.is_empty() {
        lines.push(String::new());
        lines.extend(next);
    }
    let mut text = style.plain(&lines.join("\n"));
    text.push('\n');
    text
}

/// One line of several, for `--count`: which run, its verdict, where it lies.
#[must_use]
pub fn one_line(
    document: &VerdictDocument,
    of: &str,
    seed: &str,
    place: &str,
    style: &Style,
) -> String {
    let word = word(document.verdict, style);
    let operations = count(document.totals().total(), "operation");
    let reason = match document.checks.iter().find(|check| check.verdict == document.verdict) {
        Some(check) if document.verdict != Ruling::Valid => {
            format!(" · {}: {}", check.name, check.message)
        }
        _ => String::new(),
    };
    let line =
        format!("{word} {of} · seed {seed} · {operations}{reason} · {}\n", style.path(place));
    style.plain(&line)
}

/// The last line of several runs; `asked` is none when they went on until a failure.
#[must_use]
pub fn tally(rulings: &[Ruling], asked: Option<u64>, style: &Style) -> String {
    let parts: Vec<String> = [Ruling::Valid, Ruling::Invalid, Ruling::Unknown, Ruling::Error]
        .into_iter()
        .map(|wanted| (wanted, rulings.iter().filter(|ruling| **ruling == wanted).count()))
        .filter(|(_, number)| *number > 0)
        .map(|(wanted, number)| format!("{number} {wanted}"))
        .collect();
    let done = rulings.len() as u64;
    let of = asked.filter(|asked| *asked != done).map_or(String::new(), |all| format!(" of {all}"));
    let runs = count(done, "run");
    style.plain(&format!("────────────\n{:>12} {runs}{of}: {}\n", "Summary", parts.join(", ")))
}

/// For a plan that was played again and again: how often it failed.
#[must_use]
pub fn recurrence(rulings: &[Ruling], style: &Style) -> String {
    let invalid = rulings.iter().filter(|ruling| **ruling == Ruling::Invalid).count();
    let runs = count(rulings.len() as u64, "run");
    style.plain(&format!("{:>12} {invalid} of {runs} invalid\n", "Recurrence"))
}

/// The verdict document for programs.
///
/// # Errors
/// When it cannot be put into JSON.
pub fn json(document: &VerdictDocument) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document).map_err(unwritable)?;
    Ok(format!("{text}\n"))
}

/// The same on one line, for one of several runs.
///
/// # Errors
/// When it cannot be put into JSON.
pub fn json_line(document: &VerdictDocument) -> Result<String, Failure> {
    let text = serde_json::to_string(document).map_err(unwritable)?;
    Ok(format!("{text}\n"))
}

fn unwritable(error: serde_json::Error) -> Failure {
    Failure::environment(format!("cannot write the verdict: {error}"))
}

fn word(ruling: Ruling, style: &Style) -> String {
    style.ruling(ruling, &format!("{:>12}", ruling.to_string().to_uppercase()))
}

fn headline(document: &VerdictDocument, context: &Context, style: &Style) -> String {
    let total = document.totals();
    let mut parts = vec![context.workload.clone()];
    if document.seconds.run > 0.0 {
        parts.push(short(Duration::from_secs_f64(document.seconds.run)));
    }
    parts.push(format!(
        "{} ({} ok, {} fail, {} info)",
        count(total.total(), "operation"),
        thousands(total.ok),
        thousands(total.fail),
        thousands(total.info)
    ));
    format!("{} {}", word(document.verdict, style), parts.join(" · "))
}

fn row(check: &Check, width: usize, style: &Style) -> String {
    let ruling = check.verdict.to_string();
    let ruling = if check.verdict == Ruling::Invalid { ruling.to_uppercase() } else { ruling };
    let ruling = style.ruling(check.verdict, &format!("{ruling:<9}"));
    let by = algorithms(check).map_or(String::new(), |by| style.dim(&format!(" · by {by}")));
    format!("{INDENT}{:<width$}  {ruling}  {}{by}", check.name, check.message)
}

/// Which algorithms decided how many keys each; of one key, only which.
fn algorithms(check: &Check) -> Option<&str> {
    let told = check.facts.get("algorithms")?.as_str().filter(|told| !told.is_empty())?;
    let one = check.facts.get("keys").and_then(serde_json::Value::as_u64) == Some(1);
    Some(told.strip_suffix(" 1").filter(|_| one).unwrap_or(told))
}

/// What could not be decided: why, how far it came, and why nothing faster could.
fn undecided(document: &VerdictDocument) -> Vec<String> {
    let all: Vec<&UnknownKey> = document.checks.iter().flat_map(|check| &check.unknown).collect();
    let mut lines = Vec::new();
    for one in all.iter().take(UNDECIDED) {
        let name = one.key.as_ref().map_or("the history".to_owned(), |key| format!("key {key}"));
        let seen = count(one.explored, "state");
        lines.push(format!("{INDENT}Undecided: {name}: {}", one.reason));
        lines.push(format!("{INDENT}           {}; {seen} looked at", one.reached));
    }
    if all.len() > UNDECIDED {
        let more = count((all.len() - UNDECIDED) as u64, "other key");
        lines.push(format!("{INDENT}           and {more}"));
    }
    lines
}

/// Weak spots and notes, above the verdict.
fn warnings(document: &VerdictDocument, style: &Style) -> Vec<String> {
    document
        .checks
        .iter()
        .flat_map(|check| &check.warnings)
        .map(|warning| format!("{} {warning}", style.doubt(&format!("{:>12}", "warning:"))))
        .collect()
}

/// The violation with the shortest proof, and how many others there are.
fn smallest(document: &VerdictDocument) -> Option<(&Violation, usize)> {
    let violations = || document.checks.iter().flat_map(|check| &check.violations);
    let first = violations().min_by_key(|violation| violation.operations.len())?;
    Some((first, violations().count() - 1))
}

fn proof(
    violation: &Violation,
    more: usize,
    document: &VerdictDocument,
    style: &Style,
) -> Vec<String> {
    let key = violation.key.as_ref().map_or(String::new(), |key| format!(" on key {key}"));
    let total = count(document.totals().total(), "operation");
    let axis = match violation.operations.first() {
        Some(row) if !timeline::by_place(violation) => {
            format!("0 is {:.1} ms after the start", row.invoked.0 as f64 / 1e6)
        }
        _ => "events are counted from 0, no clock was used".to_owned(),
    };
    let mut lines = vec![format!(
        "{INDENT}Counterexample: {} of {total}{key}; {axis}",
        thousands(violation.operations.len() as u64)
    )];
    lines.extend(timeline::draw(violation).iter().map(|line| format!("{INDENT}{line}")));
    lines.push(String::new());
    lines.extend(violation.sentences.iter().map(|sentence| format!("{INDENT}{sentence}")));
    if !violation.exact {
        lines.push(format!("{INDENT}It may not be the smallest."));
    }
    if more > 0 {
        let others = count(more as u64, "other key");
        lines.push(style.dim(&format!("{INDENT}And {others} cannot be explained either.")));
    }
    lines
}

/// What to do with it; the most useful line last.
fn next(document: &VerdictDocument, context: &Context, style: &Style) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |word: &str, text: &str, note: &str| {
        let note = if note.is_empty() { String::new() } else { format!("   {}", style.dim(note)) };
        lines.push(format!("{word:>12} {}{note}", style.path(text)));
    };
    let failed = document.verdict != Ruling::Valid;
    // Beside a proof, advice on how to see more is noise.
    let undecided = document.verdict == Ruling::Unknown;
    let checks = document.checks.iter().filter(|c| undecided && c.verdict != Ruling::Valid);
    for hint in checks.flat_map(|c| &c.hints) {
        say("hint:", hint, "");
    }
    if let Some(seed) = &context.seed {
        say("Seed", seed, "fixes the plan, not the interleaving");
    }
    if let Some(path) = &context.report {
        say("Report", path, "");
    }
    let proven = document.checks.iter().any(|check| !check.violations.is_empty());
    if proven && let Some(path) = &context.counterexample {
        say("Recheck", &format!("harness check {path}"), "");
    }
    if failed && let Some(path) = &context.replay {
        say("Replay", &format!("harness run --replay {path}"), "same plan; timing will differ");
    }
    lines
}
