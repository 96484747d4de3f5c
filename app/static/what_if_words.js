// What a change of thresholds would do, as a sentence. Pure.

import { judged, kept, minus, precision } from "./histogram.js";
import { count, percent, plural } from "./text.js";
import { isCoupled, same, sameForm } from "./what_if_rules.js";

const at = (index) => (index / 100).toFixed(2);

/** now, then: rules (what_if_rules.js). `read` gives the counts that a rule keeps. */
export function sentence(now, then, read) {
  if (same(now, then))
    return "These are the thresholds of this run. Move a slider, or click in the plane, to see what others would have kept.";
  if (!sameForm(now, then)) return contrast(then, read(now), read(then));
  const both = read(meet(now, then));
  const enter = minus(read(then), both);
  const leave = minus(read(now), both);
  return `${capital(movement(now, then))} would ${effect(enter, leave)}.`;
}

/** The pair that both would pass: the higher of each. */
export function meet(a, b) {
  return Object.fromEntries(Object.keys(a).map((name) => [name, Math.max(a[name], b[name])]));
}

/** Two rules of different kind have no threshold in common that was raised or lowered. */
function contrast(then, before, after) {
  const rule = isCoupled(then)
    ? `class × mask is at least ${at(then.coupledIndex)}`
    : `class is at least ${at(then.classIndex)} and mask at least ${at(then.maskIndex)}`;
  return `Keeping labels whose ${rule} would keep ${plural(kept(after), "label")}${rightness(after)}; this run keeps ${count(kept(before))}${rightness(before)}.`;
}

const NAMES = {
  classIndex: "class threshold",
  maskIndex: "mask threshold",
  coupledIndex: "threshold on class × mask",
};

function movement(now, then) {
  const moves = Object.keys(now).filter((name) => now[name] !== then[name]);
  return moves
    .map(
      (name) =>
        `${then[name] < now[name] ? "lowering" : "raising"} the ${NAMES[name]} from ${at(now[name])} to ${at(then[name])}`,
    )
    .join(" and ");
}

function effect(enter, leave) {
  const [more, fewer] = [kept(enter), kept(leave)];
  if (more === 0 && fewer === 0) return "change nothing here";
  if (fewer === 0) return `keep ${plural(more, "more label", "more labels")}${rightness(enter)}`;
  if (more === 0) return `drop ${plural(fewer, "label")}${rightness(leave)}`;
  return `let in ${plural(more, "label")}${rightness(enter)}, and drop ${count(fewer)}${rightness(leave)}`;
}

/** Newly found objects can be fewer than correct labels; a share is only told when it is known. */
function rightness(counts) {
  if (judged(counts) <= 0) return "";
  const share = Math.min(1, Math.max(0, precision(counts)));
  return judged(counts) === 1
    ? share === 1
      ? ", a right one"
      : ", a wrong one"
    : `, ${percent(share)} of them right`;
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
