// Compare: scores beside each other, and configs, of which only what differs is shown at first.

import { valueText } from "./dialogs.js";
import { h } from "./dom.js";
import { ERROR_KINDS } from "./kinds.js";
import { ap, count, percent } from "./text.js";

/** A heading per run in its colour, over rows of [title, hint, value(place)]. */
function table(id, runs, tint, rows, firstHeading) {
  const headings = runs.map((run, place) =>
    h("th", { scope: "col" }, h("span", { class: "run-heading", style: { "--tint": tint(place) } }, h("i", { class: "dot" }), run.name)),
  );
  const body = rows.map(([title, hint, value, key]) =>
    h(
      "tr",
      { data: { key } },
      h("td", { title: hint }, title),
      runs.map((_, place) => h("td", {}, value(place))),
    ),
  );
  return h(
    "div",
    { class: "scroll" },
    h("table", { class: "differences side-by-side", id }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, firstHeading), headings)), h("tbody", {}, body)),
  );
}

export function scoreTable({ runs, scores, kept }, tint) {
  const reported = scores.map((one) => one.teacher ?? one.student ?? null);
  const best = (metric) => (place) => ap(reported[place]?.best[metric]);
  const final = (place) =>
    reported[place] ? `${ap(reported[place].final.AP)} at step ${count(reported[place].final_step)}` : "–";
  const share = (kind) => (place) => {
    const kinds = kept[place].kinds;
    const sum = ERROR_KINDS.reduce((total, one) => total + (kinds[one.key] ?? 0), 0);
    return percent(sum ? (kinds[kind.key] ?? 0) / sum : null);
  };
  const rows = [
    ["Best AP", "The highest of all evaluations", best("AP")],
    ["AP50 there", "At an IoU of 0.5", best("AP50")],
    ["AP75 there", "At an IoU of 0.75", best("AP75")],
    ["AP last", "Of the newest evaluation", final],
    ["Labels kept", "Of the candidates in its last 50 recorded steps", (place) => keptOf(kept[place])],
    ["Precision", "Kept labels that are right", (place) => percent(kept[place].precision)],
    ["Recall", "True objects with a right kept label", (place) => percent(kept[place].recall)],
    ...ERROR_KINDS.map((kind) => [`${kind.name} (${kind.code})`, kind.words, share(kind)]),
  ];
  return table("score-table", runs, tint, rows, "");
}

/** `all`: every key; else only those whose values are not all the same. */
export function configTable({ runs, differences, config, applied }, all, tint) {
  const rows = Object.entries(all ? config : differences).map(([key, values]) => [
    h("code", {}, brokenAtDots(key)),
    null,
    (place) => h("span", { class: key in differences ? "new" : "old" }, has(values[place]) ? valueText(values[place]) : "–"),
    key,
  ]);
  const told = applied.flatMap((changes, place) =>
    changes.map((one) => h("li", {}, h("b", {}, runs[place].name), `, before step ${one.step}: ${changeWords(one.changes)}`)),
  );
  return [
    rows.length ? table("config-table", runs, tint, rows, "value") : h("p", { class: "hint" }, runs.length > 1 ? "These configs do not differ." : "Add a run to see what differs."),
    told.length ? h("div", {}, h("p", { class: "hint" }, "Changed while they trained:"), h("ul", { class: "names" }, told)) : null,
  ];
}

/** On a narrow screen a key goes on in the next line after a dot. */
const brokenAtDots = (key) => key.split(".").flatMap((part, at) => (at ? [".", h("wbr", {}), part] : [part]));

const keptOf = ({ kept, candidates }) => (candidates ? `${count(kept)} of ${count(candidates)}` : "–");

const has = (value) => value !== null && value !== undefined;

const changeWords = (changes) =>
  Object.entries(changes)
    .map(([key, one]) => `${key} ${valueText(one.old)} → ${valueText(one.new)}`)
    .join(", ");
