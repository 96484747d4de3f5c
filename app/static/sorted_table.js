// A table whose headings sort it.

import { fill, h } from "./dom.js";

/**
 * columns: {key, title, value(row), cell(row), hint?, right?}. Rows without a value come last either
 * way. The first click on a number sorts the largest first, on text A to Z.
 */
export function sortable(id, columns, rows, sort, desc = true) {
  const view = { sort, desc };
  const table = h("table", { class: "runs scores", id });
  const draw = () => {
    const column = columns.find((one) => one.key === view.sort);
    const body = sorted(rows, column.value, view.desc).map((row) =>
      h(
        "tr",
        {},
        columns.map((one) => h("td", { class: one.right ? "right" : null }, one.cell(row))),
      ),
    );
    fill(table, heading(columns, view, pick), h("tbody", {}, body));
  };
  const pick = (column) => {
    const isText = typeof column.value(rows[0]) === "string";
    view.desc = view.sort === column.key ? !view.desc : !isText;
    view.sort = column.key;
    draw();
    table.querySelector(`[data-sort="${column.key}"]`)?.focus();
  };
  draw();
  return table;
}

function heading(columns, view, onPick) {
  const cells = columns.map((column) => {
    const order = view.sort !== column.key ? null : view.desc ? "descending" : "ascending";
    const button = h(
      "button",
      {
        type: "button",
        title: column.hint,
        data: { sort: column.key },
        onclick: () => onPick(column),
      },
      column.title,
    );
    return h("th", { class: column.right ? "right" : null, scope: "col", "aria-sort": order }, button);
  });
  return h("thead", {}, h("tr", {}, cells));
}

function sorted(rows, value, desc) {
  const missing = (row) => value(row) === null || value(row) === undefined;
  const compare = (a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0);
  return rows.toSorted((a, b) => missing(a) - missing(b) || (desc ? -1 : 1) * compare(a, b));
}
