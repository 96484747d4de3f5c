// The kinds of error, in words first. Colours live in app.css so that both themes can choose.

import { h } from "./dom.js";

export const KINDS = [
  {
    key: "cor",
    code: "Cor",
    name: "Right",
    words: "right class, and the mask covers at least half of the true object",
  },
  {
    key: "loc",
    code: "Loc",
    name: "Badly placed",
    words: "right class, but the mask overlaps the true object by only 10 to 50 %",
  },
  {
    key: "sim",
    code: "Sim",
    name: "Look-alike",
    words: "on a real object, but called by the name of a similar class",
  },
  { key: "oth", code: "Oth", name: "Wrong class", words: "on a real object of an unrelated class" },
  {
    key: "bg",
    code: "BG",
    name: "Nothing there",
    words: "on background: no object overlaps it by 10 %",
  },
  {
    key: "ignored",
    code: "Ign",
    name: "On a crowd",
    words: "on a region marked as crowd; counts neither way",
  },
  { key: "unknown", code: "?", name: "Not judged", words: "there is no truth to compare with" },
];

export const ERROR_KINDS = KINDS.slice(0, 5);
const BY_KEY = Object.fromEntries(KINDS.map((kind) => [kind.key, kind]));

export const kindOf = (key) => BY_KEY[key] ?? BY_KEY.unknown;
export const describe = (kind) => `${kind.name} (${kind.code}): ${kind.words}`;

/** A CSS colour of the theme in use, such as "kind-cor" or "ink". */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--lab-${name}`).trim();
}

export const kindColour = (key) => colour(`kind-${kindOf(key).key}`);

export const RULES = [
  { key: "class_quality", name: "Class too unsure" },
  { key: "mask_quality", name: "Mask too fuzzy" },
  { key: "coupled_score", name: "Score too low" },
  { key: "mask_area", name: "Mask too small" },
  { key: "match_score", name: "Match too poor" },
];

/** What the colours mean. */
export function kindLegend() {
  return h(
    "div",
    { class: "legend" },
    ERROR_KINDS.map((kind) =>
      h(
        "span",
        { title: describe(kind) },
        h("i", { class: "dot", style: { "--tint": `var(--lab-kind-${kind.key})` } }),
        `${kind.name} (${kind.code})`,
      ),
    ),
  );
}
