// What may be done to runs: the words for it, the question before it, and doing it.

import { confirm } from "./dialogs.js";
import { h } from "./dom.js";
import { send } from "./http.js";
import { plural } from "./text.js";

/** act: what the server calls it; needs: which action a run's state must allow. */
export const ACTS = [
  {
    act: "cancel",
    needs: "cancel",
    name: "Cancel",
    words: "A run that trains saves a checkpoint and stops; one that waits leaves the queue. Asked a second time, a run is killed.",
  },
  {
    act: "resume",
    needs: "resume",
    name: "Resume",
    words: "It waits in the queue again and goes on from its newest checkpoint.",
  },
  {
    act: "retry",
    needs: "retry",
    name: "Retry",
    words: "A new attempt under the same id, from its newest checkpoint; changes that were applied live are made again at their steps.",
  },
  {
    act: "restart",
    needs: "retry",
    name: "Start over",
    danger: true,
    words: "A new attempt from where it first began. Its own checkpoints are removed, and what it recorded is written anew.",
  },
  {
    act: "delete",
    needs: null,
    name: "Delete",
    danger: true,
    words: "Its labels, curves, checkpoints and log are removed from the store. Images and files outside the store stay. This cannot be taken back.",
  },
];

const GOING = ["starting", "running", "stopping"];

/** Whether a run's state allows an act. */
export const allows = (run, { needs, act }) =>
  act === "delete" ? !GOING.includes(run.status) : run.actions.includes(needs);

/** Ask, then do it to all of them; {outcomes, worker}, or null when it was called off. */
export function proceed(act, runs) {
  return confirm({
    title: `${act.name} ${runs.length === 1 ? runs[0].name : plural(runs.length, "run")}?`,
    body: [
      h("p", {}, act.words),
      runs.length > 1 && h("ul", { class: "names" }, runs.map((run) => h("li", {}, `${run.name}, ${run.status}`))),
    ].filter(Boolean),
    verb: act.name,
    danger: act.danger,
    act: () => send("acts", { act: act.act, runs: runs.map((run) => run.run_id) }),
  });
}

/** What to tell about a worker that was started, or nothing. */
export const workerNote = (worker) =>
  worker
    ? `No worker was there to train it, so one was started in the background (process ${worker}). It ends by itself a minute after the last run.`
    : null;
