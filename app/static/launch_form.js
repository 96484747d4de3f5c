// The form of a run's config: groups of fields, made from what the server says of each.

import { fill, h, setText } from "./dom.js";
import { buildField, withCode } from "./launch_field.js";

const OPEN = ["", "dataset", "split", "method", "schedule"];

/** `state`: {changes, answer}. `onChange` is told whenever somebody wrote something. */
export function buildForm(groups, state, onChange) {
  const cards = groups.map((group) => groupCard(group, state, onChange));
  const search = h("input", {
    type: "search",
    placeholder: "Find a setting…",
    "aria-label": "Find a setting",
    oninput: () => filter(cards, search.value),
  });
  const only = h("input", { type: "checkbox", id: "only-changed" });
  const show = () => {
    for (const card of cards) card.show();
    filter(cards, search.value, only.checked);
  };
  only.addEventListener("change", show);
  const find = h("span", { class: "toolbar" }, search, h("label", { class: "check" }, only, "only what I changed"));
  return { node: h("div", { class: "rows", id: "launch-form" }, cards.map((card) => card.node)), search: find, show };
}

function filter(cards, text, onlyChanged = document.querySelector("#only-changed")?.checked) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const isNarrow = words.length > 0 || onlyChanged;
  for (const card of cards) card.filter(words, onlyChanged, isNarrow);
}

function groupCard(group, state, onChange) {
  const body = h("div", { class: "rows" });
  const tally = h("span", { class: "hint" });
  const node = h(
    "details",
    { class: "card form-group", id: `group-${group.key || "run"}`, open: OPEN.includes(group.key) },
    h("summary", {}, h("h2", {}, group.title), tally),
    h("p", { class: "hint" }, group.help),
    body,
  );
  const card = { node, fields: [], name: null };
  const tag = group.tag && buildField(tagField(group), state, onChange);
  card.show = () => {
    const name = group.tag ? variantName(group, state) : "";
    if (card.name !== name) build(name);
    tag?.show();
    for (const { field } of card.fields) field.show();
    const changed = card.fields.filter(({ field }) => field.isChanged()).length + Number(tag?.isChanged() ?? 0);
    setText(tally, changed ? `${changed} changed` : "");
    if (card.fields.some(({ field }) => field.isWrong())) node.open = true;
  };
  const build = (name) => {
    const variant = group.variants.find((one) => one.name === name);
    card.name = name;
    card.fields = [];
    const parts = (variant?.parts ?? []).map((part) => partNode(part, state, onChange, card.fields));
    fill(body, tag?.node, variant?.help && group.tag ? h("p", { class: "hint" }, withCode(variant.help)) : null, parts);
  };
  card.filter = (words, onlyChanged, isNarrow) => {
    let any = Boolean(tag) && !isNarrow;
    for (const { field, part } of card.fields) {
      const text = `${field.spec.key} ${field.spec.title} ${field.spec.help}`.toLowerCase();
      const fits = words.every((word) => text.includes(word)) && (!onlyChanged || field.isChanged());
      field.node.hidden = !fits;
      any ||= fits;
      part.hidden = isNarrow && !card.fields.some((one) => one.part === part && !one.field.node.hidden);
    }
    node.hidden = !any;
    if (isNarrow && any) node.open = true;
  };
  return card;
}

function partNode(part, state, onChange, fields) {
  const node = h("div", { class: "form-part" });
  const made = part.fields.map((spec) => {
    const field = buildField(spec, state, onChange);
    fields.push({ field, part: node });
    return field.node;
  });
  const isInner = part.key.includes(".");
  const head = isInner
    ? [h("h3", {}, part.key.split(".").slice(1).join(" ").replaceAll("_", " ")), h("p", { class: "hint" }, withCode(part.help))]
    : [];
  return fill(node, head, made);
}

/** The choice between the kinds of a table; another kind forgets what was changed in the old one. */
function tagField(group) {
  return {
    key: `${group.key}.${group.tag}`,
    title: group.tag === "source" ? "source" : group.key,
    help: "",
    kind: "choice",
    choices: group.variants.map((one) => one.name),
    limits: {},
    optional: false,
    default: group.variants[0].name,
    forgets: `${group.key}.`,
  };
}

function variantName(group, { changes, answer }) {
  const key = `${group.key}.${group.tag}`;
  return changes[key] ?? answer?.base?.[key] ?? group.variants[0].name;
}
