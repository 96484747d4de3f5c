// What the form comes to: the exact differences, what is wrong, size, time, and the button.

import * as address from "./address.js";
import { differenceTable } from "./dialogs.js";
import { fill, h, setText } from "./dom.js";
import { byteSize, duration, plural } from "./text.js";
import { workerNote } from "./acts.js";

const KINDS = {
  masks: "masks of pseudo-labels",
  scores: "their scores",
  curves: "curves",
  checkpoints: "checkpoints",
  predictions: "predictions",
  dataset: "images and truth (shared by runs)",
};

export function buildSummary(state, { onLaunch, onReset }) {
  const parts = {
    problems: h("div", { id: "launch-problems" }),
    differences: h("div", { id: "launch-differences" }),
    cost: h("div", { class: "rows", id: "launch-cost" }),
    told: h("div", { id: "launch-told" }),
    command: h("pre", { class: "command", id: "launch-command" }),
  };
  const priority = h("input", { type: "number", value: 0, step: 1, id: "priority", title: "Higher goes first" });
  const button = h(
    "button",
    { type: "button", class: "button primary", id: "launch-button", onclick: () => press() },
    "Put into the queue",
  );
  const reset = h("button", { type: "button", class: "button", onclick: onReset }, "Forget my changes");
  const press = () => {
    button.disabled = true;
    fill(parts.told);
    onLaunch(Math.trunc(Number(priority.value) || 0));
  };
  const show = () => {
    const { answer } = state;
    const isRight = answer.problems.length === 0 && Boolean(answer.config);
    button.disabled = !isRight;
    reset.disabled = Object.keys(state.changes).length === 0;
    fill(parts.problems, problemList(answer.problems), (answer.warnings ?? []).map(warning));
    fill(parts.differences, isRight ? differenceTable(answer.differences, ["value", "start", "this run"]) : null);
    fill(parts.cost, isRight ? costs(answer, state) : null);
    setText(parts.command, isRight ? answer.command : "");
    parts.command.hidden = !isRight;
  };
  const node = h(
    "aside",
    { class: "card summary", "aria-label": "What will be launched" },
    h("h2", {}, "What it comes to"),
    parts.problems,
    parts.differences,
    parts.cost,
    h("div", { class: "toolbar" }, button, h("label", { class: "field" }, h("span", {}, "Priority"), priority), reset),
    parts.told,
    h("details", {}, h("summary", { class: "hint" }, "The same on the command line"), parts.command),
  );
  button.disabled = true;
  return {
    node,
    show,
    busy: () => (button.disabled = true),
    launched: (run, name, worker) => fill(parts.told, launchedNote(run, name, worker)),
    refused: (message) => {
      fill(parts.told, h("p", { class: "error-line", role: "alert" }, message));
      button.disabled = false;
    },
  };
}

function problemList(problems) {
  if (problems.length === 0) return null;
  return h(
    "ul",
    { class: "problems", role: "alert" },
    problems.map((one) =>
      h("li", {}, one.key && !one.key.startsWith("(") ? h("code", {}, one.key) : null, ` ${one.reason}`),
    ),
  );
}

const warning = (text) => h("p", { class: "warning" }, text);

function costs({ size, time, config }) {
  const parts = [];
  if (size) {
    const detail = Object.entries(KINDS)
      .filter(([kind]) => size[kind] > 0)
      .map(([kind, words]) => `${byteSize(size[kind])} ${words}`);
    parts.push(
      h(
        "p",
        { id: "launch-size" },
        "Adds about ",
        h("b", {}, byteSize(size.total)),
        ` to the store (right within a factor of two; ${byteSize(size.free)} are free).`,
      ),
      h("p", { class: "hint" }, detail.join(", ")),
    );
  }
  const steps = plural(config["schedule.max_steps"], "step");
  const told = time
    ? ["Trains for about ", h("b", {}, duration(time.seconds)), ` (${steps}), at the pace of ${time.name}.`]
    : [`${steps}. How long they take is known once a run of this method and network has been timed here.`];
  return [...parts, h("p", { id: "launch-time" }, told)];
}

function launchedNote(run, name, worker) {
  return h(
    "div",
    { class: "outcomes", role: "status" },
    h(
      "p",
      {},
      h("b", {}, name),
      ` is in the queue as ${run}. `,
      h("a", { href: address.link("/live", { run, it: null, cls: null }), id: "watch-it" }, "Watch it live"),
    ),
    worker && h("p", { class: "hint" }, workerNote(worker)),
  );
}
