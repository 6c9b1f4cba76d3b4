// Puts the panels on the page and listens: drag to zoom, click for details, keys, anchors, theme and print.

/** A mark of the legend in a caption, drawn by its shape and named by a word. */
const legend = {
  outcomes: "● ok   ✕ fail   ▲ info",
  roles: "thick: leader · thin: follower · orange: candidate · faint: no answer · red: no process",
};
const panels = [
  { caption: "", height: 44, draw: drawOverview, whole: true, shown: true },
  { caption: "", height: 36, draw: drawAxis, shown: true },
  { caption: "<b>Faults</b> from effect to heal", height: faultClasses.length * 22, draw: drawFaults, hit: null, shown: faultClasses.length },
  { caption: `<b>Nodes</b> as observed by polling<span>${legend.roles}</span>`, height: page.nodes.length * 20, draw: drawNodes, shown: page.nodes.length },
  { caption: "<b>Rate</b> of completions, stacked from below: ok, fail, info", height: 110, draw: drawRate, shown: page.rate.ok.length },
  { caption: `<b>Latency</b><span>${legend.outcomes}</span><span>solid line: median · dashed: 99th percentile</span>`, height: LATENCY_HEIGHT, draw: drawLatency, hit: hitLatency, shown: operations.length },
  { caption: "<b>Clients</b><span>filled: ok · hollow, struck through: fail · fading: info</span>", height: laneCount * LANE, draw: drawClients, hit: hitClients, shown: laneCount },
].filter((panel) => panel.shown);

for (const panel of panels) {
  const figure = document.createElement("figure");
  figure.innerHTML = (panel.caption ? `<figcaption>${panel.caption}</figcaption>` : "") + "<canvas></canvas>";
  document.getElementById("panels").append(figure);
  panel.canvas = figure.querySelector("canvas");
  panel.canvas.style.height = panel.height + "px";
  listen(panel);
}

/** Draws one panel at the resolution of the screen. */
function drawPanel(panel) {
  const width = panel.canvas.clientWidth, ratio = window.devicePixelRatio || 1;
  panel.canvas.width = Math.round(width * ratio);
  panel.canvas.height = Math.round(panel.height * ratio);
  const ctx = panel.canvas.getContext("2d");
  ctx.scale(ratio, ratio);
  ctx.font = FONT;
  panel.draw(ctx, width, panel.height);
  if (panel.drag && panel.drag.to !== undefined) {
    ctx.globalAlpha = 0.2;
    ctx.fillStyle = colour("text");
    ctx.fillRect(Math.min(panel.drag.from, panel.drag.to), 0, Math.abs(panel.drag.to - panel.drag.from), panel.height);
    ctx.globalAlpha = 1;
  }
}

let scheduled = false;
/** Draws everything again, once for however many reasons. */
function redraw() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(drawAll);
}
function drawAll() {
  scheduled = false;
  panels.forEach(drawPanel);
  const length = view.end - view.start, step = Math.max(1, length / 1000);
  document.getElementById("range").textContent =
    `${timeText(view.start, step)} to ${timeText(view.end, step)} (${lengthText(length)})`;
}

/** The time under the pointer; the overview is always of the whole run. */
function pointerTime(panel, x) {
  const width = panel.canvas.clientWidth;
  if (!panel.whole) return timeAt(x, width);
  return Math.min(1, Math.max(0, (x - GUTTER) / (width - GUTTER - MARGIN))) * page.end;
}

function listen(panel) {
  const canvas = panel.canvas;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    panel.drag = { from: event.offsetX };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!panel.drag) return;
    panel.drag.to = event.offsetX;
    drawPanel(panel);
  });
  canvas.addEventListener("pointercancel", () => { panel.drag = null; redraw(); });
  canvas.addEventListener("pointerup", (event) => {
    if (!panel.drag) return;
    const from = panel.drag.from, to = event.offsetX;
    panel.drag = null;
    if (Math.abs(to - from) > 4) {
      const times = [pointerTime(panel, from), pointerTime(panel, to)].sort((a, b) => a - b);
      return show(times[0], times[1]);
    }
    const hit = panel.hit && panel.hit(event.offsetX, event.offsetY, canvas.clientWidth);
    hit ? select(hit.index) : redraw();
  });
  canvas.addEventListener("dblclick", () => show(0, page.end));
}

/** The operations of other clients on the same key that were open at the same time. */
function concurrent(operation) {
  const open = (other) => (other.outcome === "info" ? page.end : other.end ?? page.end);
  return operations.filter((other) => other !== operation && other.key === operation.key &&
    other.start <= open(operation) && open(other) >= operation.start &&
    (operation.outcome !== "info" || other.start <= (operation.end ?? page.end)));
}

/** The roles of nodes in the last samples before a time. */
function rolesAt(time) {
  return page.nodes.map((lane) => {
    const before = lane.stretches.filter((stretch) => stretch.start <= time);
    const last = before[before.length - 1];
    return last ? `${lane.node} ${last.role}${last.term ? " term " + last.term : ""}` : null;
  }).filter(Boolean);
}

function detailOf(operation) {
  const rows = [
    ["outcome", operation.outcome + (operation.error ? ", " + operation.error : "")],
    ["client", "c" + operation.process], ["node", operation.node === null ? "not known" : "n" + operation.node],
    ["key", operation.key ?? "none"], ["invoked", timeText(operation.start, 1)],
    ["completed", operation.end === null ? "never" : timeText(operation.end, 1)],
    ["took", operation.end === null ? "open to the end" : lengthText(operation.end - operation.start)],
  ];
  const faults = page.faults.filter((fault) => fault.start <= (operation.end ?? page.end) && (fault.end ?? page.end) >= operation.start);
  const others = concurrent(operation), more = others.length > 12 ? [`<li>and ${others.length - 12} more</li>`] : [];
  const list = (title, items) => items.length ? `<p><b>${title}</b></p><ul>${items.join("")}</ul>` : "";
  return `<h2>#${operation.index} ${escapeText(operation.text)}</h2>` +
    `<dl>${rows.map(([name, value]) => `<dt>${name}</dt><dd>${escapeText(value)}</dd>`).join("")}</dl>` +
    (proofs.has(operation.index) ? '<p>It is part of a <a href="#violation">violation</a>.</p>' : "") +
    list("Faults in effect meanwhile", faults.map((fault) => `<li>${escapeText(fault.fault + " " + fault.detail)}</li>`)) +
    list("Nodes, last seen before it", rolesAt(operation.start).map((role) => `<li>${escapeText(role)}</li>`)) +
    list("Concurrent on its key, of those drawn", others.slice(0, 12).map((other) =>
      `<li><a href="#op-${other.index}">c${other.process} ${escapeText(other.text)}</a> ${other.outcome}</li>`).concat(more)) +
    (operation.node === null ? "" : `<p><a href="nodes/n${operation.node}/log">log of n${operation.node}</a></p>`);
}

/** Selects an operation: marks it, brings it into view, tells about it. */
function select(index) {
  const operation = byIndex.get(index), detail = document.getElementById("detail");
  view.selected = index;
  detail.innerHTML = '<button class="close" type="button" aria-label="close">✕</button>' + (operation ? detailOf(operation)
    : `<h2>#${index}</h2><p>This operation is not among those drawn; it is in history.jsonl.</p>`);
  detail.hidden = false;
  detail.querySelector("button").addEventListener("click", close);
  if (location.hash !== "#op-" + index) history.replaceState(null, "", "#op-" + index);
  if (!operation) return redraw();
  if (view.key !== null && operation.key !== view.key) setKey(null);
  const length = view.end - view.start, end = operation.end ?? operation.start;
  if (operation.start < view.start || end > view.end) show(operation.start - length / 2, operation.start + length / 2);
  redraw();
}

function close() {
  document.getElementById("detail").hidden = true;
  view.selected = null;
  if (location.hash.startsWith("#op-")) history.replaceState(null, "", location.pathname + location.search);
  redraw();
}

/** The next operation in time (or the previous) of those of the chosen key. */
function step(by) {
  const shown = operations.filter((operation) => view.key === null || operation.key === view.key);
  if (!shown.length) return;
  let at = shown.findIndex((operation) => operation.index === view.selected);
  if (at < 0) at = shown.findIndex((operation) => operation.start >= view.start) - (by > 0 ? 1 : 0);
  select(shown[Math.min(shown.length - 1, Math.max(0, at + by))].index);
}

function setKey(key) {
  view.key = key;
  document.getElementById("key").value = key ?? "";
  redraw();
}

/** Shows the first violation: its panel, and the axis zoomed to it. */
function showViolation() {
  const violation = page.violations[0];
  if (!violation) return;
  const margin = (violation.end - violation.start) / 4;
  show(violation.start - margin, violation.end + margin);
  document.getElementById("violation").scrollIntoView();
}

function followHash() {
  const operation = /^#op-(\d+)$/.exec(location.hash);
  if (operation) {
    select(Number(operation[1]));
    document.getElementById("timeline").scrollIntoView();
  } else if (location.hash === "#violation") showViolation();
}

function pan(by) {
  const length = view.end - view.start;
  show(view.start + by * length, view.start + by * length + length);
}

const keys = {
  j: () => step(1), k: () => step(-1), v: showViolation, Escape: close,
  ArrowLeft: () => pan(-0.25), ArrowRight: () => pan(0.25),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(SELECT|INPUT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (Object.hasOwn(keys, event.key)) {
    keys[event.key]();
    event.preventDefault();
  }
});

const keySelect = document.getElementById("key");
for (const key of page.operations.keys) keySelect.add(new Option(key, key));
keySelect.addEventListener("change", () => setKey(keySelect.value || null));
document.getElementById("reset").addEventListener("click", () => show(0, page.end));
const zoomViolation = document.getElementById("zoom-violation");
zoomViolation.hidden = !page.violations.length;
zoomViolation.addEventListener("click", () => {
  const violation = page.violations[0], margin = (violation.end - violation.start) / 4;
  setKey(violation.key);
  show(violation.start - margin, violation.end + margin);
});

function drawViolations() {
  for (const place of document.querySelectorAll(".drawing")) {
    drawViolation(place, page.violations[Number(place.dataset.violation)], place.dataset.violation);
  }
}
function drawEverything() {
  drawViolations();
  drawAll();
}
// What was folded away had no width to be drawn in.
document.getElementById("others")?.addEventListener("toggle", drawViolations);
window.addEventListener("hashchange", followHash);
window.addEventListener("resize", () => { drawViolations(); redraw(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
window.addEventListener("beforeprint", () => { document.documentElement.dataset.theme = "light"; drawEverything(); });
window.addEventListener("afterprint", () => { delete document.documentElement.dataset.theme; drawEverything(); });
drawEverything();
followHash();
