// One field of the form: a label with its help, an input, what is wrong, and the way back.

import { valueText } from "./dialogs.js";
import { h, setText } from "./dom.js";

const NONE = "\u0000none";

/** `spec` as the server describes it; `state`: {changes, answer}. */
export function buildField(spec, state, onChange) {
  const input = inputFor(spec);
  const problem = h("p", { class: "problem", role: "alert", id: `problem-${spec.key}` });
  const back = h("button", { type: "button", class: "chip back" });
  input.dataset.key = spec.key;
  input.setAttribute("aria-describedby", problem.id);
  const id = `field-${spec.key}`;
  input.id = id;
  const node = h(
    "div",
    { class: "form-field", data: { kind: spec.kind } },
    h(
      "div",
      { class: "about" },
      h("label", { for: id, title: spec.key }, spec.title),
      spec.live ? liveMark() : null,
      spec.help ? h("p", { class: "hint" }, withCode(spec.help)) : null,
    ),
    h("div", { class: "value" }, input, back, problem),
  );
  const base = () => baseOf(spec, state);
  const change = (value) => {
    if (spec.forgets)
      for (const key of Object.keys(state.changes))
        if (key.startsWith(spec.forgets)) delete state.changes[key];
    if (same(value, base())) delete state.changes[spec.key];
    else state.changes[spec.key] = value;
    show();
    onChange();
  };
  const event = ["choice", "switch"].includes(spec.kind) ? "change" : "input";
  input.addEventListener(event, () => change(readInput(spec, input)));
  back.addEventListener("click", () => {
    delete state.changes[spec.key];
    writeInput(spec, input, base());
    change(base());
  });
  const isChanged = () => spec.key in state.changes;
  const reasons = () =>
    (state.answer?.problems ?? [])
      .filter((one) => one.key === spec.key || one.about.includes(spec.key))
      .map((one) => one.reason);
  const show = () => {
    const value = isChanged() ? state.changes[spec.key] : shownValue(spec, state);
    if (document.activeElement !== input || !same(readInput(spec, input), value))
      if (document.activeElement !== input || !isChanged()) writeInput(spec, input, value);
    node.classList.toggle("changed", isChanged());
    back.hidden = !isChanged();
    setText(back, `back to ${valueText(base())}`);
    const told = reasons();
    setText(problem, told.join(" "));
    input.setAttribute("aria-invalid", String(told.length > 0));
  };
  return { spec, node, show, isChanged, isWrong: () => reasons().length > 0 };
}

/** Words between backticks as code. */
export const withCode = (text) =>
  text.split("`").map((one, at) => (at % 2 ? h("code", {}, one) : one));

const liveMark = () =>
  h("span", { class: "live-mark", title: "May also be changed while the run trains" }, "live");

/** What the field has without a change of its own: what the start says, else the default. */
function baseOf(spec, { changes, answer }) {
  const base = answer?.base ?? {};
  const [group] = spec.key.split(".");
  const tagOf = (tag) => `${group}.${tag}`;
  const isOtherKind = !spec.forgets && ["name", "source"].some((tag) => tagOf(tag) in changes);
  return !isOtherKind && spec.key in base ? base[spec.key] : spec.default;
}

/** Untouched fields show what the config really comes to: one value can change another. */
const shownValue = (spec, state) => {
  const config = state.answer?.config;
  return config && spec.key in config ? config[spec.key] : baseOf(spec, state);
};

const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

function inputFor(spec) {
  if (spec.kind === "switch") return h("input", { type: "checkbox" });
  if (spec.kind === "choice")
    return h(
      "select",
      {},
      spec.optional ? h("option", { value: NONE }, "none") : null,
      spec.choices.map((one) => h("option", { value: one }, String(one))),
    );
  if (["lines", "json"].includes(spec.kind)) return h("textarea", { rows: 2, spellcheck: "false" });
  const isNumber = ["int", "float"].includes(spec.kind);
  return h("input", {
    type: "text",
    inputmode: isNumber ? "decimal" : null,
    autocomplete: "off",
    spellcheck: "false",
    placeholder: spec.optional ? "none" : null,
    title: limitText(spec.limits),
  });
}

function limitText({ min, max, above, below, step }) {
  const parts = [
    min !== undefined && `at least ${min}`,
    above !== undefined && `above ${above}`,
    max !== undefined && max < 2 ** 31 - 1 && `at most ${max}`,
    below !== undefined && `below ${below}`,
    step !== undefined && `a multiple of ${step}`,
  ].filter(Boolean);
  return parts.length ? parts.join(", ") : null;
}

/** What is written, as the config takes it; what is no number goes to the server as it is. */
export function readInput(spec, input) {
  if (spec.kind === "switch") return input.checked;
  if (spec.kind === "choice") return input.value === NONE ? null : input.value;
  return readText(spec, input.value);
}

export function readText(spec, text) {
  const trimmed = text.trim();
  if (trimmed === "" && spec.optional) return null;
  switch (spec.kind) {
    case "int":
    case "float":
      return numberOr(trimmed);
    case "numbers":
      return trimmed === "" ? [] : trimmed.split(/[\s,]+/).filter(Boolean).map(numberOr);
    case "lines":
      return text.split("\n").map((line) => line.trim()).filter(Boolean);
    case "json":
      return tableOr(trimmed);
    default:
      return trimmed;
  }
}

const numberOr = (text) => (text !== "" && Number.isFinite(Number(text)) ? Number(text) : text);

function tableOr(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function writeInput(spec, input, value) {
  if (spec.kind === "switch") input.checked = Boolean(value);
  else if (spec.kind === "choice") input.value = value ?? NONE;
  else input.value = writtenText(spec, value);
}

export function writtenText(spec, value) {
  if (value === null || value === undefined) return "";
  if (spec.kind === "lines" && Array.isArray(value)) return value.join("\n");
  if (spec.kind === "numbers" && Array.isArray(value)) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
