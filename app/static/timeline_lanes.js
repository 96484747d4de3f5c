// A lane per thing, a cell per frame: when it was seen, how right it was, what happened to it.

import { fill, h } from "./dom.js";
import { kindOf } from "./kinds.js";
import { className } from "./session.js";
import { count, plural } from "./text.js";
import { EVENTS } from "./timeline_words.js";

const MOST_LANES = 60;

/** `onPick(track, frame)`: frame is null when the name of a lane was picked. */
export function buildLanes({ onPick }) {
  const head = h("div", { class: "playhead", "aria-hidden": "true" });
  const rows = h("div", { class: "lane-rows" });
  const node = h("div", { class: "lanes", id: "lanes" }, rows, head);
  node.addEventListener("click", (event) => {
    const lane = event.target.closest("[data-track]");
    if (!lane) return;
    const cell = event.target.closest("[data-frame]");
    onPick(Number(lane.dataset.track), cell ? Number(cell.dataset.frame) : null);
  });
  return { node, rows, head, length: 0 };
}

export function showLanes(lanes, chosen, frames) {
  lanes.length = frames.length;
  lanes.node.style.setProperty("--frames", frames.length);
  const left = chosen.length - MOST_LANES;
  fill(
    lanes.rows,
    axis(frames),
    chosen.slice(0, MOST_LANES).map((thing) => lane(thing, frames)),
    left > 0 ? h("p", { class: "hint" }, `and ${plural(left, "thing")} seen less often`) : null,
  );
}

/** Move the line that says where one is, and mark the lane of a thing. */
export function markLanes(lanes, frame, selected) {
  lanes.node.style.setProperty("--at", lanes.length ? (frame + 0.5) / lanes.length : 0);
  for (const row of lanes.rows.children)
    row.setAttribute("aria-current", String(row.dataset.track === String(selected)));
}

/** The steps of the first and the last frame, over the cells. */
function axis(frames) {
  const ends = [frames.at(0), frames.length > 1 ? frames.at(-1) : undefined].filter(Boolean);
  return h(
    "div",
    { class: "lane-axis num hint" },
    ends.map(({ step }) => h("span", {}, `step ${count(step)}`)),
  );
}

function lane(thing, frames) {
  const names = thing.classes.map((label) => className(label)).join(", ");
  const seen = thing.seen.filter(Boolean).length;
  const words = `seen ${count(seen)} times, kept ${count(thing.kept)}`;
  return h(
    "div",
    { class: "lane", data: { track: thing.track } },
    h("button", { type: "button", class: "lane-name", title: `${names}: ${words}` }, names),
    h(
      "div",
      { class: "lane-cells" },
      frames.map((frame, at) => cell(thing, frame, at)),
    ),
  );
}

function cell(thing, frame, at) {
  const label = thing.seen[at];
  const events = thing.events.filter((one) => one.frame === at).map((one) => one.event);
  const mark = events
    .map((event) => EVENTS[event].mark)
    .join("")
    .slice(0, 1);
  const state = label ? kindOf(label.kind).key : thing.hidden[at] ? "hidden" : "none";
  return h(
    "i",
    {
      data: { frame: at, state, kept: label ? String(label.kept) : null },
      title: cellWords(label, frame, events, thing.hidden[at]),
      style: label ? { "--tint": `var(--lab-kind-${state})` } : null,
    },
    mark || null,
  );
}

function cellWords(label, frame, events, isHidden) {
  const where = `step ${count(frame.step)}`;
  if (!label) return `${where}: ${isHidden ? "outside the view" : "not found"}`;
  const told = events.map((event) => EVENTS[event].name).join(", ");
  const fate = label.kept ? "kept" : `dropped, ${label.why}`;
  return `${where}: ${className(label.label)}, ${kindOf(label.kind).name.toLowerCase()}, ${fate}${told ? `; ${told}` : ""}`;
}
