// Compare: the same curve of every run in one chart.

import * as address from "./address.js";
import { drawChart, line } from "./charts.js";
import { tintOf } from "./compare_tints.js";
import { h, select, setOptions } from "./dom.js";
import { ask } from "./http.js";
import { binned, precision, recall, smooth } from "./series.js";

const FIRST = "loss/total";

export function buildCurves() {
  const state = { runs: [], name: address.get("curve") ?? FIRST };
  const pick = select("Curve", [], "", (name) => {
    state.name = name;
    address.note({ curve: name === FIRST ? null : name });
    show(state.runs);
  });
  const cards = [
    card("ap", "AP on validation images", ap, { yTitle: "AP", empty: "Not evaluated yet." }),
    card("precision", "Precision of kept labels", (one) => share(one, precision), { percent: true, range: [0, 1.02], empty: NO_LABELS }),
    card("recall", "Recall of kept labels", (one) => share(one, recall), { percent: true, range: [0, 1.02], empty: NO_LABELS }),
    card("kept", "Labels kept per image", (one) => share(one, keptPerImage), { yTitle: "per image", empty: NO_LABELS }),
    card("scalar", pick, scalar, { yTitle: "", empty: "None of these runs has this curve." }),
  ];
  async function show(runs) {
    state.runs = runs;
    const told = await ask("compare/curves", { runs: runs.map((run) => run.run_id), name: state.name });
    if (runs !== state.runs) return;
    setOptions(pick, (told.names.length ? told.names : [state.name]).map((one) => [one, one]), state.name);
    const last = Math.max(...runs.map((run) => run.done), 0);
    for (const { plot, points, options } of cards) {
      const traces = told.runs.flatMap((one, place) => {
        const { steps, values } = points(one);
        const style = { width: 2.2, markers: options.yTitle === "AP", format: options.percent ? ".0%" : ".3f" };
        return steps.length ? [line(runs[place].name, steps, values, tintOf(place), style)] : [];
      });
      drawChart(plot, traces, { ...options, span: [0, last] }).catch((error) => console.error(error));
    }
  }
  return { node: h("div", { class: "charts" }, cards.map((one) => one.node)), show };
}

const NO_LABELS = "None of these runs has recorded pseudo-labels.";

function card(id, title, points, options) {
  const plot = h("div", { class: "chart", id: `compare-${id}` });
  return { plot, points, options, node: h("section", { class: "card" }, h("h2", {}, title), plot) };
}

function ap({ evaluations }) {
  const model = evaluations.some((one) => one.model === "teacher") ? "teacher" : "student";
  const rows = evaluations.filter((one) => one.model === model);
  return { steps: rows.map((one) => one.step), values: rows.map((one) => one.metrics.AP ?? null) };
}

function share({ summaries }, measure) {
  const bins = binned(summaries);
  const values = bins.map(measure);
  return values.some((one) => one !== null) ? { steps: bins.map((one) => one.step), values } : { steps: [], values: [] };
}

const keptPerImage = (bin) => (bin.images ? bin.kept / bin.images : null);

function scalar({ series }) {
  if (!series) return { steps: [], values: [] };
  const length = Math.max(1, Math.round(series.values.length / 40));
  return { steps: series.steps, values: smooth(series.values, length) };
}
