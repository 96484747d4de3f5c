// Runs: a table that sorts and filters in the browser and refreshes itself.

import * as address from "./address.js";
import { fill, h, segmented } from "./dom.js";
import { childCounts, roots, treeOrder } from "./lineage.js";
import { notice, noRuns } from "./notices.js";
import { keepSizes, sizeOf, sizeParts, sizeText } from "./run_sizes.js";
import { bulkBar } from "./runs_acts.js";
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
    hint: "Average precision of the masks on the validation images, 0 to 100; the teacher's where there is one",
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
    key: "size",
    title: "Size",
    hint: "What the run takes on disk: labels, masks, checkpoints and other files; seglab gc gives space back",
    right: true,
    value: (run) => sizeOf(run)?.total,
    cell: sizeCell,
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
    family: address.get("family"),
    chosen: new Set(),
  };
  const set = (changes) => {
    Object.assign(view, changes);
    address.change({
      q: view.search,
      status: view.status,
      sort: view.sort,
      desc: view.desc ? null : "0",
      family: view.family,
    });
    draw();
  };
  const bulk = bulkBar(view.chosen, () => draw());
  const family = h("span", {});
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
      family,
      h("a", { class: "button primary push", href: "/launch" }, "New run"),
    ),
    bulk.node,
    body,
  );
  const empty = h("div", {});
  element.append(empty, page);
  const draw = () => {
    page.hidden = session.runs.length === 0;
    fill(empty, emptyState());
    const shown = shownRuns(view);
    fill(family, view.family && familyChip(() => set({ family: null })));
    tally.textContent = `${shown.length} of ${session.runs.length}`;
    bulk.show();
    redraw(body, shown, view, {
      onSort: (key) => set({ sort: key, desc: view.sort === key ? !view.desc : key !== "name" }),
      onFamily: (id) => set({ family: id }),
      onChoose: (ids, isChosen) => {
        for (const id of ids) isChosen ? view.chosen.add(id) : view.chosen.delete(id);
        draw();
      },
    });
  };
  listen((reason) => reason === "address" || draw());
  keepSizes(draw);
}

function emptyState() {
  if (session.error) return notice("The store cannot be read", [session.error]);
  return session.overview && session.runs.length === 0 ? noRuns(session.overview) : null;
}

/** [{run, depth}]: one family as a tree, or all runs in the order that was asked for. */
function shownRuns(view) {
  const found = session.runs.filter((run) => matches(run, view));
  if (!view.family) return sorted(found, view).map((run) => ({ run, depth: 0 }));
  const rootOf = roots(session.runs);
  const root = rootOf.get(view.family);
  return treeOrder(found.filter((run) => rootOf.get(run.run_id) === root));
}

const familyChip = (onClear) =>
  h(
    "button",
    { type: "button", class: "chip", "aria-pressed": "true", id: "family", onclick: onClear },
    "one family of forks ✕",
  );

/** The table again, unless nothing in it changed; the focused row stays focused. */
function redraw(body, shown, view, on) {
  const state = [...view.chosen].sort();
  const sizes = shown.map(({ run }) => sizeOf(run));
  const signature = JSON.stringify([shown, sizes, view, state, Math.floor(Date.now() / 30000)]);
  if (body.dataset.signature === signature) return;
  body.dataset.signature = signature;
  const { run: focused, choose } = document.activeElement?.dataset ?? {};
  const children = childCounts(session.runs);
  const rows = shown.map(({ run, depth }) => row(run, depth, view, children.get(run.run_id), on));
  fill(body, h("table", { class: "runs" }, header(view, shown, on), h("tbody", {}, rows)));
  if (focused) body.querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus();
  if (choose) body.querySelector(`[data-choose="${CSS.escape(choose)}"]`)?.focus();
}

function header(view, shown, on) {
  const ids = shown.map(({ run }) => run.run_id);
  const all = ids.length > 0 && ids.every((id) => view.chosen.has(id));
  const cells = COLUMNS.map((column) => {
    const order = view.sort !== column.key ? null : view.desc ? "descending" : "ascending";
    const button = h(
      "button",
      { type: "button", title: column.hint, onclick: () => on.onSort(column.key) },
      column.title,
    );
    return h(
      "th",
      { class: column.right ? "right" : null, scope: "col", "aria-sort": view.family ? null : order },
      button,
    );
  });
  const box = chooseBox("all", "Choose all that are shown", all, (is) => on.onChoose(ids, is));
  return h("thead", {}, h("tr", {}, h("th", { class: "choose", scope: "col" }, box), cells));
}

function chooseBox(key, label, checked, onChange) {
  const box = h("input", {
    type: "checkbox",
    "aria-label": label,
    title: label,
    data: { choose: key },
    onchange: () => onChange(box.checked),
  });
  box.checked = checked;
  return h("label", { class: "choose-box", onclick: (event) => event.stopPropagation() }, box);
}

function row(run, depth, view, children, on) {
  const open = () =>
    location.assign(address.link("/live", { run: run.run_id, it: null, cls: null }));
  const cells = COLUMNS.map((column) =>
    h("td", { class: column.right ? "right" : null }, column.cell(run, { depth, children, on })),
  );
  const box = chooseBox(run.run_id, `Choose ${run.name}`, view.chosen.has(run.run_id), (is) =>
    on.onChoose([run.run_id], is),
  );
  const onKey = (event) => event.key === "Enter" && event.target.dataset.run && open();
  return h(
    "tr",
    { tabindex: 0, data: { run: run.run_id }, onclick: open, onkeydown: onKey },
    h("td", { class: "choose" }, box),
    cells,
  );
}

function nameCell(run, { depth, children, on }) {
  const link = h(
    "a",
    {
      class: "name",
      href: address.link("/live", { run: run.run_id, it: null, cls: null }),
      tabindex: -1,
    },
    run.name,
  );
  return h(
    "div",
    { class: depth ? "forked" : null, style: { "--depth": depth } },
    link,
    h("div", { class: "sub" }, run.run_id),
    lineage(run, children, on),
  );
}

/** Where a run comes from and what was forked from it; either leads to the whole family. */
function lineage(run, children, { onFamily }) {
  const parent = session.runs.find((one) => one.run_id === run.parent_run_id);
  const from = run.parent_run_id
    ? `from ${parent?.name ?? run.parent_run_id} at step ${count(run.parent_step)}`
    : null;
  const forks = children ? plural(children, "fork") : null;
  const words = [from, forks].filter(Boolean).join(", ");
  if (!words) return null;
  const show = (event) => {
    event.stopPropagation();
    onFamily(run.run_id);
  };
  const title = `${words}: show the family of these forks`;
  const link = h("button", { type: "button", class: "link", title, onclick: show }, words);
  return h("div", { class: "sub lineage" }, link);
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

/** As wide before the size is known as after: nothing moves when it comes. */
function sizeCell(run) {
  const size = sizeOf(run);
  return h("span", { class: "num size", title: sizeParts(size) }, sizeText(size));
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
