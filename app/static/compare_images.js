// Compare: the same image in every run, and the hidden truth.

import * as address from "./address.js";
import { tintVariable } from "./compare_tints.js";
import { fill, h, select, setOptions, setText } from "./dom.js";
import { drawView, loadImage, wholeImage } from "./drawing.js";
import { ask, pictureUrl, runPath } from "./http.js";
import { kindLegend } from "./kinds.js";
import { keptWords } from "./notices.js";
import { count, plural } from "./text.js";

const SIDE = 900;

export function buildImages() {
  const state = { runs: [], told: null, image: null, steps: [], at: 0, turn: 0, shown: [] };
  const choice = select("Image", [], "", (id) => choose(Number(id)));
  const slider = h("input", { type: "range", min: 0, max: 0, step: 1, "aria-label": "Step", id: "compare-step" });
  const number = h("output", { class: "step-number" });
  const only = h("input", { type: "checkbox" });
  const stages = h("div", { class: "compared-stages", id: "compare-images" });
  const hint = h("p", { class: "hint" });
  const controls = h(
    "div",
    { class: "toolbar" },
    h("label", { class: "field" }, h("span", {}, "Image"), choice),
    h("label", { class: "field steps" }, h("span", {}, "Up to step"), slider, number),
    h("label", { class: "check" }, only, "kept only"),
    kindLegend(),
  );
  slider.addEventListener("input", () => setText(number, count(state.steps[slider.value])));
  slider.addEventListener("change", () => {
    state.at = Number(slider.value);
    load();
  });
  only.addEventListener("change", () => draw());

  async function show(runs) {
    state.runs = runs;
    state.told = await ask("compare/images", { runs: runs.map((run) => run.run_id) });
    if (runs !== state.runs) return;
    const { images } = state.told;
    controls.hidden = images.length === 0;
    setText(hint, images.length ? "What each teacher believed, at its newest recording up to the step." : "These runs have recorded labels of no image in common.");
    fill(stages);
    if (images.length) choose(Number(address.get("img")) || images[0].id);
  }
  function choose(id) {
    const { images } = state.told;
    state.image = images.find((one) => one.id === id) ?? images[0];
    address.note({ img: state.image === images[0] ? null : state.image.id });
    setOptions(choice, images.map((one) => [String(one.id), one.name]), String(state.image.id));
    state.steps = [...new Set(state.image.steps.flat())].sort((a, b) => a - b);
    state.at = state.steps.length - 1;
    slider.max = state.at;
    slider.value = state.at;
    slider.disabled = state.steps.length < 2;
    setText(number, count(state.steps[state.at]));
    load();
  }
  async function load() {
    const turn = ++state.turn;
    const upTo = state.steps[state.at];
    const jobs = state.runs.map((run, place) => {
      const step = state.image.steps[place].findLast((one) => one <= upTo);
      return step === undefined ? null : view(run, state.image.id, step, state.told.source);
    });
    const picture = loadImage(pictureUrl(state.runs[0].run_id, state.image.id, SIDE));
    try {
      const shown = await Promise.all(jobs);
      state.picture = await picture;
      if (turn !== state.turn) return;
      state.shown = shown;
      layout();
    } catch (error) {
      if (turn === state.turn) fill(stages, h("p", { class: "error-line" }, error.message));
    }
  }
  function layout() {
    const truth = state.shown.find(Boolean);
    state.canvases = state.runs.map(() => h("canvas", {}));
    state.truth = h("canvas", {});
    fill(
      stages,
      state.runs.map((run, place) => figure(state.canvases[place], caption(run, state.shown[place]), place)),
      truth ? figure(state.truth, `The hidden truth: ${plural(truth.truth.length, "object")}`, null) : null,
    );
    draw();
  }
  function draw() {
    if (!state.picture || !state.canvases) return;
    state.shown.forEach((one, place) => {
      if (!one) return;
      const marks = one.labels.filter((label) => label.kept || !only.checked).sort((a, b) => a.kept - b.kept);
      paint(state.canvases[place], state.picture, one, marks);
    });
    const one = state.shown.find(Boolean);
    if (one) paint(state.truth, state.picture, one, one.truth.map((each) => ({ ...each, truth: true })));
  }
  globalThis.addEventListener("resize", () => draw());
  const node = h("section", { class: "card rows" }, h("h2", {}, "The same image"), hint, controls, stages);
  return { node, show, draw };
}

const view = (run, image, step, source) =>
  ask(runPath(run.run_id, `/images/${image}`), { it: step, source });

function figure(canvas, text, place) {
  const tint = place === null ? "var(--lab-truth)" : tintVariable(place);
  return h("figure", { style: { "--tint": tint } }, h("figcaption", {}, h("i", { class: "dot" }), text), canvas);
}

function caption(run, shown) {
  if (!shown) return `${run.name}: nothing recorded yet`;
  return `${run.name}, step ${count(shown.step)}: ${keptWords(shown.labels, run)}`;
}

function paint(canvas, picture, { image, seen }, marks) {
  canvas.style.aspectRatio = `${image.width} / ${image.height}`;
  drawView(canvas, picture, image, wholeImage(image, image.width / image.height), marks, seen ? { box: seen, dim: true } : null);
}
