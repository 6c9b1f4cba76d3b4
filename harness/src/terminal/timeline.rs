//! A counterexample drawn on one time axis, one row an operation, the faults underneath.
//!
//! Time is true: a column is always the same length of time. Where bars become too small to tell
//! apart, the numbers beside them still do.

use crate::verdict::{OperationRow, Outcomes, Violation};
use history::Nanos;

/// Columns of the axis.
const WIDTH: usize = 48;
/// More rows than this are counted, not drawn.
const ROWS: usize = 40;

/// The span of time that the axis shows.
struct Axis {
    from: Nanos,
    to: Nanos,
}

impl Axis {
    fn of(violation: &Violation) -> Self {
        let rows = &violation.operations;
        let from = rows.iter().map(|row| row.invoked).min().unwrap_or_default();
        let ends = rows.iter().map(|row| row.completed.unwrap_or(row.invoked));
        let to = ends.max().unwrap_or_default().max(Nanos(from.0 + 1));
        Self { from, to }
    }

    /// The column of an instant, clipped to the axis.
    fn column(&self, time: Nanos) -> usize {
        let span = (self.to.0 - self.from.0) as f64;
        let share = time.0.saturating_sub(self.from.0) as f64 / span;
        // Between 0 and WIDTH - 1, so the cast loses nothing.
        (share.min(1.0) * (WIDTH - 1) as f64).round() as usize
    }

    /// Milliseconds since the axis begins; negative before it.
    fn milliseconds(&self, time: Nanos) -> f64 {
        (time.0 as f64 - self.from.0 as f64) / 1e6
    }
}

/// The drawing, line by line, without indentation.
pub(super) fn draw(violation: &Violation) -> Vec<String> {
    let axis = Axis::of(violation);
    let rows = &violation.operations[..violation.operations.len().min(ROWS)];
    let labels: Vec<String> = rows.iter().map(label).collect();
    let faults: Vec<String> =
        violation.faults.iter().map(|f| format!("{} {}", f.fault, f.detail)).collect();
    let width = labels.iter().chain(&faults).map(|l| l.chars().count()).max().unwrap_or(0);
    let mut lines = vec![format!("{:width$}  {}  ms", "", ticks(&axis))];
    for (row, label) in rows.iter().zip(&labels) {
        let blocked = violation.blocked.iter().find(|b| b.operation == row.operation);
        let mark = blocked.map_or(String::new(), |b| format!("   ✗ {}", b.why));
        let span = span(&axis, row.invoked, row.completed);
        let line = format!("{label:<width$}  {}  {span}{mark}", bar(&axis, row));
        lines.push(line.trim_end().to_owned());
    }
    if violation.operations.len() > ROWS {
        lines.push(format!("… and {} more", violation.operations.len() - ROWS));
    }
    for (fault, label) in violation.faults.iter().zip(&faults) {
        let band = band(&axis, fault.start, fault.end);
        lines.push(format!("{label:<width$}  {band}  {}", span(&axis, fault.start, fault.end)));
    }
    lines
}

/// `c5 → n2  write 3`.
fn label(row: &OperationRow) -> String {
    let node = row.node.map_or(String::new(), |node| format!(" → {node}"));
    format!("{:<11}  {}", format!("{}{node}", row.process), row.text)
}

/// `0.0 – 3.1`, in milliseconds on the axis.
fn span(axis: &Axis, from: Nanos, to: Option<Nanos>) -> String {
    let end = to.map_or("never".to_owned(), |to| format!("{:.1}", axis.milliseconds(to)));
    format!("{:.1} – {end}", axis.milliseconds(from))
}

/// Four numbers along the axis.
fn ticks(axis: &Axis) -> String {
    let mut line = [' '; WIDTH];
    let total = axis.milliseconds(axis.to);
    for quarter in 0..4 {
        let column = quarter * WIDTH / 4;
        let number = total * column as f64 / (WIDTH - 1) as f64;
        let text = if total < 10.0 { format!("{number:.1}") } else { format!("{number:.0}") };
        for (offset, digit) in text.chars().enumerate() {
            if let Some(place) = line.get_mut(column + offset) {
                *place = digit;
            }
        }
    }
    line.iter().collect()
}

/// `├── ok ──┤` from invocation to completion; open to the right when it never completed.
fn bar(axis: &Axis, row: &OperationRow) -> String {
    let outcome = match row.outcome {
        Outcomes::Ok => "ok",
        Outcomes::Fail => "fail",
        Outcomes::Info => "info",
    };
    let open = row.outcome == Outcomes::Info;
    let start = axis.column(row.invoked);
    let end = match row.completed {
        Some(time) if !open => axis.column(time),
        _ => WIDTH - 1,
    };
    let mut line = [' '; WIDTH];
    for place in &mut line[start..=end] {
        *place = '─';
    }
    line[start] = if start == end { '│' } else { '├' };
    if start < end {
        line[end] = if open { '…' } else { '┤' };
    }
    let room = (end - start).saturating_sub(1);
    if room >= outcome.len() + 2 {
        let at = start + 1 + (room - outcome.len() - 2) / 2;
        for (offset, letter) in format!(" {outcome} ").chars().enumerate() {
            line[at + offset] = letter;
        }
    }
    line.iter().collect()
}

/// The time a fault was in effect.
fn band(axis: &Axis, from: Nanos, to: Option<Nanos>) -> String {
    let start = axis.column(from);
    let end = to.map_or(WIDTH - 1, |to| axis.column(to));
    let mut line = [' '; WIDTH];
    for place in &mut line[start..=end.max(start)] {
        *place = '░';
    }
    line.iter().collect()
}
