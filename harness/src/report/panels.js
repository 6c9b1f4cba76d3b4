// The panels from the overview to latency: each has a height and draws itself between the gutter and the margin.

/** Shades the faults through a panel. */
function shadeFaults(ctx, width, height) {
  for (const fault of page.faults) {
    const from = Math.max(GUTTER, place(fault.start, width));
    const to = Math.min(width - MARGIN, place(fault.end ?? page.end, width));
    if (to < GUTTER || from > width - MARGIN) continue;
    ctx.globalAlpha = 0.11;
    ctx.fillStyle = faultColour(fault.fault);
    ctx.fillRect(from, 0, Math.max(1, to - from), height);
    ctx.globalAlpha = 1;
  }
}

/** Runs `draw` with nothing drawn outside the axis. */
function clipped(ctx, width, height, draw) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(GUTTER, 0, width - GUTTER - MARGIN, height);
  ctx.clip();
  draw();
  ctx.restore();
}

/** A name in the gutter. */
function gutterText(ctx, text, y, name = "dim") {
  ctx.fillStyle = colour(name);
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  let shown = text;
  while (shown.length > 2 && ctx.measureText(shown).width > GUTTER - 12) shown = shown.slice(0, -2) + "…";
  ctx.fillText(shown, GUTTER - 8, y);
}

/** As much of a text inside a bar as fits, none if that is next to nothing. */
function barText(ctx, text, from, to, y, ink) {
  from = Math.max(from, GUTTER);
  const room = to - from - 6;
  if (room < 12) return;
  let shown = text;
  const wide = ctx.measureText(text).width;
  if (wide > room) shown = text.slice(0, Math.ceil((text.length * room) / wide)) + "…";
  while (shown.length > 3 && ctx.measureText(shown).width > room) shown = shown.slice(0, -2) + "…";
  if (shown !== text && shown.length < 4) return;
  ctx.fillStyle = ink;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  ctx.fillText(shown, from + 3, y);
}

function drawOverview(ctx, width, height) {
  const whole = (time) => GUTTER + (time / page.end) * (width - GUTTER - MARGIN);
  const { bucket, ok, fail, info } = page.rate, most = Math.max(1, ...ok.map((n, at) => n + fail[at] + info[at]));
  for (const fault of page.faults) {
    ctx.globalAlpha = 0.25;
    ctx.fillStyle = faultColour(fault.fault);
    ctx.fillRect(whole(fault.start), 8, Math.max(1, whole(fault.end ?? page.end) - whole(fault.start)), height - 8);
    ctx.globalAlpha = 1;
  }
  ctx.fillStyle = colour("dim");
  ok.forEach((count, at) => {
    const tall = ((count + fail[at] + info[at]) / most) * (height - 12);
    const from = whole(at * bucket), to = whole(Math.min(page.end, (at + 1) * bucket));
    ctx.fillRect(from, height - tall, Math.max(1, to - from - 0.5), tall);
  });
  const from = whole(view.start), to = whole(view.end);
  ctx.strokeStyle = colour("text");
  ctx.lineWidth = 2;
  ctx.strokeRect(from, 7, Math.max(3, to - from), height - 8);
  ctx.lineWidth = 1;
  ctx.fillStyle = colour("invalid");
  for (const violation of page.violations) {
    const x = whole(violation.end);
    ctx.beginPath();
    ctx.moveTo(x - 6, 0);
    ctx.lineTo(x + 6, 0);
    ctx.lineTo(x, 9);
    ctx.fill();
  }
  gutterText(ctx, "whole run", height / 2 + 4);
}

function drawAxis(ctx, width, height) {
  const step = tickStep(view.end - view.start, Math.max(3, (width - GUTTER) / 120));
  clipped(ctx, width, height, () => page.phases.forEach((phase, at) => {
    const from = place(phase.start, width), to = place(phase.end, width);
    ctx.fillStyle = colour(at % 2 ? "line" : "back");
    ctx.fillRect(from, 18, Math.max(1, to - from), height - 18);
    barText(ctx, phase.name, from, to, 27, colour("text"));
  }));
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  for (let time = Math.ceil(view.start / step) * step; time <= view.end; time += step) {
    const x = place(time, width);
    ctx.fillStyle = colour("line");
    ctx.fillRect(x, 14, 1, 4);
    ctx.fillStyle = colour("dim");
    if (x > GUTTER + 8 && x < width - 22) ctx.fillText(timeText(time, step), x, 7);
  }
  if (page.phases.length) gutterText(ctx, "phase", 27);
}

const faultClasses = [...new Set(page.faults.map((fault) => fault.fault))].sort();

function drawFaults(ctx, width) {
  shadeFaults(ctx, width, faultClasses.length * 22);
  faultClasses.forEach((fault, row) => {
    gutterText(ctx, fault, row * 22 + 11, "text");
    clipped(ctx, width, faultClasses.length * 22, () => {
      for (const band of page.faults.filter((band) => band.fault === fault)) {
        const from = place(band.start, width), to = place(band.end ?? page.end, width);
        ctx.globalAlpha = 0.35;
        ctx.fillStyle = faultColour(fault);
        ctx.fillRect(from, row * 22 + 2, Math.max(2, to - from), 18);
        ctx.globalAlpha = 1;
        ctx.strokeStyle = faultColour(fault);
        ctx.setLineDash(band.effective === false ? [3, 3] : []);
        ctx.strokeRect(from + 0.5, row * 22 + 2.5, Math.max(1, to - from - 1), 17);
        ctx.setLineDash([]);
        barText(ctx, band.detail + (band.effective === false ? " (did not bite)" : ""), from, to, row * 22 + 11.5, colour("text"));
      }
    });
  });
}

const ROLE_HEIGHT = { leader: 14, candidate: 10, follower: 4, silent: 2, down: 8 };

function drawNodes(ctx, width, height) {
  shadeFaults(ctx, width, height);
  page.nodes.forEach((lane, row) => {
    const middle = row * 20 + 10;
    gutterText(ctx, lane.node, middle, "text");
    clipped(ctx, width, height, () => lane.stretches.forEach((stretch, at) => {
      const from = place(stretch.start, width), next = lane.stretches[at + 1];
      // A stretch reaches to the sample that says otherwise; what was between the two nobody saw.
      const to = Math.max(from + 2, place(next ? next.start : stretch.end, width));
      const tall = ROLE_HEIGHT[stretch.role] ?? 4;
      ctx.fillStyle = colour(stretch.role in ROLE_HEIGHT ? stretch.role : "follower");
      ctx.fillRect(from, middle - tall / 2, to - from, tall);
      if (stretch.role === "leader") barText(ctx, "leader, term " + stretch.term, from, to, middle + 0.5, colour("paper"));
      if (stretch.role === "down") barText(ctx, "down", from, to, middle + 0.5, colour("paper"));
    }));
  });
}

/** A scale on the left: a line and a word at each of `ticks`. */
function drawScale(ctx, width, ticks, y, text) {
  for (const tick of ticks) {
    ctx.fillStyle = colour("line");
    ctx.fillRect(GUTTER, Math.round(y(tick)), width - GUTTER - MARGIN, 1);
    gutterText(ctx, text(tick), y(tick));
  }
}

function drawRate(ctx, width, height) {
  shadeFaults(ctx, width, height);
  const { bucket, ok, fail, info } = page.rate, scale = 1e6 / bucket;
  const most = Math.max(1, ...ok.map((n, at) => (n + fail[at] + info[at]) * scale));
  const y = (rate) => height - 4 - (rate / most) * (height - 14);
  const step = tickStep(most, 4), ticks = [];
  for (let tick = 0; tick <= most; tick += step) ticks.push(tick);
  drawScale(ctx, width, ticks, y, (tick) => tick + "/s");
  clipped(ctx, width, height, () => ok.forEach((_, at) => {
    const from = place(at * bucket, width), to = place(Math.min(page.end, (at + 1) * bucket), width);
    if (to < GUTTER || from > width) return;
    let below = 0;
    for (const [name, counts] of [["ok", ok], ["fail", fail], ["info", info]]) {
      const count = counts[at] * scale, top = y(below + count), tall = y(below) - top;
      ctx.fillStyle = colour(name);
      if (name === "ok") ctx.globalAlpha = 0.75;
      if (count) ctx.fillRect(from, top, Math.max(1, to - from - 1), Math.max(1, tall));
      ctx.globalAlpha = 1;
      below += count;
    }
  }));
}

const latencies = operations.filter((operation) => operation.end !== null).map((o) => Math.max(1, o.end - o.start));
const slowest = latencies.reduce((most, latency) => Math.max(most, latency), 1000);
const fastest = latencies.reduce((least, latency) => Math.min(least, latency), 1000);
const LATENCY_HEIGHT = 190;

/** Where a latency is, on a logarithmic scale. */
function latencyY(micros) {
  const low = Math.log10(Math.max(50, fastest)), high = Math.log10(slowest * 1.3);
  return LATENCY_HEIGHT - 8 - ((Math.log10(Math.max(50, micros)) - low) / (high - low)) * (LATENCY_HEIGHT - 18);
}

/** A mark whose shape tells the outcome: a dot (a speck among many), a cross, a triangle. */
function drawMark(ctx, outcome, x, y, many) {
  if (outcome === "ok" && many) return ctx.fillRect(x - 1, y - 1, 2.4, 2.4);
  ctx.beginPath();
  if (outcome === "ok") {
    ctx.arc(x, y, 3, 0, 2 * Math.PI);
    return ctx.fill();
  }
  if (outcome === "fail") {
    for (const side of [-1, 1]) {
      ctx.moveTo(x - 3, y - 3 * side);
      ctx.lineTo(x + 3, y + 3 * side);
    }
    return ctx.stroke();
  }
  ctx.moveTo(x - 4, y + 3);
  ctx.lineTo(x + 4, y + 3);
  ctx.lineTo(x, y - 4);
  ctx.fill();
}

function drawLatency(ctx, width, height) {
  shadeFaults(ctx, width, height);
  const ticks = [100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8].filter((tick) => latencyY(tick) > 6 && latencyY(tick) < height);
  drawScale(ctx, width, ticks, latencyY, lengthText);
  const shown = inView(), many = shown.length > 800;
  clipped(ctx, width, height, () => {
    for (const outcome of OUTCOMES) {
      ctx.fillStyle = ctx.strokeStyle = colour(outcome);
      ctx.globalAlpha = outcome === "ok" ? 0.55 : 0.9;
      for (const operation of shown) {
        if (operation.outcome !== outcome || operation.end === null) continue;
        drawMark(ctx, outcome, place(operation.start, width), latencyY(operation.end - operation.start), many);
      }
    }
    ctx.globalAlpha = 1;
    ctx.strokeStyle = colour("text");
    for (const [quantile, dash] of [["p50", []], ["p99", [5, 3]]]) {
      ctx.setLineDash(dash);
      ctx.lineWidth = 1.5;
      ctx.beginPath();
      let pen = false;
      page.rate[quantile].forEach((latency, at) => {
        if (latency === null) return (pen = false);
        const x = place((at + 0.5) * page.rate.bucket, width);
        pen ? ctx.lineTo(x, latencyY(latency)) : ctx.moveTo(x, latencyY(latency));
        pen = true;
      });
      ctx.stroke();
    }
    ctx.setLineDash([]);
    ctx.lineWidth = 1;
    const chosen = byIndex.get(view.selected);
    if (chosen && chosen.end !== null) {
      ctx.strokeStyle = colour("text");
      ctx.strokeRect(place(chosen.start, width) - 6, latencyY(chosen.end - chosen.start) - 6, 12, 12);
    }
  });
}

/** The operation whose mark is nearest to a point, within reach. */
function hitLatency(x, y, width) {
  let best = null, reach = 100;
  for (const operation of inView()) {
    if (operation.end === null) continue;
    const away = (place(operation.start, width) - x) ** 2 + (latencyY(operation.end - operation.start) - y) ** 2;
    if (away < reach) [best, reach] = [operation, away];
  }
  return best;
}
