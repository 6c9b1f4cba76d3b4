//! A counterexample drawn on one time axis, one row an operation, the faults underneath.
//!
//! Time is true: a column is always the same length of time. Where bars become too small to tell
//! apart, the numbers beside them still do. Where the order of events decides and no clock, the axis
//! counts events, and faults, which are known by their times alone, are not drawn.

use crate::verdict::{OperationRow, Outcomes, Violation};

/// Columns of the axis.
const WIDTH: usize = 48;
/// More rows than this are counted, not drawn.
const ROWS: usize = 40;

/// The stretch that the axis shows: nanoseconds, or places in the sequence of events.
struct Axis {
    from: u64,
    to: u64,
    by_place: bool,
}

impl Axis {
    fn of(violation: &Violation) -> Self {
        let mut axis = Self { from: 0, to: 0, by_place: by_place(violation) };
        let spans: Vec<(u64, Option<u64>)> =
            violation.operations.iter().map(|row| axis.ends(row)).collect();
        axis.from = spans.iter().map(|(start, _)| *start).min().unwrap_or_default();
        let ends = spans.iter().map(|(start, end)| end.unwrap_or(*start));
        axis.to = ends.max().unwrap_or_default().max(axis.from.saturating_add(1));
        axis
    }

    /// Where an operation begins and ends.
    fn ends(&self, row: &OperationRow) -> (u64, Option<u64>) {
        match row.place {
            Some(place) if self.by_place => (place.start, place.end),
            _ => (row.invoked.0, row.completed.map(|time| time.0)),
        }
    }

    /// The column of an instant, clipped to the axis.
    fn column(&self, at: u64) -> usize {
        let span = (self.to - self.from) as f64;
        let share = at.saturating_sub(self.from) as f64 / span;
        // Between 0 and WIDTH - 1, so the cast loses nothing.
        (share.min(1.0) * (WIDTH - 1) as f64).round() as usize
    }

    /// Milliseconds since the axis begins, negative before it; of an event its place.
    fn number(&self, at: u64) -> String {
        match self.by_place {
            true => at.to_string(),
            false => format!("{:.1}", (at as f64 - self.from as f64) / 1e6),
        }
    }
}

/// Whether the order of events decides, and no clock.
pub(super) fn by_place(violation: &Violation) -> bool {
    violation.operations.iter().all(|row| row.place.is_some())
}

/// The drawing, line by line, without indentation.
pub(super) fn draw(violation: &Violation) -> Vec<String> {
    let axis = Axis::of(violation);
    let rows = &violation.operations[..violation.operations.len().min(ROWS)];
    let labels: Vec<String> = rows.iter().map(label).collect();
    let timed = if axis.by_place { &[][..] } else { &violation.faults[..] };
    let faults: Vec<String> = timed.iter().map(|f| format!("{} {}", f.fault, f.detail)).collect();
    let width = labels.iter().chain(&faults).map(|l| l.chars().count()).max().unwrap_or(0);
    let unit = if axis.by_place { "event" } else { "ms" };
    let mut lines = vec![format!("{:width$}  {}  {unit}", "", ticks(&axis))];
    for (row, label) in rows.iter().zip(&labels) {
        let blocked = violation.blocked.iter().find(|b| b.operation == row.operation);
        let mark = blocked.map_or(String::new(), |b| format!("   ✗ {}", b.why));
        let (start, end) = axis.ends(row);
        let span = span(&axis, start, end);
        let line = format!("{label:<width$}  {}  {span}{mark}", bar(&axis, row));
        lines.push(line.trim_end().to_owned());
    }
    if violation.operations.len() > ROWS {
        lines.push(format!("… and {} more", violation.operations.len() - ROWS));
    }
    for (fault, label) in timed.iter().zip(&faults) {
        let (start, end) = (fault.start.0, fault.end.map(|time| time.0));
        let band = band(&axis, start, end);
        lines.push(format!("{label:<width$}  {band}  {}", span(&axis, start, end)));
    }
    lines
}

/// `c5 → n2  write 3`.
fn label(row: &OperationRow) -> String {
    let node = row.node.map_or(String::new(), |node| format!(" → {node}"));
    format!("{:<11}  {}", format!("{}{node}", row.process), row.text)
}

/// `0.0 – 3.1`, in milliseconds on the axis, or `4 – 7`, in events.
fn span(axis: &Axis, from: u64, to: Option<u64>) -> String {
    let end = to.map_or("never".to_owned(), |to| axis.number(to));
    format!("{} – {end}", axis.number(from))
}

/// Four numbers along the axis.
fn ticks(axis: &Axis) -> String {
    let mut line = [' '; WIDTH];
    let length = (axis.to - axis.from) as f64;
    let mut last = String::new();
    for quarter in 0..4 {
        let column = quarter * WIDTH / 4;
        let share = column as f64 / (WIDTH - 1) as f64;
        let text = match axis.by_place {
            true => format!("{:.0}", axis.from as f64 + length * share),
            false if length < 1e7 => format!("{:.1}", length * share / 1e6),
            false => format!("{:.0}", length * share / 1e6),
        };
        if text == last {
            continue;
        }
        for (offset, digit) in text.chars().enumerate() {
            if let Some(place) = line.get_mut(column + offset) {
                *place = digit;
            }
        }
        last = text;
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
    let (start, end) = axis.ends(row);
    let start = axis.column(start);
    let end = match end {
        Some(end) if !open => axis.column(end),
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
fn band(axis: &Axis, from: u64, to: Option<u64>) -> String {
    let start = axis.column(from);
    let end = to.map_or(WIDTH - 1, |to| axis.column(to));
    let mut line = [' '; WIDTH];
    for place in &mut line[start..=end.max(start)] {
        *place = '░';
    }
    line.iter().collect()
}
