// Timeline: one image through the steps. Things are born, change class, are dropped and go.

import * as address from "./address.js";
import { drawView, loadImage, wholeImage } from "./drawing.js";
import { fill, h, segmented, setText } from "./dom.js";
import { ask, pictureUrl, runPath } from "./http.js";
import { kindLegend } from "./kinds.js";
import { SEEN_WORDS } from "./label_tile.js";
import { makesNone, missingRun, noneToShow, notice } from "./notices.js";
import { outline } from "./rle.js";
import { listen, session } from "./session.js";
import { count, plural } from "./text.js";
import { buildLanes, markLanes, showLanes } from "./timeline_lanes.js";
import { buildPlayer, load, show } from "./timeline_player.js";
import { eventList, thingCard } from "./timeline_side.js";
import { chosenThings, things } from "./timeline_words.js";

const LARGE_SIDE = 1280;
const SMALL_SIDE = 160;
const SOURCES = {
  pseudo: ["pseudo-labels", "What was taught, each time the image came round"],
  probe_teacher: ["teacher", "The teacher's prediction of a fixed set of images, again and again"],
  probe_student: ["student", "The student's prediction of the same images"],
};

export function mount(element) {
  const page = buildPage();
  element.append(page.empty, page.node);
  listen((reason) => {
    if (reason === "news" && page.shown?.run === session.run?.run_id) return;
    update(page).catch((problem) => showProblem(page, problem));
  });
  const repaint = () => page.data && paint(page);
  globalThis.addEventListener("lab-theme", repaint);
  new ResizeObserver(repaint).observe(page.teacher);
}

function buildPage() {
  const page = { data: null, picture: null, shown: null, asked: 0, selected: null };
  page.empty = h("div", {});
  page.problem = h("div", {});
  page.tally = h("span", { class: "hint", id: "timeline-tally" });
  page.sources = h("div", {});
  page.rail = h("div", { class: "rail", id: "timeline-images", "aria-label": "Images" });
  page.teacher = h("canvas", { id: "timeline-image" });
  page.truth = h("canvas", { id: "timeline-truth" });
  page.captions = [h("figcaption", {}), h("figcaption", { title: SEEN_WORDS })];
  page.events = h("div", { class: "events", id: "timeline-events", "aria-live": "off" });
  page.card = h("div", { id: "timeline-thing" });
  page.player = buildPlayer({ onFrame: () => page.data && paint(page), onRest: (at) => rest(page, at) });
  page.lanes = buildLanes({ onPick: (track, frame) => pick(page, track, frame) });
  page.teacher.addEventListener("click", (event) => pickAt(page, event));
  page.node = h("div", { class: "page", id: "timeline-page" }, head(page), page.problem, body(page));
  page.node.hidden = true;
  return page;
}

function head(page) {
  const only = segmented(
    "Which things",
    [
      ["", "ever kept"],
      ["all", "all candidates"],
    ],
    address.get("of") === "all" ? "all" : "",
    (of) => address.change({ of }),
  );
  const words = "One thing = labels whose masks overlap by half. Full bars: kept, thin ones: dropped. Space plays, ← → step.";
  return h(
    "div",
    { class: "page-head" },
    h("h1", {}, "Timeline"),
    page.tally,
    h("p", { class: "hint" }, words),
    h("div", { class: "toolbar" }, page.sources, only, kindLegend()),
  );
}

function body(page) {
  const figure = (canvas, caption) => h("figure", {}, caption, canvas);
  page.pair = h("div", { class: "pair" }, figure(page.teacher, page.captions[0]), figure(page.truth, page.captions[1]));
  page.body = h(
    "div",
    { class: "rows" },
    page.rail,
    h(
      "div",
      { class: "timeline" },
      h("section", { class: "card" }, page.pair, page.player.node),
      h("aside", { class: "card now" }, page.events, page.card),
    ),
    h("section", { class: "card" }, h("h2", {}, "Things, and when they were seen"), page.lanes.node),
  );
  return page.body;
}

/** Ask for what the address wants, if that is not what is shown. */
async function update(page) {
  const missing = missingRun();
  fill(page.empty, missing);
  page.node.hidden = missing !== null;
  if (missing) return;
  const run = session.run.run_id;
  const wanted = { run, source: address.get("source"), image: address.get("image") };
  if (JSON.stringify(wanted) === JSON.stringify(page.shown)) return showChosen(page);
  const turn = ++page.asked;
  const list = await ask(runPath(run, "/timeline"), { source: wanted.source });
  if (turn !== page.asked) return;
  if (list.images.length === 0 && wanted.image === null) return showNone(page, wanted, list);
  const image = wanted.image ?? String(list.images[0].image_id);
  const [data, picture] = await Promise.all([
    ask(runPath(run, `/timeline/${encodeURIComponent(image)}`), { source: list.source }),
    loadImage(pictureUrl(run, image, LARGE_SIDE)),
  ]);
  if (turn !== page.asked) return;
  const known = page.shown?.run === run && page.shown?.source === wanted.source;
  Object.assign(page, { shown: wanted, list, data, picture, things: things(data) });
  if (!known) page.selected = null;
  fill(page.problem);
  page.body.hidden = false;
  showSources(page);
  showRail(page);
  showImage(page);
}

function showNone(page, wanted, list) {
  page.shown = wanted;
  page.data = null;
  showProblem(page, { message: "" });
  showSources({ ...page, list });
  const reason = makesNone(session.run) ? noneToShow(session.run) : "None of its labels have been recorded yet.";
  fill(
    page.problem,
    notice("No image has a past yet", [
      reason,
      "Images appear here when they are looked at: each time they come round in training, and every record.probe_every steps for the probe images.",
    ]),
  );
}

function showProblem(page, problem) {
  page.body.hidden = true;
  fill(page.problem, notice("This timeline cannot be shown", [problem.message]));
}

function showSources({ sources, list }) {
  const options = list.sources.map((name) => [name, ...SOURCES[name]]);
  const pickSource = (source) => address.change({ source, image: null, it: null });
  fill(sources, options.length ? segmented("Whose labels", options, list.source, pickSource) : null);
}

function showRail({ rail, list, data }) {
  const run = session.run.run_id;
  const thumb = ({ image_id: id, visits }) =>
    h(
      "button",
      {
        type: "button",
        class: "thumb",
        title: `image ${id}, looked at ${plural(visits, "time")}`,
        "aria-current": String(id === data.image.id),
        data: { image: id },
        onclick: () => address.change({ image: id }),
      },
      h("img", { src: pictureUrl(run, id, SMALL_SIDE), alt: `image ${id}`, loading: "lazy", decoding: "async" }),
      h("span", { class: "num" }, `${count(visits)}×`),
    );
  const other = h("input", { type: "number", class: "image-id", placeholder: "image id", "aria-label": "Image id", onchange: () => other.value && address.change({ image: other.value }) });
  const more = list.total - list.images.length;
  fill(rail, list.images.map(thumb), h("label", { class: "field" }, h("span", {}, more > 0 ? `${count(more)} more, by id` : "by id"), other));
}

function showImage(page) {
  const { image, frames, truth, recorded, left_out } = page.data;
  setText(page.tally, `${image.name}, looked at ${plural(recorded, "time")}${recorded > frames.length ? `, ${count(frames.length)} of them shown` : ""}, ${plural(page.data.tracks, "thing")}${left_out ? `; ${plural(left_out, "weak candidate")} left out` : ""}`);
  page.pair.style.setProperty("--aspect", image.width / image.height);
  setText(page.captions[1], truth.length ? `The hidden truth: ${plural(truth.length, "object")}` : "The hidden truth: none is known for this image");
  showLanesOf(page);
  const steps = frames.map((frame) => frame.step);
  load(page.player, steps, frameAt(steps, address.getNumber("it")));
  prefetch(frames);
}

/** The frame at or before a step; without one the last. */
function frameAt(steps, step) {
  if (step === null) return steps.length - 1;
  return Math.max(0, steps.findLastIndex((one) => one <= step));
}

function showLanesOf(page) {
  const cls = address.getNumber("cls");
  page.chosen = chosenThings(page.things, { keptOnly: address.get("of") !== "all", cls });
  showLanes(page.lanes, page.chosen, page.data.frames);
}

/** Only what is to be seen of it changed: class, kept or all, or the step. */
function showChosen(page) {
  if (!page.data) return;
  showLanesOf(page);
  const steps = page.data.frames.map((frame) => frame.step);
  if (page.player.playing) paint(page);
  else show(page.player, frameAt(steps, address.getNumber("it")));
}

function rest(page, at) {
  if (page.data) address.note({ it: page.data.frames[at].step });
}

function pick(page, track, frame) {
  page.selected = page.selected === track && frame === null ? null : track;
  if (frame === null) return paint(page);
  page.player.playing = false;
  show(page.player, frame);
  return rest(page, page.player.index);
}

/** The smallest thing whose box is under the pointer. */
function pickAt(page, event) {
  if (!page.data) return;
  const scale = page.data.image.width / page.teacher.clientWidth;
  const [x, y] = [event.offsetX * scale, event.offsetY * scale];
  const area = ({ box: [x1, y1, x2, y2] }) => (x2 - x1) * (y2 - y1);
  const under = visibleLabels(page).filter(({ box }) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3]);
  page.selected = under.toSorted((a, b) => area(a) - area(b))[0]?.track ?? null;
  paint(page);
}

function visibleLabels({ data, player, chosen }) {
  const shown = new Set(chosen.map(({ track }) => track));
  return (data.frames[player.index]?.labels ?? []).filter(({ track }) => shown.has(track));
}

function paint(page) {
  const { data, player, picture, selected } = page;
  const frame = data.frames[player.index];
  if (!frame) return;
  const marks = visibleLabels(page)
    .map((label) => ({ ...label, strong: label.track === selected, faint: selected !== null && label.track !== selected }))
    .toSorted((a, b) => a.strong - b.strong || a.kept - b.kept);
  const truth = data.truth.map((one) => ({ ...one, truth: true }));
  stage(page.teacher, picture, data.image, marks, frame.seen && { box: frame.seen, dim: true });
  stage(page.truth, picture, data.image, truth, frame.seen && { box: frame.seen });
  setText(page.captions[0], `Step ${count(frame.step)}: ${plural(marks.filter((one) => one.kept).length, "kept label")} of ${count(marks.length)}`);
  markLanes(page.lanes, player.index, selected);
  fill(page.events, eventList(page, (track) => pick(page, track, null)));
  fill(page.card, thingCard(page));
}

function stage(canvas, picture, image, marks, seen) {
  const aspect = canvas.clientWidth / Math.max(1, canvas.clientHeight);
  drawView(canvas, picture, image, wholeImage(image, aspect), marks, seen);
}

/** Outlines are made while nothing else is to be done, so that playing finds them ready. */
function prefetch(frames) {
  const masks = frames.flatMap(({ labels }) => labels.map(({ mask }) => mask)).filter(Boolean);
  const later = globalThis.requestIdleCallback ?? ((work) => setTimeout(() => work({ timeRemaining: () => 8 }), 16));
  const work = (deadline) => {
    while (masks.length && deadline.timeRemaining() > 2) outline(masks.pop());
    if (masks.length) later(work);
  };
  later(work);
}
