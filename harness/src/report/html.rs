//! The page as one HTML document.
//!
//! Words and tables are written here; drawings are left as empty places for the script, which reads the page as JSON
//! from the document itself. Nothing refers to anything outside the document but the files beside it.

use super::page::{Fact, Page, ProofOperation, ViolationPanel};
use super::words::thousands;
use crate::verdict::{Check, Ruling};
use std::fmt::Write;

const CSS: &str = include_str!("page.css");
const LEGEND: &str = include_str!("legend.html");
const TIMELINE: &str = include_str!("timeline.html");
/// In the order in which they need each other.
const SCRIPTS: [&str; 5] = [
    include_str!("axis.js"),
    include_str!("panels.js"),
    include_str!("clients.js"),
    include_str!("violation.js"),
    include_str!("page.js"),
];

/// The document.
pub(super) fn html(page: &Page) -> String {
    let mut out = String::new();
    out.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    out.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ");
    out.push_str("style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n");
    put(&mut out, format_args!("<title>{} {}</title>\n", page.verdict, escape(&page.run)));
    put(&mut out, format_args!("<style>\n{CSS}</style>\n</head>\n<body>\n"));
    head(&mut out, page);
    checks(&mut out, &page.checks);
    violations(&mut out, &page.violations);
    timeline(&mut out, page);
    coverage(&mut out, page);
    files(&mut out, page);
    out.push_str(LEGEND);
    out.push_str("<aside id=\"detail\" aria-live=\"polite\" hidden></aside>\n");
    put(
        &mut out,
        format_args!("<script type=\"application/json\" id=\"data\">{}</script>\n", json(page)),
    );
    out.push_str("<script>\n\"use strict\";\n");
    for script in SCRIPTS {
        out.push_str(script);
    }
    out.push_str("</script>\n</body>\n</html>\n");
    out
}

/// Appends; a `String` never refuses.
fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(arguments);
}

/// The page as JSON that cannot end the element it stands in.
fn json(page: &Page) -> String {
    serde_json::to_string(page).unwrap_or_else(|_| "null".to_owned()).replace('<', "\\u003c")
}

/// Text as HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A sign beside each ruling, so that none is told by its colour alone.
fn sign(ruling: Ruling) -> char {
    match ruling {
        Ruling::Valid => '✓',
        Ruling::Unknown => '?',
        Ruling::Error => '!',
        Ruling::Invalid => '✗',
    }
}

fn head(out: &mut String, page: &Page) {
    let (ruling, mark) = (page.verdict, sign(page.verdict));
    put(out, format_args!("<header class=\"{ruling}\">\n<h1><span class=\"sign\">{mark}</span> "));
    put(out, format_args!("{}</h1>\n", escape(&page.title)));
    put(out, format_args!("<p class=\"run\">{}</p>\n", escape(&page.run)));
    facts(out, &page.facts);
    out.push_str("</header>\n<section class=\"summary\">\n");
    put(out, format_args!("<p>{}</p>\n", escape(&page.paragraph.join(" "))));
    if !page.violations.is_empty() {
        out.push_str("<p><a href=\"#violation\">Show the violation</a> <kbd>v</kbd></p>\n");
    }
    for note in &page.notes {
        put(out, format_args!("<p class=\"note\">Note: {}</p>\n", escape(note)));
    }
    out.push_str("</section>\n");
}

fn facts(out: &mut String, facts: &[Fact]) {
    out.push_str("<dl class=\"facts\">\n");
    for Fact { name, value } in facts {
        put(out, format_args!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value)));
    }
    out.push_str("</dl>\n");
}

fn checks(out: &mut String, checks: &[Check]) {
    if checks.is_empty() {
        return;
    }
    out.push_str("<section id=\"checks\">\n<h2>Checks</h2>\n<table>\n");
    for check in checks {
        let (ruling, mark) = (check.verdict, sign(check.verdict));
        put(
            out,
            format_args!("<tr class=\"{ruling}\"><th scope=\"row\">{}</th>", escape(&check.name)),
        );
        put(
            out,
            format_args!(
                "<td class=\"ruling\"><span class=\"sign\">{mark}</span> {ruling}</td><td>"
            ),
        );
        out.push_str(&escape(&check.message));
        for warning in &check.warnings {
            put(out, format_args!("<p class=\"note\">Warning: {}</p>", escape(warning)));
        }
        for unknown in &check.unknown {
            let key = unknown.key.as_ref().map_or_else(String::new, |key| format!("key {key}: "));
            let told = format!(
                "{key}{}; {} states, {}",
                unknown.reason,
                thousands(unknown.explored),
                unknown.reached
            );
            put(out, format_args!("<p class=\"note\">{}</p>", escape(&told)));
        }
        for hint in &check.hints {
            put(out, format_args!("<p class=\"hint\">Hint: {}</p>", escape(hint)));
        }
        out.push_str("</td></tr>\n");
    }
    out.push_str("</table>\n</section>\n");
}

/// The first violation in full; further ones, often the same cause again, folded away.
fn violations(out: &mut String, violations: &[ViolationPanel]) {
    let Some((first, others)) = violations.split_first() else { return };
    violation_panel(out, 0, first);
    if others.is_empty() {
        return;
    }
    let word = if others.len() == 1 { "violation" } else { "violations" };
    put(
        out,
        format_args!(
            "<section><details id=\"others\"><summary>{} more {word}, on other keys</summary>\n",
            others.len()
        ),
    );
    for (number, violation) in others.iter().enumerate() {
        violation_panel(out, number + 1, violation);
    }
    out.push_str("</details></section>\n");
}

fn violation_panel(out: &mut String, number: usize, violation: &ViolationPanel) {
    let id = if number == 0 { "violation".to_owned() } else { format!("violation-{}", number + 1) };
    let key = violation.key.as_ref().map_or_else(String::new, |key| format!(" on key {key}"));
    put(out, format_args!("<section id=\"{id}\" class=\"violation\">\n"));
    put(out, format_args!("<h2>Violation{}</h2>\n", escape(&key)));
    put(out, format_args!("<p>{}</p>\n", escape(&violation.sentences.join(" "))));
    let count = violation.operations.len();
    let size = if violation.exact {
        format!(
            "These {count} operations alone prove it; without any one of them the proof would be gone."
        )
    } else {
        format!(
            "These {count} operations alone prove it; fewer might, but the search for them ran out of budget."
        )
    };
    put(out, format_args!("<p class=\"size\">{size}</p>\n"));
    put(
        out,
        format_args!(
            "<div class=\"drawing\" data-violation=\"{number}\"></div>\n<table class=\"proof\">\n"
        ),
    );
    out.push_str("<tr><th>client</th><th>operation</th><th>outcome</th><th>from</th><th>to</th>");
    out.push_str("<th>place in the longest legal order</th></tr>\n");
    for operation in &violation.operations {
        proof_row(out, operation);
    }
    let next = if number == 0 { NEXT } else { "" };
    put(out, format_args!("</table>\n{next}</section>\n"));
}

/// What to do with a proof; `RUN` stands for the run folder, which may have been moved.
const NEXT: &str = "<p class=\"hint\">With this folder as RUN: <code>harness check RUN/counterexample.jsonl</code> \
                    judges these operations alone, <code>harness run --replay RUN</code> plays the same plan again \
                    (timing will differ).</p>\n";

fn proof_row(out: &mut String, operation: &ProofOperation) {
    let node = operation.node.map_or_else(String::new, |node| format!(" → {node}"));
    let end = operation.end.map_or_else(|| "open".to_owned(), seconds);
    let place = match (&operation.blocked, operation.place, &operation.states) {
        (Some(why), _, _) => format!("✗ fits nowhere: {why}"),
        (None, Some(place), Some((before, after))) => format!("{place}.  {before} ⇒ {after}"),
        _ => "–".to_owned(),
    };
    let row = if operation.blocked.is_some() { "blocked" } else { "" };
    put(out, format_args!("<tr class=\"{row}\"><td>{}{node}</td>", escape(&operation.process)));
    put(
        out,
        format_args!(
            "<td><a href=\"#op-{}\">{}</a></td>",
            operation.index,
            escape(&operation.text)
        ),
    );
    put(
        out,
        format_args!(
            "<td>{}</td><td class=\"number\">{}</td>",
            operation.outcome,
            seconds(operation.start)
        ),
    );
    put(out, format_args!("<td class=\"number\">{end}</td><td>{}</td></tr>\n", escape(&place)));
}

/// Microseconds as seconds, to the microsecond.
fn seconds(micros: u64) -> String {
    format!("{}.{:06} s", micros / 1_000_000, micros % 1_000_000)
}

fn timeline(out: &mut String, page: &Page) {
    out.push_str(TIMELINE);
    if !page.operations.sampled.is_empty() {
        put(out, format_args!("<p class=\"note\">{}</p>\n", escape(&page.operations.sampled)));
    }
    out.push_str("</section>\n");
}

fn coverage(out: &mut String, page: &Page) {
    out.push_str(
        "<section id=\"coverage\">\n<h2>What was put to the test</h2>\n<div class=\"columns\">\n",
    );
    if !page.fault_coverage.is_empty() {
        out.push_str(
            "<table><tr><th>fault</th><th>injected</th><th>bit</th><th>healed</th>\
             <th>ok meanwhile</th></tr>\n",
        );
        for (class, told) in &page.fault_coverage {
            put(out, format_args!("<tr><th scope=\"row\">{}</th>", escape(class)));
            for count in [told.injected, told.effective, told.healed, told.overlapped] {
                put(out, format_args!("<td class=\"number\">{count}</td>"));
            }
            out.push_str("</tr>\n");
            for reason in &told.ineffective {
                put(
                    out,
                    format_args!(
                        "<tr><td colspan=\"5\" class=\"note\">{}</td></tr>\n",
                        escape(reason)
                    ),
                );
            }
        }
        out.push_str("</table>\n");
    }
    out.push_str("<table><tr><th>function</th><th>ok</th><th>fail</th><th>info</th></tr>\n");
    for (f, count) in &page.counts {
        put(out, format_args!("<tr><th scope=\"row\">{}</th>", escape(f)));
        for count in [count.ok, count.fail, count.info] {
            put(out, format_args!("<td class=\"number\">{}</td>", thousands(count)));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n</div>\n");
    facts(out, &page.coverage);
    fault_table(out, page);
    out.push_str("</section>\n");
}

fn fault_table(out: &mut String, page: &Page) {
    if page.faults.is_empty() {
        return;
    }
    out.push_str("<details><summary>Every fault and its receipt</summary>\n<table>\n");
    out.push_str("<tr><th>fault</th><th>of whom</th><th>planned</th><th>from</th><th>to</th><th>bit?</th></tr>\n");
    for fault in &page.faults {
        let end = fault.end.map_or_else(|| "never healed".to_owned(), seconds);
        let bit = match fault.effective {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        put(
            out,
            format_args!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td>",
                escape(&fault.fault),
                escape(&fault.detail),
                escape(&fault.planned)
            ),
        );
        put(
            out,
            format_args!(
                "<td class=\"number\">{}</td><td class=\"number\">{end}</td>",
                seconds(fault.start)
            ),
        );
        put(out, format_args!("<td>{bit}: {}</td></tr>\n", escape(&fault.reason)));
    }
    out.push_str("</table>\n</details>\n");
}

fn files(out: &mut String, page: &Page) {
    out.push_str("<section id=\"files\">\n<h2>Files</h2>\n");
    if page.files.is_empty() {
        out.push_str("<p>None were found beside this page.</p>\n");
    }
    out.push_str("<table>\n");
    for file in &page.files {
        let path = escape(&file.path);
        put(
            out,
            format_args!(
                "<tr><td><a href=\"{path}\">{path}</a></td><td>{}</td></tr>\n",
                escape(&file.about)
            ),
        );
    }
    out.push_str("</table>\n</section>\n");
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a href=\"x\">'&"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
    }
}
