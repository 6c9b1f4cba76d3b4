//! What `harness simulate` says: the usual summary, and of a failure the actions it needs and its last steps.

use super::style::Style;
use super::summary;
use crate::system::reference::simulate::Smallest;
use crate::verdict::{Ruling, VerdictDocument};

/// Columns before every line that is not a status line.
const INDENT: &str = "             ";

/// The whole block; `again` is the command that repeats it.
#[must_use]
pub fn render(
    document: &VerdictDocument,
    smallest: Option<&Smallest>,
    again: &str,
    style: &Style,
) -> String {
    let context =
        summary::Context { workload: "simulated".to_owned(), ..summary::Context::default() };
    let mut lines = Vec::new();
    if let Some(Smallest { actions, of, broken, steps }) = smallest {
        lines.push(String::new());
        lines.push(format!("{:>12} {} of {of} actions are needed", "Smallest", actions.len()));
        lines.extend(actions.iter().map(|action| format!("{INDENT}{action}")));
        lines.extend(broken.iter().map(|text| format!("{INDENT}at the end {text}")));
        lines.push(format!("{INDENT}Its last steps:"));
        lines.extend(steps.iter().map(|step| style.dim(&format!("{INDENT}{step}"))));
    }
    lines.push(String::new());
    let note = style.dim("the seed fixes everything, byte by byte");
    let word = if document.verdict == Ruling::Valid { "Seed" } else { "Again" };
    lines.push(format!("{word:>12} {}   {note}", style.path(again)));
    let mut text = summary::render(document, &context, style);
    text.push_str(&style.plain(&lines.join("\n")));
    text.push('\n');
    text
}
