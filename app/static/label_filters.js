// The filters beside the gallery. They read and write the URL, nothing else.

import * as address from "./address.js";
import { fill, h, segmented, select, setOptions } from "./dom.js";
import { describe, KINDS, RULES } from "./kinds.js";
import { session } from "./session.js";

/** Every tile has them; they are no score of a label. */
const PLAIN_SORTS = [
  ["area", "mask area"],
  ["step", "step"],
];

/** COCO's sizes by mask pixels: [least, most], as in what_if_groups.js. */
const SIZES = {
  small: { areas: [null, 1023], title: "Below 32 × 32 pixels" },
  medium: { areas: [1024, 9215], title: "From 32 × 32 to below 96 × 96 pixels" },
  large: { areas: [9216, null], title: "96 × 96 pixels or more" },
};

/** What labels of this run can be filtered by: scores from 0 to 1 that they have. */
const ranged = () => session.run.scores.filter((one) => one.is_share && one.name !== "uncertainty");

/** What they can be sorted by. */
const sorts = () => [...session.run.scores.map(({ name, words }) => [name, words]), ...PLAIN_SORTS];

/** The score that is asked for, or the one that this run's method trusts its masks by. */
export function sortColumn() {
  const names = sorts().map(([name]) => name);
  const wanted = [address.get("sort"), "mask_score", "mask_quality"];
  return wanted.find((name) => names.includes(name)) ?? names[0];
}

/** The filters' part of a question to /lab/runs/{run}/labels. */
export function filterQuestion() {
  const [min_area, max_area] = SIZES[address.get("masks")]?.areas ?? [null, null];
  return {
    min_area,
    max_area,
    before: session.run.corrects ? address.get("was") : null,
    kind: address.getAll("kind"),
    rule: address.getAll("rule"),
    kept: address.get("kept"),
    changed: session.run.corrects ? address.get("changed") : null,
    duplicate: address.get("again"),
    truth: address.get("truth"),
    image: address.get("image"),
    selection: address.get("selection"),
    range: ranged()
      .map(({ name }) => rangeOf(name))
      .filter((text) => text !== null),
    sort: sortColumn(),
    desc: address.get("desc") ?? "true",
  };
}

function rangeOf(column) {
  const [low, high] = bounds(column);
  return low || high ? `${column}:${low}:${high}` : null;
}

const bounds = (column) => [...(address.get(column) ?? "").split(".."), "", ""].slice(0, 2);

const change = (changes) => address.change({ ...changes, pg: null });

/** `show()` fits them to the run: called often, it builds them anew only for other scores. */
export function buildFilters() {
  const node = h("aside", { class: "side card", "aria-label": "Filters" });
  const build = () =>
    fill(
      node,
      keptFilter(),
      kindFilter(),
      truthFilter(),
      againFilter(),
      sizeFilter(),
      imageFilter(),
      selectionFilter(),
      rangeFilter(),
      ruleFilter(),
      correctionFilter(),
      clearButton(build),
    );
  return { node, show: whenScoresChange(build) };
}

/** Calls `build` at first, and whenever the run in view has other scores than before. */
function whenScoresChange(build) {
  let shown = null;
  return () => {
    const { scores, categories, corrects } = session.run;
    const now = JSON.stringify([scores, categories, corrects]);
    if (now === shown) return;
    shown = now;
    build();
  };
}

function group(title, ...content) {
  return h("div", { class: "filter" }, h("span", { class: "title" }, title), content);
}

function keptFilter() {
  const options = [
    ["", "all"],
    ["true", "kept"],
    ["false", "dropped"],
  ];
  return group(
    "Kept for training?",
    segmented("Kept for training?", options, address.get("kept") ?? "", (kept) => change({ kept })),
  );
}

function kindFilter() {
  const chips = KINDS.filter((kind) => kind.key !== "ignored").map((kind) =>
    chip("kind", kind.key, kind.name, describe(kind), `var(--lab-kind-${kind.key})`),
  );
  return group("Right or wrong (against hidden truth)", h("div", { class: "chips" }, chips));
}

/** The object that decided whether a label is right; -1 is none. */
function truthFilter() {
  const classes = session.run.categories.map(({ name }, label) => [String(label), name]);
  const options = [["", "anything"], ["-1", "nothing (background)"], ...classes];
  const pick = select("Lies on", options, address.get("truth") ?? "", (truth) => change({ truth }));
  return group("Lies on", pick);
}

function againFilter() {
  const options = [
    ["", "all"],
    ["false", "first"],
    ["true", "again", "Right, but a better label already has this object"],
  ];
  const pick = (again) => change({ again });
  return group("First on its object?", segmented("First?", options, address.get("again") ?? "", pick));
}

function sizeFilter() {
  const sizes = Object.entries(SIZES).map(([name, { title }]) => [name, name, title]);
  const pick = (masks) => change({ masks });
  const now = address.get("masks") ?? "";
  return group("Mask size", segmented("Mask size", [["", "all"], ...sizes], now, pick));
}

const imageFilter = () => linkedFilter("image");

const selectionFilter = () => linkedFilter("selection");

/** Only where a link came with one: nobody knows these ids by heart. */
function linkedFilter(parameter) {
  const value = address.get(parameter);
  if (value === null) return null;
  const clear = () => {
    change({ [parameter]: null });
    node.remove();
  };
  const text = `${parameter} ${value} ×`;
  const button = h("button", { type: "button", class: "chip", onclick: clear }, text);
  const node = group("Only of", button);
  return node;
}

function ruleFilter() {
  return group(
    "Dropped because",
    h(
      "div",
      { class: "chips" },
      RULES.map((rule) => chip("rule", rule.key, rule.name)),
    ),
  );
}

function chip(parameter, value, text, title, tint) {
  const isOn = () => address.getAll(parameter).includes(value);
  const toggle = () => {
    const others = address.getAll(parameter).filter((one) => one !== value);
    change({ [parameter]: isOn() ? others : [...others, value] });
    button.setAttribute("aria-pressed", String(isOn()));
  };
  const dot = tint ? h("i", { class: "dot", style: { "--tint": tint } }) : null;
  const button = h(
    "button",
    {
      type: "button",
      class: "chip",
      title,
      "aria-pressed": String(isOn()),
      data: { filter: `${parameter}-${value}` },
      onclick: toggle,
    },
    dot,
    text,
  );
  return button;
}

/** What correction did: nothing can be asked of a run whose method corrects no class. */
function correctionFilter() {
  const title = "Class before correction";
  if (!session.run.corrects)
    return group(title, h("span", { class: "hint" }, "This run's method corrects no classes."));
  const box = h("input", {
    type: "checkbox",
    checked: address.get("changed") === "true",
    onchange: () => change({ changed: box.checked ? "true" : null }),
  });
  const classes = session.run.categories.map(({ name }, label) => [String(label), name]);
  const options = [["", "any class"], ...classes];
  const pick = select("Before correction", options, address.get("was") ?? "", (was) => change({ was }));
  return group(title, pick, h("label", { class: "check" }, box, "class was changed by CLIP"));
}

function rangeFilter() {
  return group(
    "Scores between",
    ranged().map(({ name: column, words: text, about: title }) => {
      const [low, high] = bounds(column);
      const input = (value, name) =>
        h("input", {
          type: "number",
          min: 0,
          max: 1,
          step: 0.01,
          value,
          "aria-label": `${name} ${text}`,
          onchange: () => write(),
        });
      const from = input(low, "least");
      const to = input(high, "most");
      const write = () =>
        change({ [column]: from.value || to.value ? `${from.value}..${to.value}` : null });
      return h("div", { class: "range", title }, text, from, "–", to);
    }),
  );
}

function clearButton(rebuild) {
  const clear = () => {
    change({
      kind: null,
      rule: null,
      kept: null,
      changed: null,
      was: null,
      masks: null,
      again: null,
      truth: null,
      image: null,
      selection: null,
      ...Object.fromEntries(ranged().map(({ name }) => [name, null])),
    });
    rebuild();
  };
  return h("button", { type: "button", class: "button", onclick: clear }, "Clear filters");
}

/** What to sort by, which end first, how to show and how many. `show()` as of the filters. */
export function buildToolbar(onLook) {
  const sort = select("Sort by", [], "", (value) => change({ sort: value }));
  const order = segmented(
    "Order",
    [
      ["true", "highest first"],
      ["false", "lowest first"],
    ],
    address.get("desc") ?? "true",
    (desc) => change({ desc }),
  );
  const look = segmented(
    "Show",
    [
      ["", "crop"],
      ["whole", "whole image"],
    ],
    address.get("look") ?? "",
    (value) => {
      address.change({ look: value });
      onLook();
    },
  );
  const size = select(
    "Per page",
    [
      ["24", "24 per page"],
      ["48", "48 per page"],
      ["60", "60 per page"],
    ],
    address.get("size") ?? "24",
    (value) => change({ size: value }),
  );
  const node = h(
    "div",
    { class: "toolbar" },
    h("label", { class: "field" }, h("span", {}, "Sort by"), sort),
    order,
    look,
    size,
  );
  return { node, show: () => setOptions(sort, sorts(), sortColumn()) };
}
