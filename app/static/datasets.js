// What runs learn from and are judged on: images, splits, classes, and what is odd about them.

import * as address from "./address.js";
import { fill, h, select } from "./dom.js";
import { ask } from "./http.js";
import { notice } from "./notices.js";
import { sortable } from "./sorted_table.js";
import { count, percent, plural } from "./text.js";

const ROWS = 400;

/** The section; it fills itself and follows the address (`data`). */
export function datasets() {
  const node = h("div", { class: "rows", id: "datasets" });
  const draw = () => load(node).catch((problem) => fill(node, failed(problem)));
  address.onChange((names) => names.includes("data") && draw());
  draw();
  return node;
}

async function load(node) {
  const list = (await ask("datasets")).datasets;
  if (list.length === 0) return fill(node, none());
  const wanted = address.get("data") ?? list[0].key;
  const told = await ask(`datasets/${encodeURIComponent(wanted)}`);
  return fill(node, choice(list, told), tiles(told), cards(told));
}

const none = () =>
  notice(
    "No data yet",
    ["Data appear here with the first run that uses them. Files can be examined before:"],
    "seglab data check instances.json images/",
  );

const failed = (problem) => notice("These data cannot be shown", [problem.message]);

function choice(list, told) {
  const options = list.map((one) => [
    one.key,
    `${one.name}: ${plural(one.train.images, "training image")}, ${count(one.val.images)} for validation, ${plural(one.runs.length, "run")}`,
  ]);
  const pick = select("Data", options, told.key, (key) => address.change({ data: key }));
  return h("div", { class: "toolbar" }, h("label", { class: "field report-choice" }, h("span", {}, "Data"), pick));
}

function tiles({ train, val, classes, splits }) {
  const numbers = [
    ["images", count(train.images), `training images, ${sides(train)}`],
    ["objects", count(train.objects), `objects in them, ${perImage(train)} per image`],
    ["classes", count(classes.length), classes.length === 1 ? "class" : "classes"],
    ["val", count(val.images), `validation images with ${plural(val.objects, "object")}`],
    ...splits.slice(0, 3).map((split, at) => [
      `split-${at}`,
      count(split.images),
      `images labelled: ${percent(split.fraction, split.fraction < 0.1 ? 1 : 0)}, seed ${split.seed}, in ${plural(split.runs, "run")}`,
    ]),
  ];
  const tile = ([name, big, label]) =>
    h(
      "div",
      { class: "card tile-number" },
      h("div", { class: "big", id: `data-${name}` }, big),
      h("div", { class: "label" }, label),
    );
  return h("div", { class: "tiles" }, numbers.map(tile));
}

const perImage = ({ objects, images }) => (images > 0 ? (objects / images).toFixed(1) : "0");
const range = ([low, high]) => (low === high ? count(low) : `${count(low)} to ${count(high)}`);
const sides = ({ widths, heights }) => `${range(widths)} × ${range(heights)} pixels`;

function cards(told) {
  return h(
    "div",
    { class: "charts" },
    card(
      "Class by class",
      told.classes.length > ROWS
        ? `The ${ROWS} classes with the most objects, of ${count(told.classes.length)}.`
        : "How many objects of each class the training images show; without crowds.",
      h("div", { class: "scroll" }, classTable(told)),
    ),
    h("div", { class: "rows" }, findingsCard(told), sizesCard(told)),
  );
}

function classTable({ classes }) {
  const most = Math.max(1, ...classes.map((one) => one.objects));
  const shown = classes.toSorted((a, b) => b.objects - a.objects).slice(0, ROWS);
  return sortable("data-classes", columns(most), shown, "objects");
}

const columns = (most) => [
  { key: "name", title: "Class", value: (one) => one.name.toLowerCase(), cell: nameCell },
  { key: "objects", title: "Training objects", value: (one) => one.objects, cell: (one) => bar(one.objects, most) },
  numberColumn("images", "In images", "Training images that show one"),
  numberColumn("val_objects", "Validation", "Objects in validation images"),
];

const numberColumn = (key, title, hint) => ({
  key,
  title,
  hint,
  right: true,
  value: (one) => one[key],
  cell: (one) => h("span", { class: "num" }, count(one[key])),
});

const nameCell = (one) =>
  h("div", {}, h("span", { class: "name" }, one.name), h("div", { class: "sub" }, one.supercategory));

const bar = (value, most) =>
  h(
    "div",
    { class: "share" },
    h("div", { class: "track" }, h("i", { style: { "--share": value / most } })),
    h("span", { class: "num" }, count(value)),
  );

function findingsCard({ findings, check }) {
  const lines = findings.map(({ severity, words }) =>
    h("li", { data: { severity } }, severity === "warning" ? h("b", {}, "Warning: ") : null, `${words}.`),
  );
  return card(
    "What is odd",
    "What runs recorded of these data, looked over.",
    lines.length
      ? h("ul", { class: "findings", id: "data-findings" }, lines)
      : h("p", { id: "data-findings" }, "Nothing: every class is taught and judged, every image shows an object with a mask."),
    check ? [h("p", { class: "hint" }, "Examine the files themselves:"), h("pre", { class: "command" }, check)] : null,
  );
}

function sizesCard({ train, val }) {
  const rows = Object.keys(train.sizes).map((name) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      ...[train, val].map((part) =>
        h("td", { class: "right num" }, `${count(part.sizes[name])} (${percent(part.sizes[name] / part.objects)})`),
      ),
    ),
  );
  const heads = ["size", "training", "validation"];
  const head = heads.map((one, at) => h("th", { scope: "col", class: at > 0 ? "right" : null }, one));
  return card(
    "Small and large objects",
    "By mask pixels, as COCO counts them: small is below 32², large from 96² on.",
    h("table", { class: "groups", id: "data-sizes" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)),
  );
}

const card = (title, hint, ...content) =>
  h("section", { class: "card" }, h("h2", {}, title), h("p", { class: "hint" }, hint), content);
