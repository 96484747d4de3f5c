// On narrow cards a chart's legend stands above it as text: inside it would leave no room for curves.

import { h } from "./dom.js";

const NARROW = 480;
const STROKES = { solid: "solid", dash: "dashed", dot: "dotted", dashdot: "dashed" };

export const isNarrow = (node) => node.clientWidth < NARROW;

/** Put the legend of the lines drawn in `node` above it, or take it away (`traces` null). */
export function setLegendAbove(node, traces) {
  const old = node.previousElementSibling;
  if (old?.matches(".chart-legend")) old.remove();
  if (traces === null) return;
  const shown = traces.filter((trace) => trace.showlegend !== false && trace.meta?.told);
  if (shown.length) node.before(h("div", { class: "legend chart-legend" }, shown.map(entry)));
}

function entry({ meta, line, marker }) {
  const tint = line?.color ?? marker?.color;
  const stroke = line ? STROKES[line.dash] : "none";
  return h(
    "span",
    {},
    h("i", { class: "stroke", style: { "--tint": tint, "--stroke": stroke } }, line ? "" : "|"),
    meta.told,
  );
}
