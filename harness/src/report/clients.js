// One lane a client: a bar for each operation, from its invocation to its completion.
const laneCount = page.operations.lanes.length;
const LANE = laneCount <= 24 ? 20 : 12;
/** How far an info bar goes on, open and fading, after its caller gave up. */
const FADE = 46;

/** The operations to draw: in view, and of the key that was chosen. */
function inView() {
  return operations.filter((operation) =>
    (view.key === null || operation.key === view.key) &&
    operation.start <= view.end && (operation.end ?? page.end) >= view.start);
}

/** Where an operation's bar is. */
function bar(operation, width) {
  const from = place(operation.start, width), to = place(operation.end ?? page.end, width);
  return { from, to: Math.max(from + 1.5, to), top: operation.lane * LANE + 2, tall: LANE - 4 };
}

function drawBar(ctx, operation, width) {
  const { from, to, top, tall } = bar(operation, width);
  if (operation.outcome === "info") {
    const fading = ctx.createLinearGradient(from, 0, to + FADE, 0);
    fading.addColorStop(0, colour("info"));
    fading.addColorStop(1, "transparent");
    ctx.fillStyle = fading;
    ctx.globalAlpha = 0.7;
    ctx.fillRect(from, top, to + FADE - from, tall);
    ctx.globalAlpha = 1;
    ctx.fillStyle = colour("info");
    ctx.fillRect(from, top, 2, tall);
    return barText(ctx, operation.text + " …", from, to + FADE, top + tall / 2 + 0.5, colour("text"));
  }
  ctx.fillStyle = ctx.strokeStyle = colour(operation.outcome);
  if (operation.outcome === "ok") {
    ctx.globalAlpha = 0.8;
    ctx.fillRect(from, top, to - from, tall);
    ctx.globalAlpha = 1;
    return barText(ctx, operation.text, from, to, top + tall / 2 + 0.5, colour("paper"));
  }
  // A failed operation is hollow and struck through.
  ctx.strokeRect(from + 0.5, top + 0.5, Math.max(1, to - from - 1), tall - 1);
  ctx.fillRect(from, top + tall / 2, to - from, 1);
}

/** The name of a lane: the processes that shared it, one after the other. */
function laneName(lane) {
  const [first, ...rest] = lane.processes;
  return "c" + first + (rest.length ? " … c" + rest[rest.length - 1] : "");
}

function drawClients(ctx, width, height) {
  shadeFaults(ctx, width, height);
  page.operations.lanes.forEach((lane, row) => {
    gutterText(ctx, laneName(lane), row * LANE + LANE / 2);
    ctx.fillStyle = colour("line");
    ctx.fillRect(GUTTER, row * LANE, width - GUTTER - MARGIN, 1);
  });
  clipped(ctx, width, height, () => {
    // Those of unknown outcome first: what came after them in their lane lies over their open end.
    const shown = inView().sort((a, b) => (b.outcome === "info") - (a.outcome === "info"));
    for (const operation of shown) drawBar(ctx, operation, width);
    for (const operation of shown) {
      const selected = operation.index === view.selected;
      if (!selected && !proofs.has(operation.index)) continue;
      const { from, to, top, tall } = bar(operation, width);
      ctx.strokeStyle = colour(selected ? "text" : "invalid");
      ctx.lineWidth = 2;
      ctx.strokeRect(from - 1, top - 1, to - from + 2, tall + 2);
      ctx.lineWidth = 1;
    }
  });
}

/** The operation whose bar is under a point, or the nearest in that lane within reach. */
function hitClients(x, y, width) {
  let best = null, reach = 6;
  for (const operation of inView()) {
    if (operation.lane !== Math.floor(y / LANE)) continue;
    const { from, to } = bar(operation, width);
    const away = x < from ? from - x : x > to ? x - to : 0;
    if (away <= reach) [best, reach] = [operation, away];
  }
  return best;
}
