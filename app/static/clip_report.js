// What a CLIP makes of the true objects of a dataset: one report at a time.

import * as address from "./address.js";
import { fill, h, select } from "./dom.js";
import { ask } from "./http.js";
import { notice } from "./notices.js";
import { sortable } from "./sorted_table.js";
import { ago, count, percent } from "./text.js";

const COMMAND =
  "seglab clip-report shapes\nseglab clip-report instances_val.json images/ --model ViT-B-32 --pretrained laion2b_s34b_b79k";

const CLASS_COLUMNS = [
  { key: "name", title: "Class", value: (one) => one.name.toLowerCase(), cell: classCell },
  {
    key: "objects",
    title: "Objects",
    hint: "True objects of this class",
    right: true,
    value: (one) => one.objects,
    cell: (one) => h("span", { class: "num" }, count(one.objects)),
  },
  {
    key: "precision",
    title: "Precision",
    hint: "When CLIP says this class, how often is it?",
    value: (one) => one.precision,
    cell: (one) => share(one.precision, `${count(one.right)} of ${count(one.named)} times right`),
  },
  {
    key: "recall",
    title: "Recall",
    hint: "Of the true objects of this class, how many does CLIP recognise?",
    value: (one) => one.recall,
    cell: (one) => share(one.recall, `${count(one.right)} of ${count(one.judged)} recognised`),
  },
];

const CONFUSION_COLUMNS = [
  {
    key: "truth",
    title: "A true",
    value: (one) => one.truth.toLowerCase(),
    cell: (one) => h("span", {}, one.truth),
  },
  {
    key: "named",
    title: "is taken for",
    value: (one) => one.named.toLowerCase(),
    cell: (one) =>
      h("span", {}, one.named, one.similar ? h("div", { class: "sub" }, "a look-alike") : null),
  },
  {
    key: "count",
    title: "Objects",
    right: true,
    value: (one) => one.count,
    cell: (one) => h("span", { class: "num" }, count(one.count)),
  },
  {
    key: "share",
    title: "Of its class",
    hint: "Share of the true class's objects that this happens to",
    value: (one) => one.share,
    cell: (one) => share(one.share, `${percent(one.share, 1)} of every true ${one.truth}`, "wrong"),
  },
];

/** The section; it fills itself and follows the address (`report`). */
export function clipReports() {
  const node = h("div", { class: "rows", id: "clip-reports" });
  const draw = () => load(node).catch((problem) => fill(node, failed(problem)));
  address.onChange((names) => names.includes("report") && draw());
  draw();
  return node;
}

async function load(node) {
  const { reports, root } = await ask("clip-reports");
  if (reports.length === 0) return fill(node, noReports(root));
  const wanted = address.get("report") ?? reports[0].key;
  const report = await ask(`clip-reports/${encodeURIComponent(wanted)}`);
  return fill(node, choice(reports, report), tiles(report), tables(report));
}

const failed = (problem) => notice("This report cannot be shown", [problem.message]);

const noReports = (root) =>
  notice(
    "No CLIP report yet",
    [`The store in ${root} keeps none. Make one; a real CLIP needs its weights, the tiny one is here:`],
    COMMAND,
  );

function choice(reports, report) {
  const options = reports.map((one) => [
    one.key,
    `${one.clip.model} (${one.clip.pretrained}) on ${one.dataset.name}, ${one.dataset.images} images, ${percent(one.accuracy)} right, ${ago(one.created)}`,
  ]);
  const pick = select("CLIP report", options, report.key, (key) => address.change({ report: key }));
  return h(
    "div",
    { class: "toolbar" },
    h("label", { class: "field report-choice" }, h("span", {}, "Report"), pick),
    h("span", { class: "hint" }, told(report.clip)),
  );
}

/** What CLIP was told of each class. */
function told(clip) {
  const texts = clip.descriptions
    ? "descriptions of each class"
    : clip.templates.map((one) => `“${one}”`).join(", ");
  const margin = clip.margin > 0 ? `, ${percent(clip.margin)} context around each object` : "";
  return `Told: ${texts}${margin}`;
}

function tiles(report) {
  const left = [
    report.unseen ? `${count(report.unseen)} too small` : null,
    report.unknown ? `${count(report.unknown)} of classes it has no word for` : null,
  ].filter(Boolean);
  const judged = `of ${count(report.objects)} objects judged${left.length ? `; ${left.join(", ")}` : ""}`;
  const numbers = [
    ["judged", count(report.judged), judged],
    ["right", percent(report.accuracy, 1), "of the judged objects get their class"],
    ["similar", percent(report.similar_accuracy, 1), "get at least its supercategory"],
    ["precision", percent(report.macro_precision, 1), "precision, mean of the classes it names"],
    ["recall", percent(report.macro_recall, 1), "recall, mean of the classes"],
    ...report.sizes.filter((one) => one.objects > 0).map(sizeNumber),
  ];
  const tile = ([name, big, label]) =>
    h(
      "div",
      { class: "card tile-number" },
      h("div", { class: "big", id: `clip-${name}` }, big),
      h("div", { class: "label" }, label),
    );
  return h("div", { class: "tiles" }, numbers.map(tile));
}

const sizeNumber = ({ size, accuracy, objects }) => [
  size,
  percent(accuracy, 1),
  `right among ${count(objects)} ${size} objects`,
];

function tables(report) {
  const confusions = report.confusions.length
    ? sortable("clip-confusions", CONFUSION_COLUMNS, report.confusions, "count")
    : h("p", { class: "hint" }, "No object was taken for another class.");
  return h(
    "div",
    { class: "charts" },
    card(
      "Class by class",
      "Bars from 0 to 100 %. Sort by a column to find the classes that CLIP cannot correct.",
      sortable("clip-classes", CLASS_COLUMNS, report.classes, "recall", false),
    ),
    card("What is taken for what", "The most frequent mistakes.", confusions),
  );
}

const card = (title, hint, table) =>
  h(
    "section",
    { class: "card" },
    h("h2", {}, title),
    h("p", { class: "hint" }, hint),
    h("div", { class: "scroll" }, table),
  );

function classCell(one) {
  const note = one.known ? one.supercategory : "not in its vocabulary";
  return h("div", {}, h("span", { class: "name" }, one.name), h("div", { class: "sub" }, note));
}

/** A bar with its number; a dash where there is nothing to divide by. */
function share(value, words, kind = "good") {
  return h(
    "div",
    { class: "share", title: value === null ? "never" : words, data: { kind } },
    h("div", { class: "track" }, h("i", { style: { "--share": value ?? 0 } })),
    h("span", { class: "num" }, percent(value, 1)),
  );
}
