//! Row 8 as a picture: a small static SVG, both axes logarithmic, each line named at its end.
//!
//! It has no script and names no font, and its colours can be told apart on white and on black.

use crate::scaling::Line;
use crate::table::count;
use std::fmt::Write as _;
use std::time::Duration;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 48.0;
/// From 10 µs to 100 s.
const TIMES: [(f64, &str); 8] = [
    (-5.0, "10 µs"),
    (-4.0, "100 µs"),
    (-3.0, "1 ms"),
    (-2.0, "10 ms"),
    (-1.0, "0.1 s"),
    (0.0, "1 s"),
    (1.0, "10 s"),
    (2.0, "100 s"),
];
/// From a thousand operations to a million.
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const COLOURS: [&str; 12] = [
    "#2f7ed8", "#d9822b", "#2a9d5c", "#c0427a", "#8a63c9", "#7f8c1d", "#1fa3a3", "#b5543c",
    "#4a5fa5", "#d4a017", "#808080", "#5d4037",
];
const LABEL_HEIGHT: f64 = 15.0;

fn x(size: usize) -> f64 {
    LEFT + ((size as f64).log10() - 3.0) / 3.0 * (WIDTH - LEFT - RIGHT)
}

fn y(log_seconds: f64) -> f64 {
    let (low, high) = (TIMES[0].0, TIMES[TIMES.len() - 1].0);
    let share = (log_seconds.clamp(low, high) - low) / (high - low);
    HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
}

fn place((size, took): (usize, Duration)) -> (f64, f64) {
    (x(size), y(took.as_secs_f64().max(1e-9).log10()))
}

/// The picture.
pub(crate) fn svg(lines: &[Line]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#808080\">\n\
         <title>Time of a check by operations, both logarithmic</title>\n"
    );
    axes(&mut svg);
    for (label, line, colour) in labels(lines) {
        let points: Vec<String> = line
            .points
            .iter()
            .map(|point| place(*point))
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <text x=\"{:.1}\" y=\"{label:.1}\" fill=\"{colour}\">{}</text>",
            points.join(" "),
            WIDTH - RIGHT + 10.0,
            line.name
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn axes(svg: &mut String) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for (log, name) in TIMES {
        let y = y(log);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#80808050\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            LEFT - 8.0,
            y + 4.0
        );
    }
    for size in SIZES {
        let _ = writeln!(
            svg,
            "<path d=\"M{:.1} {TOP}V{bottom}\" stroke=\"#80808050\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(size),
            x(size),
            bottom + 18.0,
            count(size)
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">operations</text>",
        f64::midpoint(LEFT, right),
        bottom + 36.0
    );
}

/// The lines, and where to write the name of each: beside its end, and below the one above it.
fn labels(lines: &[Line]) -> Vec<(f64, &Line, &'static str)> {
    let end = |line: &Line| line.points.last().map(|last| place(*last).1 + 4.0);
    let mut labels: Vec<(f64, &Line, &'static str)> = lines
        .iter()
        .zip(COLOURS.into_iter().cycle())
        .filter_map(|(line, colour)| Some((end(line)?, line, colour)))
        .collect();
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    for next in 1..labels.len() {
        labels[next].0 = labels[next].0.max(labels[next - 1].0 + LABEL_HEIGHT);
    }
    labels
}
