// The parts of Errors that are tables of links: class by class, class against class, and bins.

import { judgedOf, numberOf } from "./error_charts.js";
import { FATES, fateFilter, labelsLink, rangeFilter } from "./error_links.js";
import { h } from "./dom.js";
import { throughDoor } from "./fiftyone.js";
import { className, session } from "./session.js";
import { count, percent, plural, score as scoreText } from "./text.js";

const MOST_CLASSES = 40;

/** A row per predicted class: its fates as a bar of links, as long as the class has labels. */
export function classBars({ classes, fates, window }) {
  const most = Math.max(1, ...classes.map(({ counts }) => sum(counts)));
  const rows = classes.slice(0, MOST_CLASSES).map(({ label, counts }) => {
    const parts = FATES.filter(({ key }) => numberOf(counts, fates, key) > 0).map((fate) =>
      barPart(fate, numberOf(counts, fates, fate.key), counts, { label, window }),
    );
    return h(
      "div",
      { class: "class-row", data: { label } },
      h("a", { class: "class-name", href: labelsLink(window, { cls: label }) }, className(label)),
      h("div", { class: "class-bar", style: { "--share": sum(counts) / most } }, parts),
      h("span", { class: "num hint" }, rightWords(counts, fates)),
    );
  });
  const left = classes.length - rows.length;
  return h(
    "div",
    { class: "class-rows" },
    rows,
    left > 0
      ? h("p", { class: "hint" }, `and ${plural(left, "class", "classes")} with fewer labels`)
      : null,
  );
}

function barPart(fate, number, counts, { label, window }) {
  const words = `${className(label)}, ${fate.name.toLowerCase()}: ${count(number)} of ${plural(sum(counts), "label")}`;
  return h("a", {
    href: labelsLink(window, { cls: label, ...fateFilter(fate.key) }),
    title: `${words} (${fate.words})`,
    "aria-label": words,
    data: { fate: fate.key },
    style: { "--share": number / sum(counts), "--tint": `var(--lab-kind-${fate.key})` },
  });
}

function rightWords(counts, fates) {
  const judged = judgedOf(counts, fates);
  const right = numberOf(counts, fates, "cor") + numberOf(counts, fates, "again");
  return judged > 0
    ? `${percent(right / judged)} right of ${count(sum(counts))}`
    : count(sum(counts));
}

const sum = (counts) => counts.reduce((all, one) => all + one, 0);

/** Predicted class by row, true class by column, background last; every count is a link. */
/** `door`: an open FiftyOne that cells lead to instead; null = they lead to our labels. */
export function confusionTable({ confusion, window }, door) {
  const { labels, counts, totals, hidden } = confusion;
  if (labels.length === 0)
    return h("p", { class: "hint" }, "None of these labels can be compared with hidden truth.");
  const heads = [...labels.map((label) => className(label)), "nothing"];
  const table = h(
    "table",
    { class: "confusion", id: "confusion" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("td", { class: "corner" }, "called ↓ is →"),
        heads.map((name) => h("th", { scope: "col", title: name }, h("span", {}, name))),
      ),
    ),
    h(
      "tbody",
      {},
      labels.map((label, row) =>
        h(
          "tr",
          {},
          h("th", { scope: "row", title: className(label) }, className(label)),
          counts[row].map((number, column) =>
            cell(number, totals[row], label, labels[column] ?? -1, window, door),
          ),
        ),
      ),
    ),
  );
  return h(
    "div",
    {},
    h("div", { class: "scroll" }, table),
    hidden > 0
      ? h(
          "p",
          { class: "hint" },
          `${plural(hidden, "mistake")} between classes that are not shown; choose a class above to see its own.`,
        )
      : null,
  );
}

function cell(number, total, label, truth, window, door) {
  if (number === 0) return h("td", {}, h("span", { class: "none" }, "·"));
  const what = truth < 0 ? "nothing" : className(truth);
  const words = `called ${className(label)}, lies on ${what}: ${count(number)} of ${plural(total, "label")}`;
  return h(
    "td",
    {},
    h(
      "a",
      {
        ...cellLink(label, truth, window, door),
        title: words,
        "aria-label": words,
        data: { cell: `${label}-${truth}` },
        style: { "--share": number / total, "--tint": `var(--lab-kind-${relation(label, truth)})` },
      },
      count(number),
    ),
  );
}

function cellLink(label, truth, window, door) {
  if (door === null) return { href: labelsLink(window, { cls: label, truth }) };
  const wish = { called: className(label), lies_on: truth < 0 ? null : className(truth) };
  return { href: throughDoor(door, wish), target: "_blank", rel: "noopener" };
}

/** The kind of error of a cell; the diagonal holds right labels and badly placed ones. */
function relation(label, truth) {
  if (truth < 0) return "bg";
  if (label === truth) return "cor";
  const group = (one) => session.run.categories[one]?.supercategory;
  return group(label) && group(label) === group(truth) ? "sim" : "oth";
}

/** The bins of a score as a table: what they mean, and links to their labels. */
export function binTable({ honesty, score, window }, words) {
  const { edges, counts, mean_quality, mean_iou } = honesty.bins;
  const rows = counts
    .map((number, at) => ({ number, at }))
    .filter(({ number }) => number > 0)
    .map(({ number, at }) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, `${scoreText(edges[at])} to ${scoreText(edges[at + 1])}`),
        h(
          "td",
          { class: "right" },
          h(
            "a",
            {
              href: labelsLink(window, rangeFilter(score, edges[at], edges[at + 1])),
              data: { bin: at },
            },
            count(number),
          ),
        ),
        h("td", { class: "right num" }, scoreText(mean_quality[at])),
        h("td", { class: "right num" }, scoreText(mean_iou[at])),
      ),
    );
  return folded(
    "The bins as a table",
    ["between", "labels", `mean ${words}`, "mean true IoU"],
    rows,
    "bins",
  );
}

/** The bars over time as a table, for keyboards and for copying. */
export function historyTable({ stretches, fates }) {
  const shown = FATES.filter(({ key }) =>
    stretches.some(({ counts }) => numberOf(counts, fates, key) > 0),
  );
  const rows = stretches.map((one, row) =>
    h(
      "tr",
      {},
      h(
        "th",
        { scope: "row" },
        one.first === one.last ? count(one.first) : `${count(one.first)} to ${count(one.last)}`,
      ),
      shown.map(({ key }) => {
        const number = numberOf(one.counts, fates, key);
        const link = h(
          "a",
          { href: labelsLink(one, fateFilter(key)), data: { bar: `${row}-${key}` } },
          count(number),
        );
        return h("td", { class: "right" }, number > 0 ? link : h("span", { class: "none" }, "0"));
      }),
    ),
  );
  return folded("The bars as a table", ["steps", ...shown.map(({ name }) => name)], rows, "bars");
}

function folded(summary, heads, rows, id) {
  return h(
    "details",
    { class: "folded", id: `${id}-table` },
    h("summary", {}, summary),
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: "small" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            heads.map((head, at) =>
              h("th", { scope: "col", class: at > 0 ? "right" : null }, head),
            ),
          ),
        ),
        h("tbody", {}, rows),
      ),
    ),
  );
}
