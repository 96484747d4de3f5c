// Launch: a run made from a form. Only what differs from its start is sent.

import * as address from "./address.js";
import { fill, h, select, setText } from "./dom.js";
import { ask, send } from "./http.js";
import { buildForm } from "./launch_form.js";
import { buildSummary } from "./launch_summary.js";
import { notice } from "./notices.js";
import { buildQueue } from "./queue.js";
import { listen, session } from "./session.js";

const CHECK_AFTER_MS = 250;
const FIRST = "shapes_demo";

export async function mount(element) {
  const page = h("div", { class: "page", id: "launch-page" }, h("p", { class: "hint" }, "Loading…"));
  element.append(page);
  try {
    build(page, await ask("launch"));
  } catch (error) {
    fill(page, notice("The form cannot be shown", [error.message]));
  }
}

function build(page, { groups, presets }) {
  const state = { wish: wishOfAddress(presets), changes: changesOfAddress(), answer: null, turn: 0 };
  const queue = buildQueue();
  const form = buildForm(groups, state, () => later());
  const summary = buildSummary(state, {
    onLaunch: (priority) => launch(state, summary, queue, priority),
    onReset: () => restart({}),
  });
  const about = h("p", { class: "hint", id: "preset-about" });
  const start = select("Start from", [], "", (value) => {
    state.wish = readStart(value);
    restart({});
  });
  start.id = "start-from";
  const restart = (changes) => {
    state.changes = changes;
    state.answer = null;
    keepInAddress(state);
    check();
  };
  let timer = 0;
  const later = () => {
    keepInAddress(state);
    summary.busy();
    state.turn += 1; // an answer that is under way is about what was written before
    clearTimeout(timer);
    timer = setTimeout(check, CHECK_AFTER_MS);
  };
  const check = async () => {
    const turn = ++state.turn;
    showStart(start, about, state, presets);
    try {
      const answer = await send("launch/check", { ...state.wish, changes: state.changes });
      if (turn !== state.turn) return;
      state.answer = answer;
    } catch (error) {
      if (turn !== state.turn) return;
      state.answer = { problems: [{ key: "", reason: error.message, about: [] }], base: {}, config: null };
    }
    form.show();
    summary.show();
  };
  fill(page, layout({ start, about, form, summary, queue }));
  listen(() => showStart(start, about, state, presets));
  check();
}

const layout = ({ start, about, form, summary, queue }) => [
  h(
    "div",
    { class: "page-head" },
    h("h1", {}, "Launch"),
    h(
      "p",
      { class: "hint" },
      "Choose what to start from, change what should be different, look at what it comes to, and put it into the queue.",
    ),
  ),
  h(
    "div",
    { class: "card toolbar start" },
    h("label", { class: "field" }, h("span", {}, "Start from"), start),
    form.search,
    about,
  ),
  h("div", { class: "launch" }, form.node, summary.node),
  queue.node,
];

async function launch(state, summary, queue, priority) {
  const order = { ...state.wish, changes: state.changes, priority, shown: state.answer.config };
  try {
    const { run_id: run, worker } = await send("launch", order);
    summary.launched(run, state.answer.config.name, worker);
    queue.refresh();
  } catch (error) {
    summary.refused(error.message);
  }
}

/** The wish of the URL: ?preset=NAME, ?like=RUN or ?fork=RUN@STEP. */
function wishOfAddress(presets) {
  if (address.get("fork")) return { fork: address.get("fork") };
  if (address.get("like")) return { run: address.get("like") };
  const first = presets.some((one) => one.name === FIRST) ? FIRST : presets[0]?.name;
  return { preset: address.get("preset") ?? first };
}

function changesOfAddress() {
  try {
    const changes = JSON.parse(address.get("set") ?? "{}");
    return changes !== null && typeof changes === "object" && !Array.isArray(changes) ? changes : {};
  } catch {
    return {};
  }
}

function keepInAddress({ wish, changes }) {
  const set = Object.keys(changes).length ? JSON.stringify(changes) : null;
  address.note({ preset: wish.preset, like: wish.run, fork: wish.fork, set });
}

const readStart = (value) => {
  const [kind, ...rest] = value.split(":");
  return { [kind]: rest.join(":") };
};

/** The presets in groups, the runs one may start like, and the fork of the URL when there is one. */
function showStart(node, about, { wish }, presets) {
  const [[kind, key]] = Object.entries(wish);
  const value = `${kind}:${key}`;
  const runs = session.runs.map((run) => [`run:${run.run_id}`, `${run.name}, ${run.run_id}`]);
  const forks = kind === "fork" ? [[value, `the checkpoint ${key}`]] : [];
  const known = kind === "run" && !runs.some(([one]) => one === value) ? [[value, key]] : [];
  const groups = [
    ["Files of experiments/", presets.map((one) => [`preset:${one.name}`, one.name])],
    ["A checkpoint: go on from there", forks],
    ["A run: the same values, from nothing", [...known, ...runs]],
  ].filter(([, options]) => options.length > 0);
  const signature = JSON.stringify([groups, value]);
  if (node.dataset.signature !== signature) {
    fill(
      node,
      groups.map(([label, options]) =>
        h("optgroup", { label }, options.map(([one, text]) => h("option", { value: one }, text))),
      ),
    );
    node.dataset.signature = signature;
    node.value = value;
  }
  setText(about, presets.find((one) => one.name === wish.preset)?.about ?? "");
}
