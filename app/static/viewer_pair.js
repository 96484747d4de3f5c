// Teacher beside student in the viewer: the same image at the same step, truth over both if wanted.

import * as address from "./address.js";
import { drawWhole } from "./drawing.js";
import { fill, h, setText } from "./dom.js";
import { ask, runPath } from "./http.js";
import { SEEN_WORDS } from "./label_tile.js";
import { count, plural } from "./text.js";

const NETWORKS = ["teacher", "student"];
const NAMES = { teacher: "The teacher", student: "The student" };

/** `onToggle()` when teacher beside student is wanted or no more, or at another step. */
export function buildPair({ onToggle, onChange }) {
  const pair = { data: null, selected: null, turn: 0, label: null, list: [] };
  pair.isOn = () => address.get("beside") === "student";
  pair.toggle = h(
    "button",
    {
      type: "button",
      class: "chip",
      id: "viewer-beside",
      title: "What both networks make of this image at the same step (key s)",
      onclick: () => turnTo({ beside: pair.isOn() ? null : "student", probe: null }),
    },
    "Teacher beside student",
  );
  pair.over = h("input", {
    type: "checkbox",
    checked: address.get("over") === "truth",
    onchange: () => setOver(pair.over.checked),
  });
  pair.when = h("span", { class: "hint", id: "viewer-probe", "aria-live": "polite" });
  pair.earlier = button("viewer-earlier", "‹", "The probe before (key ,)", () => stepBy(-1));
  pair.later = button("viewer-later", "›", "The next probe (key .)", () => stepBy(1));
  const over = h("label", { class: "check", title: "Key t" }, pair.over, "truth over both");
  pair.probeTools = [pair.earlier, pair.later, pair.when, over];
  pair.tools = h("span", { class: "pair-tools", hidden: true }, pair.probeTools);
  pair.panes = Object.fromEntries(NETWORKS.map((name) => [name, buildPane(name)]));
  pair.none = h("div", { class: "pair-none" });
  const panes = NETWORKS.map((name) => pair.panes[name].node);
  pair.node = h("div", { class: "stages", hidden: true }, pair.none, panes);
  pair.select = (label) => {
    pair.selected = label;
    for (const node of pair.list)
      node.setAttribute("aria-current", String(node.dataset.label === String(label.id)));
    onChange();
  };

  const turnTo = (changes) => {
    address.note(changes);
    onToggle();
  };
  const setOver = (wanted) => {
    pair.over.checked = wanted;
    address.note({ over: wanted ? "truth" : null });
    onChange();
  };
  const stepBy = (delta) => {
    const next = neighbour(pair.data, delta);
    if (next !== null) turnTo({ probe: next });
  };
  pair.show = (run, label) => show(pair, run, label);
  pair.entries = (entry) => entries(pair, entry);
  pair.paint = (picture, onlyKept) => paint(pair, picture, onlyKept);
  pair.key = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const acts = { s: () => pair.toggle.click() };
    if (pair.isOn())
      Object.assign(acts, {
        t: () => setOver(!pair.over.checked),
        ",": () => stepBy(-1),
        ".": () => stepBy(1),
      });
    acts[event.key]?.();
    return event.key in acts;
  };
  return pair;
}

const button = (id, text, title, onclick) =>
  h("button", { type: "button", class: "button", id, title, "aria-label": title, onclick }, text);

function buildPane(name) {
  const pane = {
    caption: h("figcaption", {}),
    seen: h("span", { class: "seen-note", title: SEEN_WORDS }),
    words: h("p", { class: "pane-words" }),
    canvas: h("canvas", { id: `viewer-pair-${name}` }),
  };
  pane.node = h("figure", {}, h("div", {}, pane.caption, pane.seen), pane.words, pane.canvas);
  return pane;
}

/** Ask for both and say what there is, shown once it is known. "late" = another was asked for meanwhile. */
async function show(pair, run, label) {
  const turn = ++pair.turn;
  const isOn = pair.isOn();
  pair.toggle.setAttribute("aria-pressed", String(isOn));
  if (!isOn) {
    pair.node.hidden = pair.tools.hidden = true;
    return null;
  }
  if (pair.label !== null && pair.label.id !== label.id) address.note({ probe: null });
  const it = address.getNumber("probe", label.step);
  const data = await ask(runPath(run, `/images/${label.image_id}/probes`), { it });
  if (turn !== pair.turn) return "late";
  Object.assign(pair, { data, label, selected: null });
  showWords(pair, label);
  pair.node.hidden = pair.tools.hidden = false;
  return data;
}

function showWords(pair, label) {
  const { data } = pair;
  const isProbed = data.step !== null;
  fill(pair.none, isProbed ? null : noProbe(data));
  pair.none.hidden = isProbed;
  for (const tool of pair.probeTools) tool.hidden = !isProbed;
  pair.earlier.disabled = neighbour(data, -1) === null;
  pair.later.disabled = neighbour(data, 1) === null;
  setText(pair.when, isProbed ? whenText(data, label) : "");
  for (const name of NETWORKS) showPane(pair.panes[name], name, data);
}

function showPane(pane, name, data) {
  const side = data[name];
  pane.node.hidden = data.step === null;
  pane.canvas.hidden = side === null;
  pane.words.hidden = side !== null;
  setText(pane.words, side === null ? noSide(name, data) : "");
  const kept = side?.labels.filter((one) => one.kept).length;
  const found = side && `: ${plural(side.labels.length, "candidate")}, ${count(kept)} kept`;
  setText(pane.caption, `${NAMES[name]}${found ?? ""}`);
  setText(pane.seen, side?.seen ? "It saw only what lies inside the thin dashed frame." : "");
}

const stepsOf = ({ recorded }) => {
  const steps = new Set(NETWORKS.flatMap((name) => recorded[name]));
  return [...steps].sort((a, b) => a - b);
};

/** The step of the probe before or after the one that is shown, or null. */
function neighbour(data, delta) {
  if (data === null || data.step === null) return null;
  const steps = stepsOf(data);
  return steps[steps.indexOf(data.step) + delta] ?? null;
}

function whenText(data, label) {
  const steps = stepsOf(data);
  const isOwn = data.step === label.step || address.get("probe") !== null;
  const why = isOwn ? "" : ` (nearest to ${count(label.step)})`;
  const place = `probe ${count(steps.indexOf(data.step) + 1)} of ${count(steps.length)}`;
  return `step ${count(data.step)}${why}, ${place}`;
}

function noSide(name, { step, recorded }) {
  const steps = recorded[name];
  const words = `No probe of the ${name} was recorded at step ${count(step)}`;
  if (steps.length === 0) return `${words}, nor at any other.`;
  if (steps.length === 1) return `${words}, only at step ${count(steps[0])}.`;
  return `${words}; there are ${count(steps.length)} from step ${count(steps[0])} to ${count(steps.at(-1))}.`;
}

/** Why there is nothing to compare, and images for which there is. */
function noProbe({ probed }) {
  if (probed.length === 0)
    return h("p", {}, "Nothing to compare: no probe of teacher or student was recorded in this run yet (record.probe_images, record.probe_every).");
  const links = probed.map((image) =>
    h("a", { href: address.link("/labels", { image, span: 0, beside: "student" }) }, `image ${image}`),
  );
  return [
    h("p", {}, "Nothing to compare: teacher and student are recorded side by side on a few probe images only, and this is none of them. Labels of those that are:"),
    h("p", { class: "probe-links" }, links),
  ];
}

/** The list beside the panes: the labels of both, each under the name of its network. */
function entries(pair, entry) {
  const rows = (name) => (pair.data?.[name]?.labels ?? []).map((one) => entry(one, () => pair.select(one)));
  const groups = NETWORKS.map((name) => [name, rows(name)]);
  pair.list = groups.flatMap(([, nodes]) => nodes);
  return groups.map(([name, nodes]) =>
    nodes.length ? [h("div", { class: "title", role: "presentation" }, NAMES[name]), nodes] : null,
  );
}

function paint({ data, panes, selected, over }, picture, onlyKept) {
  if (!data || data.step === null || !picture) return;
  const truth = over.checked ? data.truth.map((one) => ({ ...one, truth: true, bare: true })) : [];
  for (const name of NETWORKS) {
    const side = data[name];
    if (side === null) continue;
    const marks = marksOf(side.labels, selected, onlyKept);
    const seen = side.seen && { box: side.seen, dim: true };
    drawWhole(panes[name].canvas, picture, data.image, [...marks, ...truth], seen);
  }
}

/** The chosen label is strong, and so is what the other network made of the same object. */
function marksOf(labels, selected, onlyKept) {
  const isChosen = (one) =>
    selected !== null && (one.id === selected.id || (one.gt_id >= 0 && one.gt_id === selected.gt_id));
  return labels
    .filter((one) => one.kept || !onlyKept || one.id === selected?.id)
    .map((one) => ({ ...one, strong: isChosen(one), faint: selected !== null && !isChosen(one) }))
    .toSorted((a, b) => a.strong - b.strong || a.kept - b.kept);
}
