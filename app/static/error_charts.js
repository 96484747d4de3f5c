// The curves of Errors, drawn by Plotly; a click on a bar or a point opens its labels.

import { drawChart, escapeHtml, line, listenToClicks } from "./charts.js";
import { FATES, fateFilter, labelsLink, openFilter, rangeFilter } from "./error_links.js";
import { colour, kindOf } from "./kinds.js";
import { className } from "./session.js";
import { count, isNumber, percent, score as scoreText } from "./text.js";

const open = (href) => location.assign(href);

/** Stacked bars, one per stretch of steps: fates as shares of the judged labels, or as counts. */
export async function drawHistory(node, history, { asShare, window }) {
  const bars = history.stretches;
  const traces = FATES.filter(
    ({ key }) => total(bars, history.fates, key) > 0 && judgedOnly(key, asShare),
  ).map((fate) => ({
    fate,
    heights: bars.map((bar) => height(bar, history.fates, fate.key, asShare)),
  }));
  const below = bars.map(() => 0);
  const drawn = traces.map(({ fate, heights }) => {
    const base = [...below];
    heights.forEach((one, at) => (below[at] += one));
    return barTrace(fate, bars, heights, base, asShare, history.fates);
  });
  await drawChart(node, drawn.some((trace) => trace.y.some((one) => one > 0)) ? drawn : [], {
    empty: "None of these labels can be compared with hidden truth.",
    yTitle: asShare ? "" : "labels",
    percent: asShare,
    range: asShare ? [0, 1] : undefined,
    stacked: true,
    more: { hovermode: "closest", bargap: 0, shapes: window ? [windowShape(window)] : [] },
  });
  listenToClicks(node, (point) => {
    const { key } = point.data.meta;
    open(labelsLink(bars[point.pointIndex], fateFilter(key)));
  });
}

const judgedOnly = (key, asShare) => !asShare || !["ignored", "unknown"].includes(key);

export const numberOf = (counts, fates, key) => counts[fates.indexOf(key)] ?? 0;

const total = (bars, fates, key) =>
  bars.reduce((sum, bar) => sum + numberOf(bar.counts, fates, key), 0);

/** Labels of one bar that could be judged. */
export const judgedOf = (counts, fates) =>
  FATES.filter(({ key }) => judgedOnly(key, true)).reduce(
    (sum, { key }) => sum + numberOf(counts, fates, key),
    0,
  );

function height(bar, fates, key, asShare) {
  const number = numberOf(bar.counts, fates, key);
  if (!asShare) return number;
  const judged = judgedOf(bar.counts, fates);
  return judged > 0 ? number / judged : 0;
}

function barTrace(fate, bars, heights, base, asShare, fates) {
  const gap = bars.length > 1 ? (bars.at(-1).last - bars[0].first) / (40 * bars.length) : 0;
  return {
    type: "bar",
    name: fate.name,
    meta: { key: fate.key },
    x: bars.map(({ first }) => first),
    y: heights,
    base,
    offset: 0,
    width: bars.map(({ first }, at) =>
      Math.max((bars[at + 1]?.first ?? bars[at].last + 1) - first - gap, 0.5),
    ),
    marker: { color: colour(`kind-${fate.key}`), line: { width: 0 } },
    text: bars.map((bar, at) =>
      barWords(fate, bar, numberOf(bar.counts, fates, fate.key), asShare ? heights[at] : null),
    ),
    textposition: "none",
    hovertemplate: "%{text}<extra></extra>",
  };
}

function barWords(fate, { first, last }, number, share) {
  const where = first === last ? `step ${count(first)}` : `steps ${count(first)} to ${count(last)}`;
  const part = share === null ? "" : `, ${percent(share)} of the judged`;
  return `${fate.name}: ${count(number)}${part}<br>${where}<br>click: these labels`;
}

/** Where the other charts look, behind the bars of the whole run. */
const windowShape = ({ first, last }) => ({
  type: "rect",
  x0: Math.max(0, first),
  x1: last + 1,
  yref: "paper",
  y0: 0,
  y1: 1,
  line: { color: colour("accent"), width: 1.5 },
  fillcolor: "rgba(0,0,0,0)",
  layer: "above",
});

/** A score against the true IoU: some labels as points, all of them as means of bins. */
export async function drawHonesty(node, honesty, { words, name, window }) {
  const { points, bins } = honesty;
  const traces = [diagonal(), pointTrace(points), binTrace(bins)];
  const lowest = Math.min(0.8, bins.edges[bins.counts.findIndex((one) => one > 0)] ?? 0);
  const axis = { range: [-0.02, 1.02], autorangeoptions: undefined, zeroline: false };
  const across = { ...axis, range: [lowest - 0.01, 1.01] };
  await drawChart(node, honesty.labels ? traces : [], {
    empty: "No label here has both this score and a known true IoU.",
    yTitle: "true IoU",
    more: {
      hovermode: "closest",
      showlegend: false,
      margin: { l: 52, r: 14, t: 8, b: 40 },
      xaxis: { ...across, title: { text: escapeHtml(words), font: { size: 11 }, standoff: 4 } },
      yaxis: axis,
    },
  });
  listenToClicks(node, (point) => open(honestyLink(point, honesty, name, window)));
}

function honestyLink({ data, pointIndex: at }, { points, bins }, name, window) {
  if (data.meta.of === "bins")
    return labelsLink(
      window,
      rangeFilter(name, bins.edges[data.meta.places[at]], bins.edges[data.meta.places[at] + 1]),
    );
  return labelsLink(window, openFilter(points.label_id[at], points.image_id[at], points.step[at]));
}

const diagonal = () => ({
  type: "scatter",
  mode: "lines",
  x: [0, 1],
  y: [0, 1],
  hoverinfo: "skip",
  line: { color: colour("soft"), width: 1, dash: "dot" },
});

function pointTrace(points) {
  return {
    type: "scatter",
    mode: "markers",
    meta: { of: "points" },
    x: points.quality,
    y: points.true_iou,
    marker: { size: 7, opacity: 0.55, color: points.kind.map((kind) => colour(`kind-${kind}`)) },
    text: points.label.map((label, at) =>
      escapeHtml(`${className(label)}, ${kindOf(points.kind[at]).name.toLowerCase()}`),
    ),
    hovertemplate:
      "%{text}<br>score %{x:.2f}, true IoU %{y:.2f}<br>click: this label<extra></extra>",
  };
}

/** Means of the bins that hold labels; the area of a marker tells how many. */
function binTrace(bins) {
  const places = bins.counts.map((_, at) => at).filter((at) => bins.counts[at] > 0);
  const most = Math.max(...bins.counts);
  return {
    type: "scatter",
    mode: "lines+markers",
    meta: { of: "bins", places },
    x: places.map((at) => bins.mean_quality[at]),
    y: places.map((at) => bins.mean_iou[at]),
    line: { color: colour("ink"), width: 2 },
    marker: {
      size: places.map((at) => 8 + 14 * Math.sqrt(bins.counts[at] / most)),
      color: colour("card"),
      line: { color: colour("ink"), width: 2 },
    },
    text: places.map(
      (at) => `${count(bins.counts[at])} labels, mean true IoU ${scoreText(bins.mean_iou[at])}`,
    ),
    hovertemplate: "%{text}<br>mean score %{x:.2f}<br>click: these labels<extra></extra>",
  };
}

/** Rank correlation of the score with the true IoU, stretch by stretch. */
export async function drawCorrelation(node, history) {
  const told = history.stretches.filter(({ honesty }) => isNumber(honesty.correlation));
  const steps = told.map(({ last }) => last);
  const value = (name) => told.map(({ honesty }) => honesty[name]);
  const style = { markers: true, format: ".2f" };
  const traces = [
    line("rank correlation", steps, value("correlation"), colour("accent"), {
      ...style,
      width: 2.5,
    }),
    line("mean true IoU", steps, value("mean_iou"), colour("kind-cor"), { ...style, width: 1.5 }),
    line("mean score", steps, value("mean_quality"), colour("student"), {
      ...style,
      width: 1.5,
      dash: "dot",
    }),
  ];
  await drawChart(node, traces, {
    empty: "Too few labels with this score and a known true IoU.",
    yTitle: "",
    more: { yaxis: { rangemode: "normal", range: undefined, zeroline: true } },
  });
  listenToClicks(node, (point) => open(labelsLink(told[point.pointIndex])));
}
