// Timeline: one image through the steps. Things are born, change class, are dropped and go.

import * as address from "./address.js";
import { loadImage } from "./drawing.js";
import { fill, h, segmented, setText } from "./dom.js";
import { ask, pictureUrl, runPath } from "./http.js";
import { kindLegend } from "./kinds.js";
import { SEEN_WORDS } from "./label_tile.js";
import { makesNone, missingRun, noneToShow, notice } from "./notices.js";
import { following, listen, session } from "./session.js";
import { count, plural } from "./text.js";
import { partnerOf, showRail, showSources } from "./timeline_images.js";
import { buildLanes, markLanes, showLanes } from "./timeline_lanes.js";
import { buildPlayer, load, show } from "./timeline_player.js";
import { eventList, thingCard } from "./timeline_side.js";
import { paintStages, prefetch, trackUnder } from "./timeline_stage.js";
import { chosenThings, things } from "./timeline_words.js";

const LARGE_SIDE = 1280;
const REFRESH_MS = 10_000;

export function mount(element) {
  const page = buildPage();
  element.append(page.empty, page.node);
  listen((reason) => {
    if (reason === "news" && !isOld(page)) return;
    update(page).catch((problem) => showProblem(page, problem));
  });
  const repaint = () => page.data && paint(page);
  globalThis.addEventListener("lab-theme", repaint);
  new ResizeObserver(repaint).observe(page.teacher);
}

function buildPage() {
  const page = {
    data: null,
    picture: null,
    shown: null,
    asked: 0,
    loaded: 0,
    pending: null,
    selected: null,
  };
  page.empty = h("div", {});
  page.problem = h("div", {});
  page.tally = h("span", { class: "hint", id: "timeline-tally" });
  page.sources = h("div", {});
  page.rail = h("div", { class: "rail", id: "timeline-images", "aria-label": "Images" });
  page.teacher = h("canvas", { id: "timeline-image" });
  page.truth = h("canvas", { id: "timeline-truth" });
  page.partner = h("canvas", { id: "timeline-partner" });
  page.captions = [h("figcaption", {}), h("figcaption", { title: SEEN_WORDS }), h("figcaption", {})];
  page.events = h("div", { class: "events", id: "timeline-events", "aria-live": "off" });
  page.card = h("div", { id: "timeline-thing" });
  page.player = buildPlayer({
    onFrame: () => page.data && paint(page),
    onRest: (at) => rest(page, at),
  });
  page.lanes = buildLanes({ onPick: (track, frame) => pick(page, track, frame) });
  page.teacher.addEventListener("click", (event) => {
    if (!page.data) return;
    page.selected = trackUnder(page, event);
    paint(page);
  });
  page.node = h(
    "div",
    { class: "page", id: "timeline-page" },
    head(page),
    page.problem,
    body(page),
  );
  page.node.hidden = true;
  return page;
}

function head(page) {
  page.only = segmented(
    "Which things",
    [
      ["", "ever kept"],
      ["all", "all candidates"],
    ],
    address.get("of") === "all" ? "all" : "",
    (of) => address.change({ of }),
  );
  const words =
    "One thing = labels whose masks overlap by half. Full bars: kept, thin ones: dropped. Space plays, ← → step.";
  return h(
    "div",
    { class: "page-head" },
    h("h1", {}, "Timeline"),
    page.tally,
    h("p", { class: "hint" }, words),
    h("div", { class: "toolbar" }, page.sources, page.only, kindLegend()),
  );
}

function body(page) {
  const figure = (canvas, caption) => h("figure", {}, caption, canvas);
  page.pair = h(
    "div",
    { class: "pair" },
    figure(page.teacher, page.captions[0]),
    figure(page.partner, page.captions[2]),
    figure(page.truth, page.captions[1]),
  );
  page.partnerFigure = page.partner.parentElement;
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
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Things, and when they were seen"),
      page.lanes.node,
    ),
  );
  return page.body;
}

/** Whether a run that goes on may have new frames by now, and somebody wants to see the newest. */
function isOld({ loaded, player, shown }) {
  if (shown?.run !== session.run?.run_id) return true;
  const isRunning = ["running", "stopping"].includes(session.run?.status);
  return isRunning && following() && !player.playing && Date.now() - loaded > REFRESH_MS;
}

/** Ask for what the address wants, if that is not what is shown. */
async function update(page) {
  const missing = missingRun();
  fill(page.empty, missing);
  page.node.hidden = missing !== null;
  if (missing) return;
  const wanted = {
    run: session.run.run_id,
    source: address.get("source"),
    image: address.get("image"),
  };
  const key = JSON.stringify(wanted);
  const same = key === JSON.stringify(page.shown);
  if (same && !isOld(page)) return showChosen(page);
  if (key === page.pending) return; // its answer is on the way
  page.pending = key;
  const turn = ++page.asked;
  try {
    await loadTimeline(page, wanted, same, turn);
  } finally {
    if (turn === page.asked) page.pending = null;
  }
}

/** Load a timeline and show it, unless another was asked for meanwhile. */
async function loadTimeline(page, wanted, same, turn) {
  const { run } = wanted;
  page.loaded = Date.now();
  const list = await ask(runPath(run, "/timeline"), { source: wanted.source });
  if (turn !== page.asked) return;
  if (list.images.length === 0 && wanted.image === null) return showNone(page, wanted, list);
  const image = wanted.image ?? String(list.images[0].image_id);
  const past = (source) => ask(runPath(run, `/timeline/${encodeURIComponent(image)}`), { source });
  const partner = partnerOf(list);
  const [data, picture, partnerData] = await Promise.all([
    past(list.source),
    loadImage(pictureUrl(run, image, LARGE_SIDE)),
    partner && past(partner),
  ]);
  if (turn !== page.asked) return;
  if (!same) page.selected = null;
  Object.assign(page, { shown: wanted, list, data, picture, partnerData, things: things(data) });
  page.partnerFigure.hidden = partnerData === null;
  fill(page.problem);
  page.body.hidden = false;
  showSources(page);
  showRail(page);
  showImage(page);
}

function showNone(page, wanted, list) {
  showProblem(page, { message: "" });
  page.shown = wanted;
  page.data = null;
  showSources({ ...page, list });
  const reason = makesNone(session.run)
    ? noneToShow(session.run)
    : "None of its labels have been recorded yet.";
  fill(
    page.problem,
    notice("No image has a past yet", [
      reason,
      "Images appear here when they are looked at: each time they come round in training, and every record.probe_every steps for the probe images.",
    ]),
  );
}

function showProblem(page, problem) {
  page.shown = null;
  page.body.hidden = true;
  const other = () => address.change({ image: null });
  fill(
    page.problem,
    notice("This timeline cannot be shown", [problem.message]),
    address.get("image") === null
      ? null
      : h("button", { type: "button", class: "button", onclick: other }, "Choose another image"),
  );
}

function showImage(page) {
  const { image, frames, truth, recorded, left_out } = page.data;
  const told = [
    `${image.name}, looked at ${plural(recorded, "time")}`,
    recorded > frames.length ? `${count(frames.length)} of them shown` : null,
    plural(page.data.tracks, "thing"),
    left_out ? `${plural(left_out, "weak candidate")} left out` : null,
  ];
  setText(page.tally, told.filter(Boolean).join(", "));
  page.pair.style.setProperty("--aspect", image.width / image.height);
  setText(
    page.captions[1],
    truth.length
      ? `The hidden truth: ${plural(truth.length, "object")}`
      : "The hidden truth: none is known for this image",
  );
  showLanesOf(page);
  const steps = frames.map((frame) => frame.step);
  load(page.player, steps, frameAt(steps, address.getNumber("it")));
  prefetch(frames);
}

/** The frame at or before a step; without one the last. */
function frameAt(steps, step) {
  if (step === null) return steps.length - 1;
  return Math.max(
    0,
    steps.findLastIndex((one) => one <= step),
  );
}

function showLanesOf(page) {
  page.only.hidden = makesNone(session.run) && page.things.every((one) => one.seen.every((label) => label?.kept ?? true));
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

function paint(page) {
  if (page.data.frames.length === 0) return;
  paintStages(page);
  markLanes(page.lanes, page.player.index, page.selected);
  fill(
    page.events,
    eventList(page, (track) => pick(page, track, null)),
  );
  fill(page.card, thingCard(page));
}
