// The one time axis: what part of the run is in view, and where a time is on the screen. Times are microseconds.
const page = JSON.parse(document.getElementById("data").textContent);
const GUTTER = 118, MARGIN = 14, FONT = "12px system-ui, 'DejaVu Sans', sans-serif";
const OUTCOMES = ["ok", "fail", "info"];
const view = { start: 0, end: page.end, key: null, selected: null };

const operations = page.operations.rows.map((row) => ({
  index: row[0], lane: row[1], process: row[2], start: row[3], end: row[4], outcome: OUTCOMES[row[5]],
  key: row[6] === null ? null : page.operations.keys[row[6]], node: row[7], text: row[8],
  error: row[9] === null ? null : page.operations.errors[row[9]],
}));
const byIndex = new Map(operations.map((operation) => [operation.index, operation]));
const proofs = new Set(page.violations.flatMap((violation) => violation.operations.map((operation) => operation.index)));

/** The colour of that name in the style sheet, in the theme of the moment. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

/** The colour of a class of fault; those without one of their own share one, and every band has its name beside it. */
function faultColour(fault) {
  return colour(["partition", "kill", "pause"].includes(fault) ? fault : "other");
}

/** A time on a canvas `width` wide. */
function place(time, width) {
  return GUTTER + ((time - view.start) / (view.end - view.start)) * (width - GUTTER - MARGIN);
}

/** The time at a place of a canvas `width` wide, within the run. */
function timeAt(x, width) {
  const share = (x - GUTTER) / (width - GUTTER - MARGIN);
  return Math.min(page.end, Math.max(0, view.start + share * (view.end - view.start)));
}

/** Shows from `start` to `end`, at least 20 µs and at most the run. */
function show(start, end) {
  const length = Math.min(page.end, Math.max(20, end - start));
  view.start = Math.max(0, Math.min(start, page.end - length));
  view.end = view.start + length;
  redraw();
}

/** A round step that puts about `count` ticks on `length`. */
function tickStep(length, count) {
  const raw = length / count, power = 10 ** Math.floor(Math.log10(raw));
  return Math.max(1, [1, 2, 5, 10].find((factor) => factor * power >= raw) * power);
}

/** A time for people, precise enough for ticks `step` apart. */
function timeText(time, step) {
  const digits = step >= 1e6 ? 0 : Math.min(6, Math.ceil(6 - Math.log10(step)));
  return (time / 1e6).toFixed(digits) + " s";
}

/** A length of time for people. */
function lengthText(micros) {
  if (micros < 1e3) return Math.round(micros) + " µs";
  if (micros < 1e6) return (micros / 1e3).toFixed(micros < 1e4 ? 2 : 1) + " ms";
  return (micros / 1e6).toFixed(2) + " s";
}

/** Text as HTML. */
function escapeText(text) {
  return String(text).replace(/[&<>"']/g, (c) => "&#" + c.charCodeAt(0) + ";");
}
