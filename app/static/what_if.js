// What-if: drag thresholds and see at once what they would have kept. No request while dragging.

import * as address from "./address.js";
import { fill, h, segmented, select, setText } from "./dom.js";
import { f1, Histogram, kept, precision, recall } from "./histogram.js";
import { ask, runPath } from "./http.js";
import { describe, ERROR_KINDS } from "./kinds.js";
import { missingRun, noLabels } from "./notices.js";
import { Plane } from "./plane.js";
import { following, listen, session, windowQuestion } from "./session.js";
import { count, percent, plural, score } from "./text.js";
import { buildMoving } from "./what_if_moving.js";
import { buildStack } from "./what_if_stack.js";
import { sentence } from "./what_if_words.js";

const METRICS = [
  ["f1", "F1: right and complete"],
  ["precision", "Precision: share that is right"],
  ["recall", "Recall: share of objects found"],
  ["kept", "How many are kept"],
  ...ERROR_KINDS.map((kind) => [kind.key, `Share ${kind.name.toLowerCase()} (${kind.code})`]),
];
const WHITE = "#ffffff";
const PAPER = "#ffb84d";
const BEST = "#7df0b5";

export function mount(element) {
  const view = {
    histogram: null,
    now: null,
    then: null,
    metric: address.get("metric") ?? "f1",
    coupled: false,
    best: null,
    asked: null,
  };
  const page = buildPage(view, {
    onDrag: () => schedule(),
    onRelease: () => release(view, page),
    onMetric: (metric) => {
      view.metric = metric;
      address.change({ metric });
      setField(view, page);
      show(view, page);
    },
    onMode: (mode) => {
      address.change({ mode });
      chooseRule(view);
      syncSliders(view, page);
      show(view, page);
      page.moving.refresh(view);
    },
  });
  let frame = 0;
  const schedule = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      show(view, page);
    });
  };
  element.append(page.empty, page.node);
  listen((reason) => {
    if (reason === "news" && view.histogram && !following()) return;
    update(view, page).catch((problem) =>
      fill(page.empty, h("p", { class: "hint loading" }, problem.message)),
    );
  });
  for (const event of ["resize", "lab-theme"])
    globalThis.addEventListener(event, () => view.histogram && show(view, page));
}

async function update(view, page) {
  const missing = missingRun() ?? (session.steps.length === 0 ? noLabels(session.run) : null);
  fill(page.empty, missing);
  page.node.hidden = missing !== null;
  if (missing) return;
  const question = windowQuestion();
  const asked = JSON.stringify([session.run.run_id, question]);
  if (view.asked === asked) return;
  view.asked = asked;
  const answer = await ask(runPath(session.run.run_id, "/what-if"), question);
  if (view.asked !== asked) return;
  view.histogram = new Histogram(answer);
  view.best = view.histogram.bestF1();
  setText(page.tally, tallyText(answer));
  chooseRule(view);
  syncSliders(view, page);
  setField(view, page);
  show(view, page);
  page.moving.refresh(view);
}

function tallyText({ labels, truths, window }) {
  const objects = truths === null ? "" : `, ${plural(truths, "true object")}`;
  return `${plural(labels, "candidate")}${objects}, steps ${count(Math.max(0, window.first))} to ${count(window.last)}`;
}

const index = (threshold) => Math.min(100, Math.max(0, Math.round(100 * threshold)));

/** The thresholds of the run, and those of the URL (the run's own when it names none). */
function chooseRule(view) {
  const { thresholds } = session.run;
  view.coupled =
    (address.get("mode") ?? (thresholds.kind === "coupled" ? "coupled" : "pair")) === "coupled";
  if (view.coupled) {
    view.now = { coupledIndex: index(thresholds.coupled || 0.7) };
    view.then = { coupledIndex: index(address.getNumber("cp", view.now.coupledIndex / 100)) };
  } else {
    view.now = {
      classIndex: index(thresholds.class_quality),
      maskIndex: index(thresholds.mask_quality),
    };
    view.then = {
      classIndex: index(address.getNumber("cq", view.now.classIndex / 100)),
      maskIndex: index(address.getNumber("mq", view.now.maskIndex / 100)),
    };
  }
}

const read = (view) => (pair) =>
  view.coupled
    ? view.histogram.atCoupled(pair.coupledIndex)
    : view.histogram.at(pair.classIndex, pair.maskIndex);

function setField(view, page) {
  page.plane.setField(view.histogram.plane(view.metric), view.histogram.firstLoss(), {
    root: view.metric === "kept",
  });
  const { low, high, gradient } = page.plane.scale(view.metric);
  fill(
    page.scale,
    h("span", {}, low),
    h("i", {
      style: { background: gradient, width: "120px", height: "9px", "border-radius": "4px" },
    }),
    h("span", {}, high),
  );
}

/** Everything that follows the sliders: called once per frame while dragging. */
function show(view, page) {
  const { histogram, now, then } = view;
  const [before, after] = [read(view)(now), read(view)(then)];
  const share = (measure, format) => [
    format(measure(after)),
    `${format(measure(before))} in this run`,
  ];
  page.numbers.kept(count(kept(after)), `${count(kept(before))} in this run`);
  page.numbers.precision(...share(precision, (value) => percent(value)));
  page.numbers.recall(
    ...share(
      (counts) => recall(counts, histogram.truths),
      (value) => percent(value),
    ),
  );
  page.numbers.f1(...share((counts) => f1(counts, histogram.truths), score));
  page.stacks.show(before, after);
  page.sliders.forEach((slider) => setText(slider.output, (slider.input.value / 100).toFixed(2)));
  setText(page.sentence, sentence(now, then, read(view)));
  page.plane.paint(points(view), curves(view));
}

function points(view) {
  const { paper, thresholds } = session.run;
  const own = {
    classIndex: index(thresholds.class_quality),
    maskIndex: index(thresholds.mask_quality),
    shape: "circle",
    tint: WHITE,
  };
  return [
    {
      classIndex: index(paper.class_quality),
      maskIndex: index(paper.mask_quality),
      shape: "diamond",
      tint: PAPER,
    },
    view.best && { ...view.best, shape: "star", tint: BEST },
    thresholds.kind === "coupled" ? null : own,
    view.coupled ? null : { ...view.then, shape: "cross", tint: WHITE },
  ].filter(Boolean);
}

function curves(view) {
  const { thresholds } = session.run;
  const own =
    thresholds.coupled > 0
      ? [{ coupledIndex: index(thresholds.coupled), tint: WHITE, dash: [7, 5] }]
      : [];
  return view.coupled ? [...own, { coupledIndex: view.then.coupledIndex, tint: WHITE }] : own;
}

function syncSliders(view, page) {
  for (const slider of page.sliders) {
    slider.row.hidden = !(slider.name in view.then);
    slider.input.value = view.then[slider.name] ?? 0;
  }
  page.mode.show(view.coupled ? "coupled" : "pair");
}

function release(view, page) {
  const text = (value, own) =>
    value === undefined ? undefined : value === own ? null : (value / 100).toFixed(2);
  const changes = view.coupled
    ? { cp: text(view.then.coupledIndex, view.now.coupledIndex) }
    : {
        cq: text(view.then.classIndex, view.now.classIndex),
        mq: text(view.then.maskIndex, view.now.maskIndex),
      };
  address.change(changes);
  page.moving.refresh(view);
}

function buildPage(view, { onDrag, onRelease, onMetric, onMode }) {
  const page = {
    empty: h("div", {}),
    tally: h("span", { class: "hint", id: "what-if-tally" }),
    sentence: h("p", { class: "sentence", id: "what-if-sentence", "aria-live": "polite" }),
    scale: h("span", {}),
  };
  const canvas = h("canvas", { id: "plane", role: "img", "aria-label": "Threshold plane" });
  page.plane = new Plane(canvas, (pair, done) => {
    if (!view.histogram || view.coupled) return;
    Object.assign(view.then, pair);
    syncSliders(view, page);
    onDrag();
    if (done) onRelease();
  });
  page.sliders = [
    slider("classIndex", "Class quality ≥", "class-slider"),
    slider("maskIndex", "Mask quality ≥", "mask-slider"),
    slider("coupledIndex", "Class × mask ≥", "coupled-slider"),
  ];
  for (const { input, name } of page.sliders) {
    input.addEventListener("input", () => {
      view.then[name] = Number(input.value);
      onDrag();
    });
    input.addEventListener("change", onRelease);
  }
  page.mode = segmented(
    "Rule",
    [
      ["pair", "two thresholds"],
      ["coupled", "one on the product"],
    ],
    "pair",
    onMode,
  );
  const metric = select("Colour shows", METRICS, view.metric, onMetric);
  page.numbers = numbers();
  page.stacks = buildStack();
  page.moving = buildMoving(() => read(view));
  page.node = layout(page, canvas, metric, () => {
    Object.assign(view.then, view.now);
    syncSliders(view, page);
    onDrag();
    onRelease();
  });
  page.node.hidden = true;
  return page;
}

function layout(page, canvas, metric, reset) {
  const intro =
    "A pseudo-label teaches the student only if the teacher is sure enough of its class and of its mask. Lower a threshold: more labels are kept, and more of them are wrong. Nothing is retrained here; the answer comes from labels that were recorded.";
  return h(
    "div",
    { class: "page", id: "what-if-page" },
    h(
      "div",
      { class: "page-head" },
      h("h1", {}, "What-if"),
      page.tally,
      h("p", { class: "hint" }, intro),
    ),
    h(
      "div",
      { class: "what-if" },
      h(
        "section",
        { class: "card" },
        h(
          "div",
          { class: "toolbar" },
          h("label", { class: "field" }, h("span", {}, "Colour shows"), metric),
          h("span", { class: "legend" }, h("span", {}, page.scale)),
        ),
        h("div", { class: "plane" }, canvas),
        marks(),
      ),
      h(
        "div",
        { class: "rows" },
        h(
          "section",
          { class: "card sliders" },
          h(
            "div",
            { class: "toolbar" },
            h("h2", {}, "Keep a label when"),
            page.mode,
            h("button", { type: "button", class: "button", onclick: reset }, "Back to this run's"),
          ),
          page.sliders.map((one) => one.row),
        ),
        h("section", { class: "card" }, page.sentence),
        h("section", { class: "card" }, page.numbers.node),
        h("section", { class: "card" }, h("h2", {}, "What the kept ones are"), page.stacks.node),
      ),
    ),
    page.moving.node,
  );
}

function marks() {
  const mark = (sign, text) => h("span", {}, `${sign} ${text}`);
  return h(
    "div",
    { class: "marks" },
    mark("+", "your sliders"),
    mark("○", "this run"),
    mark("☆", "best F1, in hindsight"),
    mark("◇", "the PL-DC paper (0.85, 0.90)"),
    mark("╌", "one threshold on the product"),
  );
}

function slider(name, text, id) {
  const input = h("input", { type: "range", min: 0, max: 100, step: 1, id, "aria-label": text });
  const output = h("output", { for: id });
  return {
    name,
    input,
    output,
    row: h("div", { class: "slider-row" }, h("label", { for: id }, text), input, output),
  };
}

function numbers() {
  const part = (id, label, hint) => ({
    big: h("div", { class: "big", id: `what-if-${id}` }),
    delta: h("div", { class: "delta" }),
    label,
    hint,
  });
  const parts = {
    kept: part("kept", "kept", "Labels that would teach the student"),
    precision: part(
      "precision",
      "precision",
      "Kept labels that are right; a second label on one object is not",
    ),
    recall: part(
      "recall",
      "recall",
      "True objects with a right kept label; for one class: of the objects that any candidate finds",
    ),
    f1: part("f1", "F1", "Harmonic mean of precision and recall, 0 to 1"),
  };
  const put =
    ({ big, delta }) =>
    (text, was) => {
      setText(big, text);
      setText(delta, was);
    };
  const node = h(
    "div",
    { class: "numbers" },
    Object.values(parts).map(({ big, delta, label, hint }) =>
      h("div", { title: hint }, h("div", { class: "label" }, label), big, delta),
    ),
  );
  return {
    node,
    ...Object.fromEntries(Object.entries(parts).map(([name, one]) => [name, put(one)])),
  };
}
