// What-if: act on the thresholds that were found: apply live, fork from a checkpoint, new run.

import { confirm, differenceTable } from "./dialogs.js";
import { fill, h, setText } from "./dom.js";
import { ask, runPath } from "./http.js";
import { askLaunch } from "./launch_dialog.js";
import { applyLive, checked, tellAnswer } from "./live_change.js";
import { session } from "./session.js";
import { count } from "./text.js";
import { changesOf } from "./what_if_changes.js";
import { dropsNothing } from "./what_if_rules.js";

const WAYS = [
  ["apply", "Apply live", "The run takes the thresholds over before its next step", applyNow],
  ["fork", "Fork…", "Another run goes on from a checkpoint of this one, with these thresholds", fork],
  ["new", "New run…", "Another run, from nothing, with these thresholds", newRun],
];

/** The buttons under the sentence; `show()` after every move of a slider, so it is cheap. */
export function buildActs(view) {
  const told = h("div", { id: "what-if-told" });
  const why = h("span", { class: "hint", id: "what-if-why" });
  const buttons = WAYS.map(([way, text, title, act]) =>
    h(
      "button",
      {
        type: "button",
        class: way === "apply" ? "button primary" : "button",
        id: `act-${way}`,
        title,
        onclick: () => act(session.run, changesOf(view, session.run), told).catch((error) => tellError(told, error)),
      },
      text,
    ),
  );
  const show = () => {
    const { run } = session;
    const any = Object.keys(changesOf(view, run)).length > 0;
    const can = [run.actions.includes("apply"), run.actions.includes("fork"), true];
    buttons.forEach((button, at) => (button.disabled = !any || !can[at]));
    setText(why, any ? whyNot(run, can) : nothingYet(view));
    if (told.dataset.run !== run.run_id) fill(told);
    told.dataset.run = run.run_id;
  };
  return { node: h("div", { class: "rows" }, h("div", { class: "toolbar" }, buttons, why), told), show };
}

const nothingYet = ({ axes, now }) =>
  axes && dropsNothing(now, axes) ? "" : "Move a slider to act on it.";

function whyNot(run, [apply, canFork]) {
  if (apply && canFork) return "";
  return canFork
    ? `The run is ${run.status}: nothing can be applied to it any more.`
    : `The run is ${run.status}: it has nothing to fork from.`;
}

const tellError = (told, error) => fill(told, h("p", { class: "error-line", role: "alert" }, error.message));

async function applyNow(run, values, told) {
  const { differences, problems } = await checked(run, values);
  if (problems.length) throw new Error(problems.map((one) => one.reason).join(" "));
  const answer = await confirm({
    title: `Apply to ${run.name} now?`,
    body: [
      h("p", { class: "hint" }, "In effect before its next step, and recorded as an event of the run."),
      differenceTable(differences),
    ],
    verb: "Apply live",
    act: () => applyLive(run, values),
  });
  if (answer) tellAnswer(told, answer);
}

async function fork(run, changes, told) {
  const { checkpoints } = await ask(runPath(run.run_id, "/acts"));
  if (checkpoints.length === 0) throw new Error("This run keeps no checkpoint to fork from yet.");
  const early = checkpoints.filter((step) => step < run.max_steps); // after the last nothing is left
  const offered = early.length ? early : checkpoints;
  const steps = offered.map((step) => [String(step), `step ${count(step)}`]).reverse();
  return askLaunch({
    title: `Fork ${run.name} with these thresholds`,
    about: "The child goes on from the parent's checkpoint, in the queue of this machine.",
    steps,
    wishOf: (step) => ({ fork: `${run.run_id}@${step}` }),
    run,
    changes,
    told,
  });
}

function newRun(run, changes, told) {
  return askLaunch({
    title: `A new run like ${run.name}, with these thresholds`,
    about: "It trains from nothing with the values the run has now.",
    steps: [],
    wishOf: () => ({ run: run.run_id }),
    run,
    changes,
    told,
  });
}
