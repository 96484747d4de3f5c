// Some images of each part, with their truth drawn over them.

import * as address from "./address.js";
import { partTitle, usesMasks, useSentence } from "./data_parts.js";
import { fill, h, segmented } from "./dom.js";
import { drawView, loadImage, wholeImage } from "./drawing.js";
import { ask, pictureUrl, runPath } from "./http.js";
import { className, session } from "./session.js";
import { count, plural } from "./text.js";

const PER_PAGE = 12;
const SIDE = 480;
/** The uses of a part whose images get pseudo-labels, which a name then leads to. */
const LABELLED_BY_TEACHER = ["hidden", "boxes", "unknown"];

export function exampleCard(run, { parts }) {
  const state = { run, parts: parts.filter(({ images }) => images > 0), page: 1, turn: 0, tiles: [], asBoxes: true };
  state.part = state.parts[0];
  state.node = h("div", { class: "gallery", id: "run-images" });
  state.pager = h("div", { class: "pager" });
  state.words = h("p", { class: "hint" });
  state.look = segmented(
    "Show",
    [
      ["boxes", "boxes", "As the run sees them"],
      ["masks", "hidden masks", "Which the run does not see"],
    ],
    "boxes",
    (look) => {
      state.asBoxes = look === "boxes";
      draw(state);
    },
  );
  const card = h(
    "section",
    { class: "card rows", id: "run-examples" },
    h("h2", {}, "Images with their truth"),
    h("div", { class: "toolbar" }, partChoice(state), state.look),
    state.words,
    state.node,
    state.pager,
  );
  keepDrawn(state, card);
  card.ready = load(state); // then its height is known
  return card;
}

function partChoice(state) {
  const options = state.parts.map((part) => [part.name, partTitle(part), useSentence(part)]);
  return segmented("Part", options, state.part?.name, (name) => {
    Object.assign(state, { part: state.parts.find((one) => one.name === name), page: 1 });
    load(state);
  });
}

function keepDrawn(state, card) {
  new ResizeObserver(() => draw(state)).observe(state.node);
  const redraw = () => (card.isConnected ? draw(state) : globalThis.removeEventListener("lab-theme", redraw));
  globalThis.addEventListener("lab-theme", redraw);
}

async function load(state) {
  const { part } = state;
  if (!part) return fill(state.node, h("p", { class: "hint" }, "There is no image to show."));
  const turn = ++state.turn;
  state.look.hidden = usesMasks(part);
  state.words.textContent = `${useSentence(part)} ${legendWords(part)}`;
  state.node.classList.add("busy");
  try {
    const told = await ask(runPath(state.run, "/data/images"), { part: part.name, pg: state.page, size: PER_PAGE });
    if (turn !== state.turn) return undefined;
    state.tiles = told.images.map((image) => tile(state, image, told));
    fill(state.node, state.tiles.map(({ figure }) => figure));
    fill(state.pager, turns(state, told));
    draw(state);
  } catch (problem) {
    if (turn === state.turn) fill(state.node, h("p", { class: "problem" }, problem.message));
  }
  state.node.classList.remove("busy");
  return undefined;
}

const legendWords = ({ crowds }) => (crowds ? "Crowds are drawn in grey, with a dashed line." : "");

const draw = (state) => Promise.all(state.tiles.map((one) => one.paint()));

function tile(state, image, { split }) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const figure = h("figure", { class: "data-image" }, canvas, caption(state, image));
  const isBoxed = !usesMasks(state.part);
  const paint = async () => {
    const marks = image.truth.map((one) => mark(one, isBoxed && state.asBoxes));
    try {
      const picture = await loadImage(pictureUrl(state.run, image.id, SIDE, split));
      drawView(canvas, picture, image, wholeImage(image, 1), marks);
    } catch {
      canvas.title = "This image cannot be shown: is its file still there?";
      figure.classList.add("lost");
    }
  };
  return { figure, paint };
}

const mark = (one, asBox) => ({
  ...one,
  mask: asBox ? null : one.mask,
  truth: !one.crowd,
  kind: "ignored",
  kept: false,
});

function caption(state, image) {
  const links = LABELLED_BY_TEACHER.includes(state.part.use) && session.run.lately !== null;
  const href = address.link("/labels", { image: image.id, it: null, cls: null, span: 0 });
  const attributes = { class: "name", title: image.name };
  return h(
    "figcaption",
    {},
    links ? h("a", { ...attributes, href }, image.name) : h("span", attributes, image.name),
    h("span", { class: "hint" }, contents(image.truth)),
  );
}

/** "2 cat, dog": what is in an image, the most frequent first. */
function contents(truth) {
  const objects = truth.filter(({ crowd }) => !crowd);
  const crowds = truth.length - objects.length;
  const groups = Map.groupBy(objects, ({ label }) => label);
  const words = [...groups]
    .sort(([, a], [, b]) => b.length - a.length)
    .map(([label, all]) => (all.length > 1 ? `${count(all.length)} ${className(label)}` : className(label)));
  if (crowds) words.push(plural(crowds, "crowd"));
  return words.length ? words.join(", ") : "no object";
}

function turns(state, { total }) {
  const last = Math.max(1, Math.ceil(total / PER_PAGE));
  if (last === 1) return null;
  const button = (text, delta, allowed) =>
    h("button", { type: "button", class: "button", disabled: !allowed, onclick: () => turn(state, delta) }, text);
  return [
    button("← Previous", -1, state.page > 1),
    h("span", { class: "hint num" }, `page ${count(state.page)} of ${count(last)}`),
    button("Next →", 1, state.page < last),
  ];
}

async function turn(state, delta) {
  state.page += delta;
  await load(state);
  const [back, on] = state.pager.querySelectorAll("button");
  const pressed = delta < 0 ? back : on;
  (pressed?.disabled ? (delta < 0 ? on : back) : pressed)?.focus({ preventScroll: true });
}
