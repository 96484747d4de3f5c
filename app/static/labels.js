// Labels: a gallery of what the teacher believed, filtered and sorted by the server.

import * as address from "./address.js";
import { fill, h, setText } from "./dom.js";
import { ask, runPath } from "./http.js";
import { kindLegend } from "./kinds.js";
import { buildFilters, buildToolbar, filterQuestion, sortColumn } from "./label_filters.js";
import { drawTiles, labelTile, tileScores } from "./label_tile.js";
import { missingRun, noLabels, notice } from "./notices.js";
import { className, following, listen, session, windowQuestion } from "./session.js";
import { count, plural } from "./text.js";
import { buildViewer } from "./viewer.js";

export function mount(element) {
  const page = buildPage();
  const viewer = buildViewer(element, {
    onMove: (delta) => move(page, viewer, delta),
    onClose: () => close(page),
  });
  page.open = (label) => {
    page.current = label.id;
    address.note({ open: `${label.id}.${label.image_id}.${label.step}` });
    viewer.open(session.run.run_id, label);
  };
  page.update = latestOnly((signal) => update(page, signal));
  element.append(page.empty, page.node);
  listen((reason) => {
    if (reason === "news" && (!following() || viewer.isOpen())) return;
    page.update();
  });
  document.addEventListener("keydown", (event) => viewer.isOpen() || galleryKey(event, page));
  globalThis.addEventListener("lab-theme", () => drawTiles(page.tiles));
  new ResizeObserver(() => drawTiles(page.tiles)).observe(page.gallery);
}

function buildPage() {
  const page = {
    empty: h("div", {}),
    tally: h("span", { class: "hint", id: "labels-tally" }),
    gallery: h("div", { class: "gallery", id: "gallery" }),
    pager: h("div", { class: "pager" }),
    filters: buildFilters(),
    tiles: [],
    answer: null,
    current: null,
  };
  page.toolbar = buildToolbar(() => showRows(page));
  const intro =
    "Each tile is one thing the teacher believed to see. A solid, filled mask was kept and taught to the student; a dashed one was dropped. The colour says how right it was, judged afterwards by truth that training never sees.";
  page.node = h(
    "div",
    { class: "page", id: "labels-page" },
    h(
      "div",
      { class: "page-head" },
      h("h1", {}, "Labels"),
      page.tally,
      h("p", { class: "hint" }, intro),
      kindLegend(),
    ),
    h(
      "div",
      { class: "with-side" },
      page.filters.node,
      h("div", { class: "rows" }, page.toolbar.node, page.gallery, page.pager),
    ),
  );
  page.node.hidden = true;
  return page;
}

/** Run the newest call only: an older one still under way is aborted. */
function latestOnly(work) {
  let controller = null;
  return async () => {
    controller?.abort();
    controller = new AbortController();
    const { signal } = controller;
    try {
      await work(signal);
    } catch (problem) {
      if (!signal.aborted) throw problem;
    }
  };
}

async function update(page, signal) {
  const missing = missingRun() ?? (session.steps.length === 0 ? noLabels(session.run) : null);
  fill(page.empty, missing);
  page.node.hidden = missing !== null;
  if (missing) return;
  page.filters.show();
  page.toolbar.show();
  page.gallery.classList.add("busy");
  const question = {
    ...windowQuestion(),
    ...filterQuestion(),
    size: address.get("size") ?? 24,
    pg: address.get("pg"),
  };
  try {
    const answer = await ask(runPath(session.run.run_id, "/labels"), question, { signal });
    if (JSON.stringify(answer) !== JSON.stringify(page.answer)) {
      page.answer = answer;
      showRows(page);
    }
    openFromAddress(page);
  } catch (problem) {
    if (signal.aborted) throw problem;
    page.answer = null;
    fill(page.gallery, notice("These labels cannot be shown", [problem.message]));
  } finally {
    if (!signal.aborted) page.gallery.classList.remove("busy");
  }
}

/** A link may name a label to open: `open=id.image.step`. */
function openFromAddress(page) {
  const [id, image_id, step] = (address.get("open") ?? "").split(".").map(Number);
  if (page.current === null && Number.isFinite(step)) page.open({ id, image_id, step });
}

function showRows(page) {
  const { answer } = page;
  if (!answer) return;
  const whole = address.get("look") === "whole";
  const options = { whole, scores: tileScores(session.run.scores, sortColumn()), onOpen: page.open };
  page.tiles = answer.rows.map((label) =>
    labelTile(session.run.run_id, label, answer.images[label.image_id], options),
  );
  fill(
    page.gallery,
    page.tiles.length
      ? page.tiles
      : notice("Nothing passes these filters", [
          "Take one away, or choose other steps above.",
          address.get("cls") && `Only ${className(address.get("cls"))} is asked for: there is every class above.`,
        ]),
  );
  setText(page.tally, tallyText(answer));
  drawTiles(page.tiles);
  showPager(page);
}

function tallyText({ total, window, selection }) {
  if (selection !== null) return `${plural(total, "label")} of the selection “${selection}”`;
  const first = Math.max(0, window.first);
  const where =
    first === window.last
      ? `step ${count(first)}`
      : `steps ${count(first)} to ${count(window.last)}`;
  return `${plural(total, "label")} of ${where}`;
}

const pageNumber = () => address.getNumber("pg", 1);
const pageSize = () => address.getNumber("size", 24);
const pageCount = (page) => Math.max(1, Math.ceil((page.answer?.total ?? 0) / pageSize()));

function showPager(page) {
  const turn = (delta) => address.change({ pg: pageNumber() + delta });
  const button = (text, delta, allowed) =>
    h(
      "button",
      { type: "button", class: "button", disabled: !allowed, onclick: () => turn(delta) },
      text,
    );
  const last = pageCount(page);
  fill(
    page.pager,
    last === 1
      ? null
      : [
          button("← Previous", -1, pageNumber() > 1),
          h("span", { class: "hint num" }, `page ${count(pageNumber())} of ${count(last)}`),
          button("Next →", 1, pageNumber() < last),
        ],
  );
}

/** The neighbour of the open label, on the next page when this one ends. */
async function move(page, viewer, delta) {
  const rows = page.answer?.rows ?? [];
  const index = rows.findIndex((label) => label.id === page.current) + delta;
  if (rows[index]) return page.open(rows[index]);
  const next = pageNumber() + delta;
  if (next < 1 || next > pageCount(page)) return undefined;
  address.change({ pg: next });
  await page.update();
  const fresh = page.answer?.rows ?? [];
  return fresh.length ? page.open(delta > 0 ? fresh[0] : fresh.at(-1)) : undefined;
}

function close(page) {
  address.note({ open: null, probe: null });
  page.tiles.find((tile) => tile.dataset.label === String(page.current))?.focus();
}

function galleryKey(event, page) {
  if (event.target.closest("input, select, textarea")) return;
  const columns = getComputedStyle(page.gallery).gridTemplateColumns.split(" ").length;
  const delta = {
    ArrowRight: 1,
    j: 1,
    ArrowLeft: -1,
    k: -1,
    ArrowDown: columns,
    ArrowUp: -columns,
  }[event.key];
  if (!delta || event.ctrlKey || event.metaKey || event.altKey) return;
  const now = page.tiles.indexOf(document.activeElement);
  const next = page.tiles[now === -1 ? 0 : now + delta];
  if (!next) return;
  event.preventDefault();
  next.focus();
}
