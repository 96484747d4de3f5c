// How the What-if page is laid out; what_if.js says what its parts show.

import { h, segmented, select, setOptions, setText } from "./dom.js";
import { ERROR_KINDS } from "./kinds.js";
import { Plane } from "./plane.js";
import { buildActs } from "./what_if_acts.js";
import { buildGroups } from "./what_if_groups.js";
import { buildMoving } from "./what_if_moving.js";
import { hasPaper, isClassAndMask } from "./what_if_rules.js";
import { buildStack } from "./what_if_stack.js";

const INTRO =
  "A pseudo-label teaches the student only if the teacher is sure enough of its class and of its mask. Lower a threshold: more labels are kept, and more of them are wrong.";
const INTRO_OF_BOXES =
  "Every object of this run has its box, so nearly every mask is on the right object; what differs is how well it fits. Raise a threshold: fewer masks would be kept, and those of a good score should fit better.";
const NOTHING_RETRAINED =
  "Nothing is retrained here; the answer comes from labels that were recorded.";
const IOU_METRIC = ["iou", "Mean true IoU"];
const METRICS = [
  ["f1", "F1: right and complete"],
  ["precision", "Precision: share that is right"],
  ["recall", "Recall: share of objects found"],
  ["kept", "How many are kept"],
  ...ERROR_KINDS.map((kind) => [kind.key, `Share ${kind.name.toLowerCase()} (${kind.code})`]),
];
/**
 * The parts of the page and the node that holds them. `view` is what the sliders move;
 * the callbacks say that it moved, that it was let go, and that another metric or rule is wanted.
 */
export function buildPage(view, { onDrag, onRelease, onMetric, onAxis, onMode, onReset }) {
  const page = {
    empty: h("div", {}),
    tally: h("span", { class: "hint", id: "what-if-tally" }),
    intro: h("span", {}),
    applies: h("p", { class: "hint", id: "what-if-applies" }),
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
    slider("xIndex", "x-slider"),
    slider("yIndex", "y-slider"),
    slider("coupledIndex", "coupled-slider"),
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
  page.metric = select("Colour shows", METRICS, "f1", onMetric);
  page.axes = {
    x: select("Score across the plane", [], "", (name) => onAxis("x", name)),
    y: select("Score up the plane", [], "", (name) => onAxis("y", name)),
  };
  page.axisFields = h(
    "span",
    { class: "toolbar", id: "what-if-axes" },
    field("Across", page.axes.x),
    field("Up", page.axes.y),
  );
  page.marks = marks();
  page.numbers = numbers();
  page.stacks = buildStack();
  page.groups = buildGroups();
  page.moving = buildMoving();
  page.acts = buildActs(view);
  page.node = layout(page, canvas, onReset);
  page.node.hidden = true;
  return page;
}

const field = (text, control) => h("label", { class: "field" }, h("span", {}, text), control);

function layout(page, canvas, reset) {
  return h(
    "div",
    { class: "page", id: "what-if-page" },
    h(
      "div",
      { class: "page-head" },
      h("h1", {}, "What-if"),
      page.tally,
      h("p", { class: "hint" }, page.intro),
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
          page.axisFields,
          field("Colour shows", page.metric),
          h("span", { class: "legend" }, h("span", {}, page.scale)),
        ),
        h("div", { class: "plane" }, canvas),
        page.marks.node,
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
          page.applies,
        ),
        h("section", { class: "card rows" }, page.sentence, page.acts.node),
        h("section", { class: "card" }, page.numbers.node),
        h("section", { class: "card" }, h("h2", {}, "What the kept ones are"), page.stacks.node),
      ),
    ),
    page.groups.node,
    page.moving.node,
  );
}

function marks() {
  const mark = (sign, text) => h("span", {}, `${sign} ${text}`);
  const paper = mark("◇", "the PL-DC paper (0.85, 0.90)");
  const node = h(
    "div",
    { class: "marks" },
    mark("+", "your sliders"),
    mark("○", "this run"),
    mark("☆", "best F1, in hindsight"),
    paper,
    mark("╌", "one threshold on the product"),
  );
  return { node, paper };
}

function slider(name, id) {
  const input = h("input", { type: "range", min: 0, max: 100, step: 1, id });
  const label = h("label", { for: id });
  const output = h("output", { for: id });
  return { name, input, label, output, row: h("div", { class: "slider-row" }, label, input, output) };
}

/** Name the scores of the plane everywhere, and offer those that the run has. */
export function showAxes(view, page, run) {
  const { x, y } = view.axes;
  const scores = run.scores.filter((one) => one.is_axis);
  for (const side of ["x", "y"]) {
    const options = scores.map((one) => [one.name, one.words]);
    setOptions(page.axes[side], options, view.axes[side].name);
    page.axes[side].title = view.axes[side].about;
  }
  page.axisFields.hidden = scores.length < 3;
  page.marks.paper.hidden = !hasPaper(view.axes, run);
  const texts = [capital(x.words), capital(y.words), capital(`${x.short} × ${y.short}`)];
  page.sliders.forEach(({ input, label, name }, at) => {
    setText(label, `${texts[at]} ≥`);
    label.title = { xIndex: x.about, yIndex: y.about }[name] ?? "The product of both";
    input.setAttribute("aria-label", `${texts[at]} ≥`);
  });
  setOptions(page.metric, view.histogram.hasIou ? [IOU_METRIC, ...METRICS] : METRICS, view.metric);
  page.numbers.iouPart.hidden = !view.histogram.hasIou;
  setText(page.applies, whatApplies(view.axes, run.thresholds));
  setText(page.intro, `${view.histogram.hasIou ? INTRO_OF_BOXES : INTRO} ${NOTHING_RETRAINED}`);
}

/** A score is only shown until the run's method has a threshold on it. */
function whatApplies(axes, thresholds) {
  if (thresholds.kind === "coupled" && isClassAndMask(axes)) return "";
  const [first, second] = [axes.x, axes.y].filter((one) => one.key !== null);
  if (second) return "";
  if (first) return `Only the ${first.words} has a threshold in this run's config: ${first.key}.`;
  return "This run's config has a threshold on neither score: what you see here can be studied, not applied.";
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

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
      "Share of the kept labels that are right, second ones on one object among them",
    ),
    recall: part(
      "recall",
      "recall",
      "True objects with a right kept label; for one class: of the objects that any candidate finds",
    ),
    f1: part("f1", "F1", "Harmonic mean of precision and recall, 0 to 1"),
    iou: part(
      "iou",
      "mean true IoU",
      "How well the kept masks fit the hidden masks of their own objects, 0 to 1",
    ),
  };
  const put =
    ({ big, delta }) =>
    (text, was) => {
      setText(big, text);
      setText(delta, was);
    };
  const cells = Object.values(parts).map(({ big, delta, label, hint }) =>
    h("div", { title: hint }, h("div", { class: "label" }, label), big, delta),
  );
  return {
    node: h("div", { class: "numbers" }, cells),
    iouPart: cells.at(-1),
    ...Object.fromEntries(Object.entries(parts).map(([name, one]) => [name, put(one)])),
  };
}

/** Put the sliders where the view is; those of the other rule are hidden. */
export function syncSliders(view, page) {
  for (const slider of page.sliders) {
    slider.row.hidden = !(slider.name in view.then);
    slider.input.value = view.then[slider.name] ?? 0;
  }
  page.mode.show(view.coupled ? "coupled" : "pair");
}
