// Compare: two to four runs side by side.

import * as address from "./address.js";
import { buildCurves } from "./compare_curves.js";
import { buildImages } from "./compare_images.js";
import { configTable, scoreTable } from "./compare_tables.js";
import { tintVariable } from "./compare_tints.js";
import { fill, h, select, setOptions } from "./dom.js";
import { ask } from "./http.js";
import { notice, noRuns } from "./notices.js";
import { listen, session } from "./session.js";

const MOST = 4;
const REFRESH_MS = 4000;
const GOING = ["queued", "starting", "running", "stopping"];

export function mount(element) {
  const state = { ids: null, told: null, all: address.get("all") === "1", turn: 0 };
  const empty = h("div", {});
  const chooser = buildChooser((ids) => {
    address.change({ runs: ids });
    update();
  });
  const scores = h("div", { id: "compare-scores" });
  const config = h("div", { id: "compare-config" });
  const curves = buildCurves();
  const images = buildImages();
  const all = h("input", { type: "checkbox", id: "differences-only" });
  all.checked = !state.all;
  all.addEventListener("change", () => {
    state.all = !all.checked;
    address.note({ all: state.all ? "1" : null });
    draw();
  });
  const parts = h(
    "div",
    { class: "rows" },
    section("Scores", "AP is the teacher's where there is one; labels are those of each run's last 50 recorded steps, as in Runs.", scores),
    h(
      "section",
      { class: "card" },
      h("div", { class: "toolbar" }, h("h2", {}, "Config"), h("label", { class: "check" }, all, "differences only")),
      config,
    ),
    curves.node,
    images.node,
  );
  const page = h(
    "div",
    { class: "page", id: "compare-page" },
    h("div", { class: "page-head" }, h("h1", {}, "Compare"), h("p", { class: "hint" }, "The same colour is the same run everywhere on this page.")),
    chooser.node,
    parts,
  );
  page.hidden = true;
  element.append(empty, page);
  fill(empty, loading());

  const draw = () => {
    if (!state.told) return;
    fill(scores, scoreTable(state.told, tintVariable));
    fill(config, configTable(state.told, state.all, tintVariable));
  };
  const update = async () => {
    fill(empty, emptyState() ?? (state.told ? null : loading()));
    page.hidden = session.runs.length === 0;
    if (page.hidden) return;
    const ids = idsOfAddress();
    chooser.show(ids);
    const turn = ++state.turn;
    try {
      const told = await ask("compare", { runs: ids });
      if (turn !== state.turn) return;
      fill(empty);
      const found = told.runs.map((run) => run.run_id); // a link may name runs in other ways
      if (found.join() !== ids.join()) address.note({ runs: found });
      chooser.show(found);
      const isOther = state.ids !== found.join();
      Object.assign(state, { told, ids: found.join() });
      draw();
      curves.show(told.runs);
      if (isOther) images.show(told.runs);
    } catch (error) {
      if (turn === state.turn) fill(empty, notice("These runs cannot be compared", [error.message]));
    }
  };
  let started = false;
  listen(() => {
    if (started) return;
    started = session.runs.length > 0;
    update();
  });
  setInterval(() => !document.hidden && isGoing(state.told) && update(), REFRESH_MS);
  globalThis.addEventListener("lab-theme", () => {
    if (state.told) curves.show(state.told.runs);
    images.draw();
  });
}

const loading = () => h("p", { class: "hint loading" }, "Loading…");

const isGoing = (told) => told?.runs.some((run) => GOING.includes(run.status));

const section = (title, hint, node) =>
  h("section", { class: "card" }, h("h2", {}, title), h("p", { class: "hint" }, hint), node);

function emptyState() {
  if (session.error) return notice("The store cannot be read", [session.error]);
  return session.overview && session.runs.length === 0 ? noRuns(session.overview) : null;
}

/** Those of the URL; without any, the run one came from and its parent, or else the newest ones. */
function idsOfAddress() {
  const asked = address.getAll("runs").slice(0, MOST);
  if (asked.length) return asked;
  const here = session.runs.find((run) => run.run_id === address.get("run")) ?? session.runs[0];
  const parent = session.runs.find((run) => run.run_id === here.parent_run_id);
  const child = session.runs.find((run) => run.parent_run_id === here.run_id);
  const other = parent ?? child ?? session.runs.find((run) => run !== here);
  return (other ? [other, here] : [here]).map((run) => run.run_id);
}

function buildChooser(onChange) {
  const chips = h("span", { class: "toolbar", id: "compared" });
  const add = select("Add a run", [], "", (id) => id && onChange([...state.ids, id]));
  const state = { ids: [] };
  const show = (ids) => {
    state.ids = ids;
    fill(chips, ids.map((id, place) => chip(id, place, ids, onChange)));
    const others = session.runs.filter((run) => !ids.includes(run.run_id));
    setOptions(add, [["", "add a run…"], ...others.map((run) => [run.run_id, `${run.name}, ${run.run_id}`])], "");
    add.hidden = ids.length >= MOST || others.length === 0;
  };
  return { node: h("div", { class: "card toolbar" }, chips, add), show };
}

function chip(id, place, ids, onChange) {
  const run = session.runs.find((one) => one.run_id === id);
  const href = address.link("/live", { run: id, it: null, cls: null });
  const remove = () => onChange(ids.filter((one) => one !== id));
  return h(
    "span",
    { class: "compared", style: { "--tint": tintVariable(place) } },
    h("i", { class: "dot" }),
    h("a", { href, title: id }, run?.name ?? id),
    h("span", { class: "hint" }, run?.status ?? ""),
    ids.length > 1
      ? h("button", { type: "button", class: "link", "aria-label": `Leave ${run?.name ?? id} out`, onclick: remove }, "✕")
      : null,
  );
}
