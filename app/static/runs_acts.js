// Runs: acting on several at once. Each run tells how it took it.

import * as address from "./address.js";
import { ACTS, allows, proceed, workerNote } from "./acts.js";
import { outcomeList } from "./dialogs.js";
import { fill, h, setText } from "./dom.js";
import { refresh, session } from "./session.js";
import { plural } from "./text.js";

const MOST_COMPARED = 4;

/** The bar over the table while runs are chosen. `chosen` is a Set of run ids, `onChange` redraws. */
export function bulkBar(chosen, onChange) {
  const tally = h("span", { id: "chosen-tally" });
  const told = h("div", {});
  const compare = h(
    "button",
    { type: "button", class: "button", id: "bulk-compare", onclick: () => openComparison(chosen) },
    "Compare",
  );
  const buttons = ACTS.map((act) =>
    h(
      "button",
      {
        type: "button",
        class: act.danger ? "button danger-line" : "button",
        id: `bulk-${act.act}`,
        title: act.words,
        onclick: () => doIt(act),
      },
      act.name,
    ),
  );
  const clear = h(
    "button",
    { type: "button", class: "button", onclick: () => (chosen.clear(), onChange()) },
    "Choose none",
  );
  const bar = h("div", { class: "toolbar card bulk" }, tally, compare, buttons, clear);
  const doIt = async (act) => {
    const runs = chosenRuns(chosen);
    const names = new Map(runs.map((run) => [run.run_id, run.name]));
    const answer = await proceed(act, runs);
    if (answer === null) return;
    const nameOf = (id) => `${names.get(id)} (${id})`;
    outcomeList(told, answer.outcomes, nameOf, workerNote(answer.worker));
    await refresh(false);
    for (const id of chosen) if (!session.runs.some((run) => run.run_id === id)) chosen.delete(id);
    onChange();
  };
  const show = () => {
    const runs = chosenRuns(chosen);
    bar.hidden = runs.length === 0;
    setText(tally, `${plural(runs.length, "run")} chosen`);
    compare.disabled = runs.length < 2 || runs.length > MOST_COMPARED;
    compare.title = compare.disabled ? "Choose two to four runs" : "Side by side";
    ACTS.forEach((act, at) => (buttons[at].disabled = !runs.some((run) => allows(run, act))));
  };
  show();
  return { node: h("div", { class: "rows bulk-bar" }, bar, told), show, forget: () => fill(told) };
}

const chosenRuns = (chosen) => session.runs.filter((run) => chosen.has(run.run_id));

function openComparison(chosen) {
  const ids = chosenRuns(chosen).map((run) => run.run_id);
  location.assign(address.link("/compare", { runs: ids }));
}
