// Live: acting on the run in view.

import * as address from "./address.js";
import { ACTS, allows, proceed, workerNote } from "./acts.js";
import { changeLive } from "./live_change.js";
import { outcomeList } from "./dialogs.js";
import { fill, h } from "./dom.js";
import { refresh, session } from "./session.js";

/** The row of buttons under the heading, and what came of the last one. */
export function buildActs() {
  const told = h("div", {});
  const row = h("div", { class: "toolbar", id: "live-acts" });
  const show = (run) => {
    const signature = `${run.run_id} ${run.status}`;
    if (row.dataset.signature === signature) return;
    if (!row.dataset.signature?.startsWith(run.run_id)) fill(told);
    row.dataset.signature = signature;
    fill(row, buttonsFor(run, told));
  };
  return { node: h("div", { class: "rows" }, row, told), show };
}

function buttonsFor(run, told) {
  const acts = ACTS.filter((act) => allows(run, act)).map((act) =>
    button(act.name, act.words, () => doIt(act, told), act.danger ? "button danger-line" : "button"),
  );
  const change = run.actions.includes("apply")
    ? [button("Change values…", "New thresholds for this run before its next step", () => changeLive(session.run, told), "button primary")]
    : [];
  return [...change, ...acts, againLink(run)];
}

const button = (text, title, onclick, kind) =>
  h("button", { type: "button", class: kind, title, onclick }, text);

function againLink(run) {
  const href = address.link("/launch", { like: run.run_id });
  const title = "A new run, from nothing, with the values of this one and some changed";
  return h("a", { class: "button", href, title }, "Run again…");
}

async function doIt(act, told) {
  const { run } = session;
  const answer = await proceed(act, [run]);
  if (answer === null) return;
  if (act.act === "delete" && answer.outcomes[0].done) return location.assign("/");
  outcomeList(told, answer.outcomes, () => run.name, workerNote(answer.worker));
  await refresh();
}
