// Changing values of a run while it trains: choose, see the exact difference, apply, hear the answer.

import { confirm, differenceTable, valueText } from "./dialogs.js";
import { fill, h, setText } from "./dom.js";
import { ask, runPath, send } from "./http.js";

const WAIT_MS = 30_000;
const LOOK_MS = 400;

/** A dialog with every value that may change; `told` is where the run's answer goes. */
export async function changeLive(run, told) {
  const { live } = await ask(runPath(run.run_id, "/acts"));
  const values = {};
  const difference = h("div", { id: "live-difference" }, differenceTable({}));
  const fields = Object.entries(live).map(([key, value]) => field(key, value, onInput));
  let turn = 0;
  async function onInput(one) {
    const wanted = one.read();
    if (wanted === live[one.key]) delete values[one.key];
    else values[one.key] = wanted;
    const mine = ++turn;
    const { differences, problems } = await checked(run, values);
    if (mine !== turn) return;
    for (const each of fields) setText(each.problem, reasonFor(each.key, problems));
    fill(difference, differenceTable(differences));
    question.allow(problems.length === 0 && Object.keys(differences).length > 0);
  }
  const question = confirm({
    title: `Change ${run.name} while it trains`,
    body: [
      h("p", { class: "hint" }, "In effect before the run's next step; the curves show where."),
      h("div", { class: "live-fields" }, fields.map((one) => one.node)),
      difference,
    ],
    verb: "Apply",
    ready: false,
    act: () => applyLive(run, values),
  });
  const answer = await question;
  if (answer) tellAnswer(told, answer);
}

/** {differences, problems} of new values; a mistake is a problem, not an error. */
export async function checked(run, values) {
  if (Object.keys(values).length === 0) return { differences: {}, problems: [] };
  try {
    const { differences } = await send(runPath(run.run_id, "/apply/check"), { values });
    return { differences, problems: [] };
  } catch (error) {
    const problems = error.problems?.length ? error.problems : [{ key: "", reason: error.message }];
    return { differences: {}, problems };
  }
}

/** Ask the run, and wait for its answer: {answer: "applied" | "refused" | null, step, reason}. */
export async function applyLive(run, values) {
  let row = await send(runPath(run.run_id, "/apply"), { values });
  const end = Date.now() + WAIT_MS;
  while (row.answer === null && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    row = await ask(`asks/${row.ask}`);
  }
  return row;
}

/** The run's answer as a sentence. */
export function answerText({ answer, step, reason, changes }) {
  const what = Object.entries(changes)
    .map(([key, value]) => `${key} = ${valueText(value)}`)
    .join(", ");
  if (answer === "applied") return `Applied before step ${step}: ${what}.`;
  if (answer === "refused") return `The run refused ${what}: ${reason}`;
  return `The run has not answered yet; it takes over ${what} when it gets to its next step.`;
}

export function tellAnswer(told, answer) {
  fill(told, h("p", { class: "outcomes", id: "live-answer", role: "status" }, answerText(answer)));
}

function reasonFor(key, problems) {
  return problems.find((one) => one.key === key || one.key === "")?.reason ?? "";
}

function field(key, value, onInput) {
  const isSwitch = typeof value === "boolean";
  const input = h("input", isSwitch ? { type: "checkbox" } : { type: "text", inputmode: "decimal" });
  if (isSwitch) input.checked = value;
  else input.value = valueText(value);
  const one = { key, problem: h("span", { class: "problem", role: "alert" }) };
  one.read = () => (isSwitch ? input.checked : numberOrText(input.value));
  input.addEventListener("input", () => onInput(one));
  input.dataset.key = key;
  one.node = h("label", { class: "live-field" }, h("code", {}, key), input, one.problem);
  return one;
}

export function numberOrText(text) {
  const trimmed = text.trim();
  return trimmed !== "" && Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
}
