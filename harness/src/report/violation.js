// The proof of a violation: one line an operation on an axis of its own, true to time, with the longest legal order.

const ROW = 28, LEFT = 250, RIGHT = 330, TOP = 26;

/** A number in a circle. */
function placeMark(x, y, number) {
  return `<circle cx="${x}" cy="${y}" r="9" fill="var(--paper)" stroke="var(--text)"/>` +
    `<text x="${x}" y="${y}" text-anchor="middle" dominant-baseline="central" font-size="11">${number}</text>`;
}

/** The bar of an operation; one of unknown outcome stays open. */
function proofBar(operation, from, to, top, number) {
  const blocked = operation.blocked !== null;
  const ink = blocked ? "invalid" : operation.outcome;
  const open = operation.end === null;
  const fill = open ? `url(#open-${number})` : `var(--${ink})`;
  return `<rect x="${from}" y="${top}" width="${Math.max(4, to - from)}" height="16" rx="2" fill="${fill}" ` +
    `fill-opacity="${open ? 1 : 0.85}"${blocked ? ' stroke="var(--text)" stroke-width="1.5"' : ""}/>` +
    (open ? `<rect x="${from}" y="${top}" width="2" height="16" fill="var(--info)"/>` : "");
}

function proofRow(operation, row, x, width, number) {
  const top = TOP + row * ROW + 6, middle = top + 8, edge = width - RIGHT;
  const from = x(operation.start), to = operation.end === null ? edge : x(operation.end);
  const who = escapeText(operation.process + (operation.node ? " → " + operation.node : ""));
  const text = escapeText(operation.text);
  const states = operation.states ? escapeText(operation.states[0] + "  ⇒  " + operation.states[1]) : "";
  let out = `<g class="row"><title>${who} ${text}, ${operation.outcome}${states ? ": " + states : ""}</title>` +
    `<rect x="0" y="${top - 6}" width="${width}" height="${ROW}" fill="transparent"/>` +
    `<a href="#op-${operation.index}"><text x="0" y="${middle}" dominant-baseline="central" class="who">${who}</text>` +
    `<text x="92" y="${middle}" dominant-baseline="central" font-weight="600">${text}</text></a>` +
    proofBar(operation, from, to, top, number);
  if (operation.blocked !== null) {
    const why = operation.blocked.length > 44 ? operation.blocked.slice(0, 43) + "…" : operation.blocked;
    out += `<text x="${edge + 12}" y="${middle}" dominant-baseline="central" fill="var(--invalid)" font-weight="600">` +
      `<title>${escapeText(operation.blocked)}</title>✗ ${escapeText(why)}</text>`;
  } else if (operation.place !== null) {
    out += placeMark(edge + 18, middle, operation.place) +
      `<text x="${edge + 36}" y="${middle}" dominant-baseline="central">${states}</text>`;
  } else {
    out += `<text x="${edge + 12}" y="${middle}" dominant-baseline="central" fill="var(--dim)">not needed so far</text>`;
  }
  return out + "</g>";
}

/** The axis of a proof, in time since its first invocation. */
function proofAxis(violation, x, width, height, zero) {
  let out = "";
  const step = tickStep(violation.end - violation.start, Math.max(2, (width - LEFT - RIGHT) / 110));
  for (let time = 0; time <= violation.end - zero; time += step) {
    const at = x(time + zero).toFixed(1);
    out += `<line x1="${at}" y1="${TOP - 6}" x2="${at}" y2="${height}" stroke="var(--line)"/>` +
      `<text x="${at}" y="10" text-anchor="middle" fill="var(--dim)" font-size="12">${time ? "+" + lengthText(time) : "0"}</text>`;
  }
  return out + `<text x="0" y="10" fill="var(--dim)" font-size="12">since ${timeText(zero, 1e3)} of the run</text>` +
    `<text x="${width - RIGHT + 12}" y="10" fill="var(--dim)" font-size="12">longest legal order: state before ⇒ after</text>`;
}

function drawViolation(place, violation, number) {
  const width = Math.max(900, place.clientWidth), rows = violation.operations.length;
  const height = TOP + rows * ROW + violation.faults.length * 22 + 12;
  const x = (time) => {
    const share = (time - violation.start) / (violation.end - violation.start);
    return LEFT + Math.min(1, Math.max(0, share)) * (width - LEFT - RIGHT - 6);
  };
  const zero = violation.operations.length ? violation.operations[0].start : violation.start;
  const bands = violation.faults.map((fault, at) => {
    const from = x(fault.start), to = x(fault.end ?? violation.end), y = TOP + rows * ROW + 8 + at * 22;
    const ink = ["partition", "kill", "pause"].includes(fault.fault) ? fault.fault : "other";
    return `<rect x="${from}" y="${TOP - 6}" width="${Math.max(1, to - from)}" height="${height - TOP}" fill="var(--${ink})" opacity=".1"/>` +
      `<rect x="${from}" y="${y}" width="${Math.max(2, to - from)}" height="14" fill="var(--${ink})" opacity=".45"/>` +
      `<text x="0" y="${y + 7}" dominant-baseline="central">${escapeText(fault.fault + "  " + fault.detail)}</text>`;
  });
  place.innerHTML = `<svg width="${width}" height="${height}" role="img" aria-label="the operations of the proof over time" ` +
    `font-size="13" fill="var(--text)"><defs><linearGradient id="open-${number}">` +
    `<stop offset="0" stop-color="var(--info)"/><stop offset="1" stop-color="var(--info)" stop-opacity="0"/></linearGradient></defs>` +
    proofAxis(violation, x, width, height, zero) + bands.join("") +
    violation.operations.map((operation, row) => proofRow(operation, row, x, width, number)).join("") + "</svg>";
}
