// A run launched from another page: a name, where it starts, the exact difference, one button.

import * as address from "./address.js";
import { workerNote } from "./acts.js";
import { confirm, differenceTable } from "./dialogs.js";
import { fill, h, select, setText } from "./dom.js";
import { send } from "./http.js";
import { byteSize, duration } from "./text.js";
import { shortWords } from "./what_if_changes.js";

/**
 * steps: [[value, text], ...] to choose from, or none. wishOf(step) says what it starts from.
 * What came of it is told in `told`.
 */
export async function askLaunch({ title, about, steps, wishOf, run, changes, told }) {
  const state = { step: steps[0]?.[0] ?? null, answer: null, turn: 0 };
  const name = h("input", { type: "text", id: "child-name", value: `${run.name}, ${shortWords(changes)}` });
  const choice = select("Checkpoint", steps, state.step ?? "", (step) => {
    state.step = step;
    check();
  });
  choice.id = "fork-step";
  const difference = h("div", { id: "child-difference" }, h("p", { class: "hint" }, "Looking…"));
  const problem = h("p", { class: "error-line", role: "alert" });
  const cost = h("p", { class: "hint" });
  const all = h("a", { target: "_blank" }, "change anything else");
  const order = () => ({ ...wishOf(state.step), changes: { ...changes, name: name.value.trim() } });
  const check = async () => {
    const turn = ++state.turn;
    question.allow(false);
    const { fork, run: like, changes: set } = order();
    all.href = `/launch?${new URLSearchParams({ ...(fork ? { fork } : { like }), set: JSON.stringify(set) })}`;
    const answer = await send("launch/check", order()).catch((error) => ({ problems: [{ reason: error.message }] }));
    if (turn !== state.turn) return;
    state.answer = answer;
    const isRight = answer.problems.length === 0;
    setText(problem, answer.problems.map((one) => one.reason).join(" "));
    fill(difference, isRight ? differenceTable(answer.differences, ["value", run.name, "new run"]) : null);
    setText(cost, isRight ? costText(answer) : "");
    question.allow(isRight);
  };
  name.addEventListener("input", () => check());
  const question = confirm({
    title,
    body: [
      h("p", { class: "hint" }, about, " ", all),
      h("label", { class: "field" }, h("span", {}, "Name"), name),
      steps.length ? h("label", { class: "field" }, h("span", {}, "From"), choice) : null,
      difference,
      problem,
      cost,
    ].filter(Boolean),
    verb: "Put into the queue",
    ready: false,
    act: () => send("launch", { ...order(), shown: state.answer.config }),
  });
  check();
  const launched = await question;
  if (launched) tellLaunched(told, launched, name.value, run);
}

function costText({ size, time }) {
  const parts = [
    size && `adds about ${byteSize(size.total)} to the store`,
    time && `trains for about ${duration(time.seconds)}, at the pace of ${time.name}`,
  ].filter(Boolean);
  const text = parts.join("; ");
  return text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "";
}

function tellLaunched(told, { run_id: child, worker }, name, parent) {
  const live = address.link("/live", { run: child, it: null, cls: null });
  const both = address.link("/compare", { runs: [parent.run_id, child] });
  fill(
    told,
    h(
      "div",
      { class: "outcomes", id: "launched", role: "status" },
      h("p", {}, h("b", {}, name), ` is in the queue as ${child}: `, h("a", { href: live }, "watch it"), " or ", h("a", { href: both, id: "compare-both" }, "compare it with its parent"), "."),
      worker ? h("p", { class: "hint" }, workerNote(worker)) : null,
    ),
  );
}
