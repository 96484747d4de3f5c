// From a count to the labels behind it: every bar, cell and point is an address of Labels.

import * as address from "./address.js";
import { KINDS } from "./kinds.js";

const [RIGHT, ...OTHERS] = KINDS;

/** What can become of a label: its kind, and apart from it right ones whose object is taken. */
export const FATES = [
  RIGHT,
  {
    key: "again",
    code: "Cor",
    name: "Right, again",
    words: "right, but a better label already has this object",
  },
  ...OTHERS,
];

/** Which labels a page is about: "kept" ones unless the address says otherwise. */
export const whose = () => address.get("of") ?? "kept";

const KEPT = { kept: "true", dropped: "false", all: null };
const FATE_FILTERS = {
  cor: { kind: "cor", again: "false" },
  again: { kind: "cor", again: "true" },
};

/** Labels of the steps first..last, narrowed by `filters` of the address of Labels. */
export function labelsLink({ first, last }, filters = {}) {
  const steps = { it: last, span: last - first + 1 };
  return address.link("/labels", { ...steps, kept: KEPT[whose()], ...filters });
}

export const fateFilter = (fate) => FATE_FILTERS[fate] ?? { kind: fate };

/** Labels whose score lies between two numbers, both included. */
export const rangeFilter = (score, low, high) => ({ [score]: `${tidy(low)}..${tidy(high)}` });

const tidy = (edge) => String(Number(edge.toFixed(4)));

/** One label, opened. */
export const openFilter = (id, image, step) => ({ open: `${id}.${image}.${step}` });
