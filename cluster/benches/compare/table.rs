//! Figures for people, and the one place that prints.

use std::fmt::Write as _;
use std::io::{self, Write as _};

/// One line of the table.
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) ours: f64,
    /// None if etcd is not here.
    pub(crate) etcd: Option<f64>,
    pub(crate) unit: &'static str,
    /// The bound on ours as a multiple of etcd's, or on ours itself.
    pub(crate) asked: Asked,
}

/// What was promised.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Asked {
    Nothing,
    /// At most so many times etcd's.
    AtMost(f64),
    /// At least so many times etcd's.
    AtLeast(f64),
    /// Ours at most this.
    Below(f64),
}

impl Line {
    fn ratio(&self) -> Option<f64> {
        self.etcd.map(|etcd| self.ours / etcd)
    }

    fn is_met(&self) -> Option<bool> {
        match self.asked {
            Asked::Nothing => None,
            Asked::AtMost(most) => self.ratio().map(|ratio| ratio <= most),
            Asked::AtLeast(least) => self.ratio().map(|ratio| ratio >= least),
            Asked::Below(most) => Some(self.ours <= most),
        }
    }

    fn asked(&self) -> String {
        let asked = match self.asked {
            Asked::Nothing => return String::new(),
            Asked::AtMost(most) => format!("≤ {most} ×"),
            Asked::AtLeast(least) => format!("≥ {least} ×"),
            Asked::Below(most) => format!("≤ {most} {}", self.unit),
        };
        match self.is_met() {
            Some(true) => format!("{asked}: met"),
            Some(false) => format!("{asked}: **missed**"),
            None => asked,
        }
    }
}

/// Prints a line at once: windows take a while.
pub(crate) fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}

/// The table as Markdown.
pub(crate) fn markdown(lines: &[Line]) -> String {
    let mut text = String::from(
        "| measured | this cluster | etcd | ratio | asked for |\n|---|---|---|---|---|\n",
    );
    for line in lines {
        let etcd = line.etcd.map_or("–".to_owned(), |etcd| figure(etcd, line.unit));
        let ratio = line.ratio().map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
        let (ours, asked) = (figure(line.ours, line.unit), line.asked());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} | {ours} | {etcd} | {ratio} | {asked} |", line.what);
    }
    text
}

fn figure(number: f64, unit: &str) -> String {
    let number = match number {
        _ if number >= 1000.0 => count(number.round() as u64),
        _ if number >= 100.0 => format!("{number:.0}"),
        _ if number >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    };
    format!("{number} {unit}")
}

/// `1,000,000`.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The middle of some figures; of an even number of them the mean of the two middle ones.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let (low, high) = (figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
    f64::midpoint(low, high)
}
