// The filters beside the gallery. They read and write the URL, nothing else.

import * as address from "./address.js";
import { h, segmented, select } from "./dom.js";
import { describe, KINDS, RULES } from "./kinds.js";

const QUALITIES = [
  ["mask_quality", "mask quality", "How sure the teacher is of the mask's pixels, 0 to 1"],
  ["class_quality", "class quality", "How sure the teacher is of the class, 0 to 1"],
  ["score", "product", "Class quality × mask quality"],
  ["true_iou", "true IoU", "Overlap with the true object, 0 to 1"],
];

export const SORTS = [
  ["mask_quality", "mask quality"],
  ["class_quality", "class quality"],
  ["score", "class × mask quality"],
  ["uncertainty", "pixel uncertainty"],
  ["true_iou", "true overlap (IoU)"],
  ["target_iou", "overlap with its own object"],
  ["mask_score", "mask score of a box"],
  ["box_score", "box score"],
  ["pixel_score", "pixel score"],
  ["area", "mask area"],
  ["step", "step"],
];

/** The filters' part of a question to /lab/runs/{run}/labels. */
export function filterQuestion() {
  return {
    kind: address.getAll("kind"),
    rule: address.getAll("rule"),
    kept: address.get("kept"),
    changed: address.get("changed"),
    range: QUALITIES.map(([column]) => rangeOf(column)).filter((text) => text !== null),
    sort: address.get("sort") ?? "mask_quality",
    desc: address.get("desc") ?? "true",
  };
}

function rangeOf(column) {
  const [low, high] = bounds(column);
  return low || high ? `${column}:${low}:${high}` : null;
}

const bounds = (column) => [...(address.get(column) ?? "").split(".."), "", ""].slice(0, 2);

const change = (changes) => address.change({ ...changes, pg: null });

export function buildFilters() {
  const node = h("aside", { class: "side card", "aria-label": "Filters" });
  const build = () =>
    node.replaceChildren(
      keptFilter(),
      kindFilter(),
      ruleFilter(),
      changedFilter(),
      rangeFilter(),
      clearButton(build),
    );
  build();
  return node;
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

function changedFilter() {
  const box = h("input", {
    type: "checkbox",
    checked: address.get("changed") === "true",
    onchange: () => change({ changed: box.checked ? "true" : null }),
  });
  return group("Correction", h("label", { class: "check" }, box, "class was changed by CLIP"));
}

function rangeFilter() {
  return group(
    "Scores between",
    QUALITIES.map(([column, text, title]) => {
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
      ...Object.fromEntries(QUALITIES.map(([column]) => [column, null])),
    });
    rebuild();
  };
  return h("button", { type: "button", class: "button", onclick: clear }, "Clear filters");
}

/** What to sort by, which end first, how to show and how many. */
export function buildToolbar(onLook) {
  const sort = select("Sort by", SORTS, address.get("sort") ?? "mask_quality", (value) =>
    change({ sort: value }),
  );
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
  return h(
    "div",
    { class: "toolbar" },
    h("label", { class: "field" }, h("span", {}, "Sort by"), sort),
    order,
    look,
    size,
  );
}
