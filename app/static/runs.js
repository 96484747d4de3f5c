// Runs: a table that sorts and filters in the browser and refreshes itself.

import * as address from "./address.js";
import { fill, h, segmented } from "./dom.js";
import { notice, noRuns } from "./notices.js";
import { listen, session } from "./session.js";
import {
  ago,
  ap,
  count,
  DASH,
  duration,
  isNumber,
  latelyWords,
  percent,
  plural,
  progress,
  remaining,
} from "./text.js";

const LATELY = "over the last 50 recorded steps";

const COLUMNS = [
  { key: "name", title: "Run", value: (run) => run.name.toLowerCase(), cell: nameCell },
  { key: "status", title: "Status", value: (run) => run.status, cell: statusCell },
  { key: "progress", title: "Progress", value: progress, cell: progressCell },
  {
    key: "method",
    title: "Method",
    value: (run) => run.method,
    cell: (run) => h("span", {}, run.method, h("div", { class: "sub" }, `on ${run.host}`)),
  },
  {
    key: "dataset",
    title: "Dataset",
    value: (run) => run.dataset,
    cell: (run) => h("span", {}, run.dataset),
  },
  {
    key: "best_ap",
    title: "Best AP",
    hint: "Average precision of the masks on the validation images, 0 to 100",
    right: true,
    value: (run) => run.best_ap,
    cell: apCell,
  },
  {
    key: "kept",
    title: "Kept per image",
    hint: `Pseudo-labels kept per image, ${LATELY}`,
    right: true,
    value: (run) => run.lately?.kept_per_image,
    cell: (run) => latelyCell(run, perImage(run.lately?.kept_per_image)),
  },
  {
    key: "precision",
    title: "Precision",
    hint: `Share of the kept pseudo-labels that are right, against the hidden truth, ${LATELY}`,
    right: true,
    value: (run) => run.lately?.precision,
    cell: (run) => latelyCell(run, percent(run.lately?.precision)),
  },
  {
    key: "created",
    title: "Created",
    value: (run) => run.created,
    cell: (run) => h("span", { class: "hint" }, ago(run.created)),
  },
];

const STATUSES = [
  ["", "all"],
  ["starting,running,stopping", "running"],
  ["finished", "finished"],
  ["failed,stopped,stale", "ended early"],
  ["queued", "queued"],
];

export function mount(element) {
  const view = {
    search: address.get("q") ?? "",
    status: address.get("status") ?? "",
    sort: address.get("sort") ?? "created",
    desc: address.get("desc") !== "0",
  };
  const set = (changes) => {
    Object.assign(view, changes);
    address.change({
      q: view.search,
      status: view.status,
      sort: view.sort,
      desc: view.desc ? null : "0",
    });
    draw();
  };
  const search = h("input", {
    type: "search",
    placeholder: "Find by name or method…",
    title: "Every word has to occur in the name, method, network, dataset or id",
    "aria-label": "Find runs",
    value: view.search,
    oninput: () => set({ search: search.value }),
  });
  const tally = h("span", { class: "hint", id: "runs-tally" });
  const body = h("div", { class: "card table-card" });
  const page = h(
    "div",
    { class: "page" },
    h(
      "div",
      { class: "page-head" },
      h("h1", {}, "Runs"),
      tally,
      h(
        "p",
        { class: "hint" },
        "Each row is one training. Open one to watch it, then see which pseudo-labels its teacher believes in.",
      ),
    ),
    h(
      "div",
      { class: "toolbar" },
      search,
      segmented("Status", STATUSES, view.status, (status) => set({ status })),
    ),
    body,
  );
  const empty = h("div", {});
  element.append(empty, page);
  const draw = () => {
    page.hidden = session.runs.length === 0;
    fill(empty, emptyState());
    const shown = sorted(
      session.runs.filter((run) => matches(run, view)),
      view,
    );
    tally.textContent = `${shown.length} of ${session.runs.length}`;
    redraw(body, shown, view, (key) =>
      set({ sort: key, desc: view.sort === key ? !view.desc : key !== "name" }),
    );
  };
  listen((reason) => reason === "address" || draw());
}

function emptyState() {
  if (session.error) return notice("The store cannot be read", [session.error]);
  return session.overview && session.runs.length === 0 ? noRuns(session.overview) : null;
}

/** The table again, unless nothing in it changed; the focused row stays focused. */
function redraw(body, runs, view, onSort) {
  const signature = JSON.stringify([runs, view, Math.floor(Date.now() / 30000)]);
  if (body.dataset.signature === signature) return;
  body.dataset.signature = signature;
  const focused = document.activeElement?.dataset?.run;
  fill(body, h("table", { class: "runs" }, header(view, onSort), h("tbody", {}, runs.map(row))));
  if (focused) body.querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus();
}

function header(view, onSort) {
  const cells = COLUMNS.map((column) => {
    const order = view.sort !== column.key ? null : view.desc ? "descending" : "ascending";
    const button = h(
      "button",
      { type: "button", title: column.hint, onclick: () => onSort(column.key) },
      column.title,
    );
    return h(
      "th",
      { class: column.right ? "right" : null, scope: "col", "aria-sort": order },
      button,
    );
  });
  return h("thead", {}, h("tr", {}, cells));
}

function row(run) {
  const open = () =>
    location.assign(address.link("/live", { run: run.run_id, it: null, cls: null }));
  const cells = COLUMNS.map((column) =>
    h("td", { class: column.right ? "right" : null }, column.cell(run)),
  );
  const onKey = (event) => event.key === "Enter" && event.target.dataset.run && open();
  return h(
    "tr",
    { tabindex: 0, data: { run: run.run_id }, onclick: open, onkeydown: onKey },
    cells,
  );
}

function nameCell(run) {
  const link = h(
    "a",
    {
      class: "name",
      href: address.link("/live", { run: run.run_id, it: null, cls: null }),
      tabindex: -1,
    },
    run.name,
  );
  const parent = run.parent_run_id
    ? `, from ${run.parent_run_id} at step ${count(run.parent_step)}`
    : "";
  return h("div", {}, link, h("div", { class: "sub" }, `${run.run_id}${parent}`));
}

function statusCell(run) {
  const status = h(
    "span",
    { class: "status", data: { status: run.status }, title: run.error },
    run.status,
  );
  if (!run.alerts?.length) return status;
  const told = run.alerts.map((alert) => alert.message).join("\n");
  return h("div", {}, status, h("div", { class: "sub", title: told }, plural(run.alerts.length, "alert")));
}

function progressCell(run) {
  const left = remaining(run);
  const text = `${count(run.done)} of ${count(run.max_steps)}${isNumber(left) ? `, ${duration(left)} left` : ""}`;
  return h(
    "div",
    { title: text },
    h("div", { class: "progress" }, h("i", { style: { "--share": progress(run) } })),
    h("div", { class: "sub num" }, text),
  );
}

const perImage = (value) => (isNumber(value) ? value.toFixed(1) : DASH);

/** A number of what a run kept lately, which says of how many steps it is. */
function latelyCell({ lately }, text) {
  return h("span", { class: "num", title: lately && latelyWords(lately) }, text);
}

function apCell(run) {
  return h(
    "span",
    { class: "num", title: run.best_ap_model ? `by the ${run.best_ap_model}` : null },
    ap(run.best_ap),
  );
}

function matches(run, { search, status }) {
  const text = `${run.name} ${run.method} ${run.host} ${run.dataset} ${run.run_id}`.toLowerCase();
  const words = search.toLowerCase().split(/\s+/);
  return (
    words.every((word) => text.includes(word)) &&
    (status === "" || status.split(",").includes(run.status))
  );
}

/** Sorted by a column; runs without a value come last either way. */
function sorted(runs, { sort, desc }) {
  const { value } = COLUMNS.find((column) => column.key === sort) ?? COLUMNS.at(-1);
  const missing = (run) => value(run) === null || value(run) === undefined;
  const compare = (a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0);
  return runs.toSorted((a, b) => missing(a) - missing(b) || (desc ? -1 : 1) * compare(a, b));
}
