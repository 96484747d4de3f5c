// What-if: drag thresholds and see at once what they would have kept. No request while dragging.

import * as address from "./address.js";
import { fill, h, setText } from "./dom.js";
import { f1, Histogram, kept, meanIou, precision, recall } from "./histogram.js";
import { ask, runPath } from "./http.js";
import { missingRun, noLabels } from "./notices.js";
import { following, listen, session, windowQuestion } from "./session.js";
import { count, percent, plural, score } from "./text.js";
import { buildPage, showAxes, syncSliders } from "./what_if_layout.js";
import {
  chooseAxes,
  counts,
  hasPaper,
  index,
  isClassAndMask,
  isCoupled,
  ownRule,
  parameterOf,
  parameters,
  startRule,
  withAxis,
} from "./what_if_rules.js";
import { sentence } from "./what_if_words.js";

const WHITE = "#ffffff";
const PAPER = "#ffb84d";
const BEST = "#7df0b5";

export function mount(element) {
  const view = {
    histogram: null,
    now: null,
    then: null,
    axes: null,
    metric: null,
    coupled: false,
    ruleOf: null,
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
    onReset: () => {
      address.change({ mode: null, ...noThresholds(view.axes) });
      chooseRule(view);
      syncSliders(view, page);
      show(view, page);
      refreshBelow(view, page);
    },
    onAxis: (side, name) => {
      const names = withAxis(view.axes, name, side);
      const gone = [view.axes.x, view.axes.y].filter((one) => !Object.values(names).includes(one.name));
      const stale = Object.fromEntries(gone.map((one) => [parameterOf(one.name), null]));
      address.change({ ...names, ...stale, cp: null });
    },
    onMode: (mode) => {
      address.change({ mode });
      chooseRule(view);
      syncSliders(view, page);
      show(view, page);
      refreshBelow(view, page);
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
  const axes = chooseAxes(session.run, address.get("x"), address.get("y"));
  const question = { ...windowQuestion(), x: axes.x.name, y: axes.y.name };
  const asked = JSON.stringify([session.run.run_id, question]);
  if (view.asked === asked) return;
  view.asked = asked;
  const answer = await ask(runPath(session.run.run_id, "/what-if"), question);
  if (view.asked !== asked) return;
  view.histogram = new Histogram(answer);
  view.best = view.histogram.bestF1();
  view.axes = axes;
  view.metric = chooseMetric(view.histogram, address.get("metric"));
  setText(page.tally, tallyText(answer));
  showAxes(view, page, session.run);
  const ruleOf = [session.run.run_id, axes.x.name, axes.y.name].join();
  if (view.ruleOf !== ruleOf) chooseRule(view);
  view.ruleOf = ruleOf;
  syncSliders(view, page);
  setField(view, page);
  show(view, page);
  refreshBelow(view, page);
}

/** What colours show: for masks made from boxes how well they fit, unless another is asked for. */
function chooseMetric({ hasIou }, asked) {
  if (asked === null) return hasIou ? "iou" : "f1";
  return asked === "iou" && !hasIou ? "f1" : asked;
}

function tallyText({ labels, truths, window }) {
  const objects = truths === null ? "" : `, ${plural(truths, "true object")}`;
  return `${plural(labels, "candidate")} (without specks)${objects}, steps ${count(Math.max(0, window.first))} to ${count(window.last)}`;
}

/** The rule of the run, and that of the URL (where the run's own begins when it names none). */
function chooseRule(view) {
  const { thresholds } = session.run;
  view.now = ownRule(thresholds, view.axes);
  view.coupled = (address.get("mode") ?? (isCoupled(view.now) ? "coupled" : "pair")) === "coupled";
  const start = startRule(thresholds, view.axes, view.coupled);
  const names = parameters(view.axes);
  const fromAddress = ([name, value]) => [name, index(address.getNumber(names[name], value / 100))];
  view.then = Object.fromEntries(Object.entries(start).map(fromAddress));
}

/** What the server has to be asked for: only once the sliders rest. */
function refreshBelow(view, page) {
  page.groups.refresh(view);
  page.moving.refresh(view);
}

const noThresholds = (axes) =>
  Object.fromEntries(Object.values(parameters(axes)).map((name) => [name, null]));

const read = (view) => (rule) => counts(view.histogram, rule);

function setField(view, page) {
  page.plane.titles = [view.axes.x, view.axes.y].map((one) => `${one.short} threshold`);
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
  page.plane.paint(points(view), curves(view)); // first: it reads the layout, texts change it
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
      (kinds) => recall(kinds, histogram.truths),
      (value) => percent(value),
    ),
  );
  page.numbers.f1(...share((kinds) => f1(kinds, histogram.truths), score));
  page.numbers.iou(...share(meanIou, score));
  page.stacks.show(before, after);
  page.sliders.forEach((slider) => setText(slider.output, (slider.input.value / 100).toFixed(2)));
  setText(page.sentence, sentence(now, then, read(view), view.axes));
  page.acts.show();
}

function points(view) {
  const { paper } = session.run;
  const { x, y } = view.axes;
  return [
    hasPaper(view.axes, session.run) && {
      xIndex: index(paper[x.name]),
      yIndex: index(paper[y.name]),
      shape: "diamond",
      tint: PAPER,
    },
    view.best && { ...view.best, shape: "star", tint: BEST },
    isCoupled(view.now) ? null : { ...view.now, shape: "circle", tint: WHITE },
    view.coupled ? null : { ...view.then, shape: "cross", tint: WHITE },
  ].filter(Boolean);
}

function curves(view) {
  const { thresholds } = session.run;
  const own =
    thresholds.coupled > 0 && isClassAndMask(view.axes)
      ? [{ coupledIndex: index(thresholds.coupled), tint: WHITE, dash: [7, 5] }]
      : [];
  return view.coupled ? [...own, { coupledIndex: view.then.coupledIndex, tint: WHITE }] : own;
}

function release(view, page) {
  const start = startRule(session.run.thresholds, view.axes, view.coupled);
  const text = (name) =>
    view.then[name] === start[name] ? null : (view.then[name] / 100).toFixed(2);
  const names = parameters(view.axes);
  address.change(
    Object.fromEntries(Object.keys(view.then).map((name) => [names[name], text(name)])),
  );
  refreshBelow(view, page);
}
