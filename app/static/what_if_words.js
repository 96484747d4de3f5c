// What a change of thresholds would do, as a sentence. Pure.

import { judged, kept, meanIou, minus, precision } from "./histogram.js";
import { count, isNumber, percent, plural, score } from "./text.js";
import { dropsNothing, isCoupled, same, sameForm } from "./what_if_rules.js";

const at = (index) => (index / 100).toFixed(2);

/** now, then: rules (what_if_rules.js) on `axes`. `read` gives the counts that a rule keeps. */
export function sentence(now, then, read, axes) {
  if (same(now, then)) return unmoved(now, axes);
  if (!sameForm(now, then)) return contrast(then, read(now), read(then), axes);
  const both = read(meet(now, then));
  const enter = minus(read(then), both);
  const leave = minus(read(now), both);
  return `${capital(movement(now, then, axes))} would ${effect(enter, leave)}.${fit(read(now), read(then))}`;
}

function unmoved(now, axes) {
  const move = "Move a slider, or click in the plane, to see what";
  return dropsNothing(now, axes)
    ? `This run drops nothing by these scores. ${move} thresholds on them would have kept.`
    : `These are the thresholds of this run. ${move} others would have kept.`;
}

/** How well all that is kept would fit, where masks were made from boxes. */
function fit(before, after) {
  const [was, would] = [score(meanIou(before)), score(meanIou(after))];
  if (!isNumber(meanIou(before)) || !isNumber(meanIou(after)) || was === would) return "";
  return ` The mean true IoU of what is kept would ${meanIou(after) > meanIou(before) ? "rise" : "fall"} from ${was} to ${would}.`;
}

/** The pair that both would pass: the higher of each. */
export function meet(a, b) {
  return Object.fromEntries(Object.keys(a).map((name) => [name, Math.max(a[name], b[name])]));
}

/** Two rules of different kind have no threshold in common that was raised or lowered. */
function contrast(then, before, after, { x, y }) {
  const rule = isCoupled(then)
    ? `${x.short} × ${y.short} is at least ${at(then.coupledIndex)}`
    : `${x.short} is at least ${at(then.xIndex)} and ${y.short} at least ${at(then.yIndex)}`;
  return `Keeping labels whose ${rule} would keep ${plural(kept(after), "label")}${rightness(after)}; this run keeps ${count(kept(before))}${rightness(before)}.`;
}

function movement(now, then, { x, y }) {
  const names = {
    xIndex: `${x.short} threshold`,
    yIndex: `${y.short} threshold`,
    coupledIndex: `threshold on ${x.short} × ${y.short}`,
  };
  const moves = Object.keys(now).filter((name) => now[name] !== then[name]);
  return moves
    .map(
      (name) =>
        `${then[name] < now[name] ? "lowering" : "raising"} the ${names[name]} from ${at(now[name])} to ${at(then[name])}`,
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

/**
 * A share is only told when it is known. Of masks made from boxes nearly all are right: there it
 * is told how well they fit.
 */
function rightness(counts) {
  if (isNumber(meanIou(counts)))
    return `, with a ${counts.known === 1 ? "" : "mean "}true IoU of ${score(meanIou(counts))}`;
  if (judged(counts) <= 0) return "";
  const share = precision(counts);
  return judged(counts) === 1
    ? share === 1
      ? ", a right one"
      : ", a wrong one"
    : `, ${percent(share)} of them right`;
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
