// Curves by Plotly.react: the node stays, zoom stays, colours follow the theme.

import { isNarrow, setLegendAbove } from "./chart_legend.js";
import { colour } from "./kinds.js";

let loading = null;

/** plotly.js, from our own server, once; tried again at the next drawing if it did not come. */
function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/lab/plotly.min.js";
    script.onload = () => resolve(globalThis.Plotly);
    script.onerror = () => {
      loading = null;
      script.remove();
      reject(new Error("plotly.min.js could not be loaded"));
    };
    document.head.append(script);
  });
  return loading;
}

const CONFIG = {
  displaylogo: false,
  responsive: true,
  displayModeBar: false,
  doubleClick: "reset",
};

/** Draw traces into a node, or the sentence `empty` when there is nothing to draw. */
export async function drawChart(
  node,
  traces,
  { empty, yTitle, range, span, marks = [], percent = false, stacked = false, more = {} },
) {
  const Plotly = await plotly();
  if (!traces.some((trace) => trace.x.length > 0)) {
    if (node.dataset.drawn) Plotly.purge(node);
    delete node.dataset.drawn;
    setLegendAbove(node, null);
    node.classList.add("empty");
    node.textContent = empty;
    return;
  }
  if (!node.dataset.drawn) node.replaceChildren();
  node.dataset.drawn = "yes";
  node.classList.remove("empty");
  const told = marks.length ? [...traces, ticks(marks)] : traces;
  const isAbove = !stacked && more.showlegend !== false && isNarrow(node);
  setLegendAbove(node, isAbove ? told : null);
  const hasLegend = !stacked && !isAbove;
  const plain = layout({ yTitle, range, span, marks, percent, hasLegend });
  await Plotly.react(node, told, merged(plain, more), CONFIG);
}

/** A layout with more of it; of axes and other objects only what is named changes. */
function merged(layout, more) {
  const result = { ...layout };
  for (const [name, value] of Object.entries(more)) {
    const isPart = typeof value === "object" && !Array.isArray(value);
    result[name] = isPart ? { ...layout[name], ...value } : value;
  }
  return result;
}

/** Call `onPick(point)` when a point or bar is clicked; of several calls the last one counts. */
export function listenToClicks(node, onPick) {
  if (!node.dataset.drawn) return;
  node.removeAllListeners("plotly_click");
  node.on("plotly_click", ({ points }) => onPick(points[0]));
}

const TICKS = "checkpoint or event";

/** Where something happened, as a legend entry and in what the pointer is told. */
function ticks(marks) {
  return {
    type: "scatter",
    mode: "markers",
    name: TICKS,
    meta: { told: TICKS },
    x: marks.map((mark) => mark.step),
    y: marks.map(() => 0),
    text: marks.map((mark) => escapeHtml(mark.told)),
    marker: { symbol: "line-ns-open", size: 9, color: colour("soft"), line: { width: 1.5 } },
    hovertemplate: "%{text}<extra></extra>",
    cliponaxis: false,
  };
}

/** span: [first, last] steps that the axis always shows; zooming in goes beyond it. */
function layout({ yTitle, range, span, marks, percent, hasLegend }) {
  const axis = {
    gridcolor: colour("line"),
    zerolinecolor: colour("line"),
    linecolor: colour("line"),
    tickfont: { size: 11 },
  };
  return {
    uirevision: "kept",
    margin: { l: 52, r: 14, t: hasLegend ? 34 : 8, b: 34 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: colour("soft") },
    hovermode: "x unified",
    hoverlabel: {
      bgcolor: colour("card"),
      bordercolor: colour("line"),
      font: { color: colour("ink"), size: 12 },
    },
    showlegend: hasLegend,
    legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0, font: { size: 11 } },
    xaxis: { ...axis, title: { text: "step", font: { size: 11 }, standoff: 4 }, showgrid: false, autorangeoptions: { include: span } },
    yaxis: {
      ...axis,
      title: { text: yTitle, font: { size: 11 }, standoff: 6 },
      range,
      tickformat: percent ? ".0%" : undefined,
      rangemode: "tozero",
    },
    shapes: marks.map(markLine),
    annotations: marks.filter((mark) => mark.text).map(markText),
  };
}

const markLine = ({ step }) => ({
  type: "line",
  x0: step,
  x1: step,
  yref: "paper",
  y0: 0,
  y1: 1,
  line: { color: colour("soft"), width: 1, dash: "dot" },
  opacity: 0.35,
  layer: "below",
});

const markText = ({ step, text }) => ({
  x: step,
  yref: "paper",
  y: 1,
  yanchor: "top",
  xanchor: "left",
  text: escapeHtml(text),
  showarrow: false,
  font: { size: 10, color: colour("soft") },
});

/** Plotly reads a little HTML in texts; names from data must stay text. */
export function escapeHtml(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** A line trace. `style` may set width, dash, opacity, markers. */
export function line(name, x, y, tint, style = {}) {
  return {
    type: "scatter",
    name: escapeHtml(name),
    meta: { told: name },
    x,
    y,
    connectgaps: false,
    mode: style.markers || x.length === 1 ? "lines+markers" : "lines",
    marker: { size: x.length === 1 ? 9 : 6 },
    opacity: style.opacity ?? 1,
    line: { color: tint, width: style.width ?? 2, dash: style.dash ?? "solid" },
    hoverinfo: style.silent ? "skip" : undefined,
    showlegend: !style.silent,
    hovertemplate: style.silent ? undefined : `%{y:${style.format ?? ".3f"}}`,
  };
}

/** One band of a stacked area whose bands add up to 1. */
export function band(name, x, y, tint) {
  return {
    type: "scatter",
    name: escapeHtml(name),
    x,
    y,
    stackgroup: "one",
    mode: "lines",
    line: { width: 0.5, color: tint },
    fillcolor: tint,
    hovertemplate: "%{y:.0%}",
  };
}
