// The queue: who waits in which order, who trains, and the workers that start them.

import * as address from "./address.js";
import { ACTS, proceed } from "./acts.js";
import { fill, h } from "./dom.js";
import { ask, send } from "./http.js";
import { listen } from "./session.js";
import { count, plural } from "./text.js";

const CANCEL = ACTS.find((one) => one.act === "cancel");
const HEADINGS = ["Place", "Run", "State", "Steps", "Where", "Priority", ""];

export function buildQueue() {
  const body = h("div", { id: "queue" });
  const workers = h("p", { class: "hint", id: "workers" });
  const problem = h("p", { class: "error-line", role: "alert" });
  const draw = (queue) => {
    const signature = JSON.stringify(queue);
    if (body.dataset.signature === signature) return;
    body.dataset.signature = signature;
    fill(workers, workerWords(queue.workers));
    fill(body, table(queue.jobs, act));
  };
  const refresh = () => ask("queue").then(draw).catch((error) => fill(problem, error.message));
  const act = async (doing) => {
    fill(problem);
    try {
      await doing();
    } catch (error) {
      fill(problem, error.message);
    }
    refresh();
  };
  listen(refresh);
  refresh();
  const node = h("section", { class: "card" }, h("h2", {}, "Queue"), workers, problem, body);
  return { node, refresh };
}

function workerWords(workers) {
  if (workers.length === 0)
    return "No worker lives now. Launching starts one in the background on this machine; it outlives the dashboard and ends by itself a minute after the last run. `seglab jobs worker` is one that stays.";
  const told = workers.map((one) => `${one.machine}, process ${one.pid} (${one.slots.join(", ")})`);
  return `${plural(workers.length, "worker")}: ${told.join("; ")}`;
}

function table(jobs, act) {
  if (jobs.length === 0) return h("p", { class: "hint" }, "Nothing waits and nothing trains.");
  const waiting = jobs.filter((job) => job.place !== null);
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: "runs queue" },
      h("thead", {}, h("tr", {}, HEADINGS.map((text) => h("th", { scope: "col" }, h("span", {}, text))))),
      h("tbody", {}, jobs.map((job) => row(job, waiting, act))),
    ),
  );
}

function row(job, waiting, act) {
  const cells = [
    job.place ?? "",
    h("a", { href: address.link("/live", { run: job.run_id, it: null, cls: null }) }, job.name),
    h("span", { class: "status", data: { status: job.state }, title: job.error }, job.state),
    `${count(job.done)} of ${count(job.max_steps)}`,
    job.slot ?? (job.place === null ? "" : `waits for ${job.needs === "any" ? "any device" : job.needs}`),
    job.priority,
    h("span", { class: "toolbar tight" }, buttons(job, waiting, act)),
  ];
  return h("tr", { data: { job: job.run_id } }, cells.map((cell) => h("td", {}, cell)));
}

function buttons(job, waiting, act) {
  const at = waiting.indexOf(job);
  const move = (order) => act(() => send("queue/move", { run: job.run_id, ...order }));
  const button = (text, title, onclick, disabled = false) =>
    h("button", { type: "button", class: "chip", title, disabled, onclick }, text);
  const moves =
    at < 0 || waiting.length < 2
      ? []
      : [
          button("↑", "One place up", () => move({ before: waiting[at - 1].run_id }), at === 0),
          button("first", "In front of all of its priority", () => move({ to: "front" }), at === 0),
          button("last", "Behind all of its priority", () => move({ to: "back" }), at === waiting.length - 1),
        ];
  const isOver = ["finished", "failed", "stopped", "stale"].includes(job.state);
  const cancel = isOver ? [] : [button("cancel", CANCEL.words, () => act(() => proceed(CANCEL, [asRun(job)])))];
  return [...moves, ...cancel];
}

const asRun = (job) => ({ ...job, status: job.state });
