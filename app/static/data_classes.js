// How often each class occurs in each part of the data.

import * as address from "./address.js";
import { partTitle } from "./data_parts.js";
import { h } from "./dom.js";
import { session } from "./session.js";
import { sortable } from "./sorted_table.js";
import { count, percent, plural } from "./text.js";

const MOST_NAMED = 6;

export function classCard({ parts, classes }) {
  const columns = [nameColumn(parts), ...parts.map((part) => partColumn(part, classes))];
  const hint =
    "Objects of each class, crowds left out. A bar is as long as the class is frequent among its column's classes." +
    (hasLabels() ? " A class opens its pseudo-labels." : "");
  return h(
    "section",
    { class: "card", id: "class-frequencies" },
    h("h2", {}, "Class frequencies"),
    h("p", { class: "hint" }, hint),
    warnings(parts, classes),
    classes.length
      ? h("div", { class: "scroll class-scroll" }, sortable("run-classes", columns, classes, parts[0].name))
      : h("p", {}, "This run knows of no class."),
  );
}

const hasLabels = () => session.run.lately !== null;

/** Parts without which a class cannot be learnt, or is never measured. */
const matters = ({ name, use, images }) => images > 0 && (name === "val" || use === "masks" || use === "boxes");

const absentFrom = (one, parts) => parts.filter((part) => matters(part) && one.objects[part.name] === 0);

function warnings(parts, classes) {
  const lines = parts.filter(matters).map((part) => {
    const absent = classes.filter((one) => one.objects[part.name] === 0);
    if (absent.length === 0) return null;
    const more = absent.length > MOST_NAMED ? ` and ${count(absent.length - MOST_NAMED)} more` : "";
    const names = absent.slice(0, MOST_NAMED).map(({ name }) => h("bdi", {}, name));
    const listed = names.flatMap((name, at) => (at ? [", ", name] : [name]));
    const what = absent.length === 1 ? "class has" : "classes have";
    return h(
      "p",
      { class: "warning starved", data: { absent: part.name } },
      `${count(absent.length)} ${what} ${consequence(part)}: `,
      listed,
      more,
    );
  });
  return h("div", {}, lines);
}

const consequence = ({ name, use }) =>
  name === "val"
    ? "no object among the validation images, so no AP"
    : use === "boxes"
      ? "no box to learn from"
      : "no labelled object to learn from";

const nameColumn = (parts) => ({
  key: "name",
  title: "Class",
  value: (one) => one.name.toLowerCase(),
  cell: (one) => {
    const absent = absentFrom(one, parts).map(partTitle);
    const sub = absent.length
      ? h("div", { class: "sub warning" }, `none in: ${absent.join(", ").toLowerCase()}`)
      : h("div", { class: "sub" }, one.supercategory);
    return h("div", {}, nameOf(one), sub);
  },
});

function nameOf({ name, label }) {
  if (!hasLabels()) return h("span", { class: "name", title: name }, name);
  const href = address.link("/labels", { cls: label, it: null, span: 0 });
  return h("a", { class: "name", href, title: `The pseudo-labels of ${name}` }, name);
}

function partColumn(part, classes) {
  const most = Math.max(1, ...classes.map((one) => one.objects[part.name]));
  const isHidden = part.use === "hidden" || part.use === "unused";
  return {
    key: part.name,
    title: isHidden ? `${partTitle(part)}, hidden` : partTitle(part),
    hint: isHidden ? "Truth that the run does not see" : null,
    value: (one) => one.objects[part.name],
    cell: (one) => bar(one.objects[part.name], most, part, isHidden),
  };
}

function bar(number, most, part, isHidden) {
  const share = part.objects ? percent(number / part.objects, 1) : null;
  const words = share ? `${share} of the ${plural(part.objects, "object")}` : "no object";
  return h(
    "div",
    { class: "share", title: words, data: { kind: isHidden ? "hidden" : part.name } },
    h("div", { class: "track" }, h("i", { style: { "--share": number / most } })),
    h("span", { class: "num" }, count(number)),
  );
}
