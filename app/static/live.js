// Live: the curves of one run, appended to as it goes.

import { alertList } from "./alerts.js";
import { drawChart } from "./charts.js";
import { fill, h, setText } from "./dom.js";
import { ask, runPath } from "./http.js";
import { kindLegend } from "./kinds.js";
import { buildActs } from "./live_acts.js";
import * as curves from "./live_curves.js";
import { makesNone, missingRun, noneToShow } from "./notices.js";
import { binned, extend } from "./series.js";
import { selectionList } from "./selections.js";
import { listen, session } from "./session.js";
import {
  ap,
  count,
  DASH,
  duration,
  isNumber,
  latelyWords,
  percent,
  progress,
  remaining,
} from "./text.js";

const CHARTS = [
  {
    id: "losses",
    title: "Losses",
    hint: "What training minimises. A flat zero for “unsupervised” means that no pseudo-label is kept.",
    draw: curves.losses,
  },
  {
    id: "ap",
    title: "AP on validation images",
    hint: "How good the predicted masks are, 0 to 100. The teacher is a slow average of the student.",
    draw: curves.averagePrecision,
  },
  {
    id: "kept",
    title: "Pseudo-labels per image",
    hint: "Candidates the teacher proposed, and those that passed the thresholds and taught the student.",
    draw: curves.kept,
    ofLabels: true,
  },
  {
    id: "quality",
    title: "Are the kept ones right?",
    hint: "Precision: how many kept labels are right. Recall: how many true objects have a right kept label.",
    draw: curves.quality,
    ofLabels: true,
  },
  {
    id: "kinds",
    title: "What is wrong with the kept ones",
    hint: "Share of each kind of error among the kept labels.",
    draw: curves.kinds,
    legend: true,
    ofLabels: true,
  },
  {
    id: "machine",
    title: "Machine",
    hint: "CPU and GPU load of the training machine in percent, memory in GiB.",
    draw: curves.machine,
  },
];

export function mount(element) {
  const state = { runId: null, data: null, busy: false };
  const empty = h("div", {});
  const tiles = buildTiles();
  const cards = CHARTS.map(chartCard);
  const log = h("pre", { class: "log", id: "log", tabindex: 0 });
  const title = h("h1", {});
  const meta = h("span", { class: "hint" });
  const error = h("p", { class: "error-line", id: "run-error" });
  const alerts = h("div", {});
  const none = h("div", { id: "no-labels" });
  const acts = buildActs();
  const page = h(
    "div",
    { class: "page", id: "live-page" },
    h("div", { class: "page-head" }, title, meta, error),
    acts.node,
    alerts,
    tiles.node,
    none,
    h(
      "div",
      { class: "charts" },
      cards.map((card) => card.node),
      logCard(log),
    ),
  );
  page.hidden = true;
  element.append(empty, page);

  const draw = () => {
    const { run } = state.data;
    setText(title, run.name);
    setText(meta, `${run.method} on ${run.host}, ${run.dataset}, ${run.run_id}`);
    setText(error, run.error ?? "");
    fill(alerts, alertList(state.data.alerts), selectionList(state.data.events));
    acts.show(run);
    const hasNone = makesNone(run) && state.data.bins.length === 0;
    tiles.show(state.data, hasNone);
    fill(none, hasNone ? h("p", { class: "card hint" }, noneToShow(run)) : null);
    showLog(log, state.data.log);
    for (const card of cards) card.node.hidden = hasNone && card.ofLabels;
    for (const card of cards.filter((one) => !one.node.hidden))
      drawChart(card.plot, ...card.draw(state.data)).catch((problem) => console.error(problem));
  };

  const update = async () => {
    fill(empty, missingRun());
    page.hidden = !session.run || session.error !== null;
    if (page.hidden || state.busy) return;
    state.busy = true;
    try {
      await fetchNews(state, session.run.run_id);
      draw();
    } catch (problem) {
      fill(empty, h("p", { class: "hint loading" }, problem.message));
    } finally {
      state.busy = false;
    }
  };
  listen((reason) => reason === "address" || update());
  globalThis.addEventListener("lab-theme", () => state.data && draw());
}

/** Ask for what is new and merge it into state.data. */
async function fetchNews(state, runId) {
  const known = state.runId === runId ? state.data : null;
  const news = await ask(runPath(runId, "/live"), known ? cursors(known) : {});
  if (known && news.run.step < known.run.step) {
    state.runId = null; // a resumed run: what was known of the later steps is gone
    return fetchNews(state, runId);
  }
  const series = { ...known?.series };
  for (const [name, fresh] of Object.entries(news.series))
    series[name] = extend(series[name], fresh);
  const bins = [...(known?.summaries ?? []), ...news.summaries];
  state.runId = runId;
  state.data = {
    ...news,
    series,
    summaries: bins,
    bins: binned(bins),
    events: [...(known?.events ?? []), ...news.events],
  };
  return undefined;
}

function cursors({ series, summaries, events }) {
  const last = Object.values(series).map((one) => one.steps.at(-1) ?? -1);
  return {
    since: last.length ? Math.max(...last) : -1,
    since_label: summaries.at(-1)?.step ?? -1,
    since_event: events.at(-1)?.event_id ?? 0,
  };
}

function chartCard({ id, title, hint, draw, legend, ofLabels = false }) {
  const plot = h("div", { class: "chart", id: `chart-${id}` });
  const node = h(
    "section",
    { class: "card" },
    h("h2", {}, title),
    h("p", { class: "hint" }, hint),
    legend ? kindLegend() : null,
    plot,
  );
  return { node, plot, draw, ofLabels };
}

function logCard(log) {
  return h(
    "section",
    { class: "card wide" },
    h("h2", {}, "Log"),
    h("p", { class: "hint" }, "The end of what the training process printed."),
    log,
  );
}

/** New text; stays scrolled to the end unless somebody scrolled up to read. */
function showLog(log, text) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
  setText(log, text || "This run has written no log.");
  if (atEnd) log.scrollTop = log.scrollHeight;
}

const OF_LABELS = ["kept", "precision", "recall"];

function buildTiles() {
  const names = ["status", "steps", "ap", ...OF_LABELS];
  const parts = Object.fromEntries(
    names.map((name) => [
      name,
      { big: h("div", { class: "big", id: `tile-${name}` }), label: h("div", { class: "label" }) },
    ]),
  );
  const bar = h("i", {});
  for (const name of names) {
    parts[name].node = h(
      "div",
      { class: "card tile-number" },
      parts[name].big,
      parts[name].label,
      name === "steps" ? h("div", { class: "progress" }, bar) : null,
    );
  }
  const node = h(
    "div",
    { class: "tiles" },
    names.map((name) => parts[name].node),
  );
  const put = (name, big, label) => {
    setText(parts[name].big, big);
    setText(parts[name].label, label);
  };
  const show = ({ run }, hasNone) => {
    const { lately } = run;
    const when = lately ? latelyWords(lately) : "none recorded yet";
    for (const name of OF_LABELS) {
      parts[name].node.hidden = hasNone;
      parts[name].node.title = lately
        ? `Steps ${count(lately.first_step)} to ${count(lately.last_step)}`
        : "";
    }
    const left = remaining(run);
    put(
      "status",
      run.status,
      run.status === "running" ? `about ${duration(left)} left` : endText(run),
    );
    put("steps", count(run.done), `of ${count(run.max_steps)} steps`);
    bar.style.setProperty("--share", progress(run));
    put(
      "ap",
      ap(run.best_ap),
      run.best_ap_model ? `best AP, by the ${run.best_ap_model}` : "best AP; not evaluated yet",
    );
    const kept = lately?.kept_per_image;
    put("kept", isNumber(kept) ? kept.toFixed(1) : DASH, `labels kept per image, ${when}`);
    put("precision", percent(lately?.precision), `of the kept labels are right, ${when}`);
    put("recall", percent(lately?.recall), `of the true objects found, ${when}`);
  };
  return { node, show };
}

function endText(run) {
  const seconds = run.finished && run.started ? run.finished - run.started : NaN;
  return Number.isFinite(seconds) ? `after ${duration(seconds)}` : "not running";
}
