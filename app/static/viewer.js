// One image large: all labels of its step on the left, the truth on the right, the list beside.

import * as address from "./address.js";
import { drawWhole, loadImage } from "./drawing.js";
import { fill, h, setText } from "./dom.js";
import { openDoor, throughDoor } from "./fiftyone.js";
import { ask, pictureUrl, runPath } from "./http.js";
import { classText, maskNote, scoreText, SEEN_WORDS, verdict } from "./label_tile.js";
import { kindOf } from "./kinds.js";
import { className, session } from "./session.js";
import { count, isNumber, plural, score } from "./text.js";
import { buildPair } from "./viewer_pair.js";

const LARGE_SIDE = 1600;

/** Make the dialog. `onMove(delta)` is asked for the neighbour when arrows or j/k are pressed. */
export function buildViewer(parent, { onMove, onClose }) {
  const parts = {
    title: h("h2", {}),
    subtitle: h("span", { class: "hint" }),
    past: h("a", { id: "viewer-past", title: "The same image at other steps" }, "Timeline"),
    fiftyone: h(
      "a",
      { id: "viewer-fiftyone", target: "_blank", rel: "noopener", hidden: true },
      "In FiftyOne",
    ),
    error: h("p", { class: "error-line" }),
    teacher: h("canvas", { id: "viewer-teacher" }),
    truth: h("canvas", { id: "viewer-truth" }),
    truthCaption: h("span", {}),
    judged: h("span", { class: "seen-note", title: SEEN_WORDS }),
    seen: h("span", { class: "seen-note", id: "viewer-seen", title: SEEN_WORDS }),
    list: h("div", { class: "entries", role: "listbox", "aria-label": "Labels of this image" }),
    only: h("input", { type: "checkbox" }),
    stages: h("div", { class: "stages" }),
    pair: buildPair({
      onToggle: () => showMode().catch((problem) => setText(parts.error, problem.message)),
      onChange: () => paint(),
    }),
  };
  const dialog = h(
    "dialog",
    { class: "viewer", "aria-label": "One image", onclose: onClose },
    body(parts, () => dialog.close()),
  );
  const shown = { data: null, picture: null, selected: null, run: null, label: null };
  const paint = () =>
    parts.pair.isOn() ? parts.pair.paint(shown.picture, parts.only.checked) : paintStages(parts, shown);
  dialog.addEventListener("keydown", (event) => parts.pair.key(event) || onKey(event, onMove));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  parts.only.addEventListener("change", () => {
    paint();
  });
  globalThis.addEventListener("resize", () => dialog.open && paint());
  parent.append(dialog);

  const select = (id) => {
    shown.selected = id;
    for (const entry of parts.list.children)
      entry.setAttribute("aria-current", String(entry.dataset.label === String(id)));
    parts.list.querySelector('[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
    paint();
  };
  /** Labels beside truth, or teacher beside student. */
  const showMode = async () => {
    const pair = await parts.pair.show(shown.run, shown.label);
    if (pair === "late") return;
    parts.stages.hidden = parts.subtitle.hidden = parts.pair.isOn();
    const entries = parts.pair.isOn()
      ? parts.pair.entries(entry)
      : shown.data.labels.map((one) => entry(one, () => select(one.id)));
    fill(parts.list, entries);
    parts.pair.isOn() ? paint() : select(shown.label.id);
  };
  const open = async (run, label) => {
    if (!dialog.open) dialog.showModal();
    try {
      await load(run, label, shown);
      Object.assign(shown, { run, label });
      showTexts(parts, shown.data, label);
      await showMode();
      await showDoor(parts.fiftyone, run, label);
    } catch (problem) {
      setText(parts.error, problem.message);
    }
  };
  return { open, isOpen: () => dialog.open, close: () => dialog.close() };
}

function body(parts, close) {
  const keys = h(
    "span",
    { class: "hint push" },
    h("kbd", {}, "←"),
    " ",
    h("kbd", {}, "→"),
    " or ",
    h("kbd", {}, "k"),
    " ",
    h("kbd", {}, "j"),
    " next label  ",
    h("kbd", {}, "s"),
    " student  ",
    h("kbd", {}, "Esc"),
    " close",
  );
  return h(
    "div",
    { class: "viewer-body" },
    h(
      "div",
      { class: "viewer-head" },
      parts.title,
      parts.subtitle,
      parts.past,
      parts.fiftyone,
      parts.error,
      parts.pair.toggle,
      parts.pair.tools,
      h("label", { class: "check" }, parts.only, "kept only"),
      keys,
      h(
        "button",
        { type: "button", class: "button", "aria-label": "Close", onclick: close },
        "Close",
      ),
    ),
    h(
      "div",
      { class: "viewer-main" },
      fill(
        parts.stages,
        h(
          "figure",
          {},
          h("figcaption", {}, "What the teacher believed: solid = kept, dashed = dropped", parts.seen),
          parts.teacher,
        ),
        h("figure", {}, h("figcaption", {}, parts.truthCaption, parts.judged), parts.truth),
      ),
      parts.pair.node,
      parts.list,
    ),
  );
}

async function load(run, label, shown) {
  const [data, picture] = await Promise.all([
    ask(runPath(run, `/images/${label.image_id}`), { it: label.step }),
    loadImage(pictureUrl(run, label.image_id, LARGE_SIDE)),
  ]);
  Object.assign(shown, { data, picture });
}

/** A way to the same image in FiftyOne while that is open. */
async function showDoor(link, run, { image_id }) {
  const door = await openDoor(run);
  link.hidden = door === null;
  if (door) link.href = throughDoor(door, { image: image_id });
}

function showTexts(parts, data, label) {
  const kept = data.labels.filter((one) => one.kept).length;
  setText(parts.error, "");
  setText(parts.title, data.image.name);
  const past = { image: data.image.id, it: label.step, source: "pseudo" };
  parts.past.href = address.link("/timeline", past);
  setText(
    parts.subtitle,
    `step ${count(label.step)}, ${plural(data.labels.length, "candidate")}, ${count(kept)} kept`,
  );
  setText(parts.seen, data.seen ? "It saw only what lies inside the thin dashed frame." : "");
  setText(
    parts.truthCaption,
    data.truth.length
      ? `The hidden truth: ${plural(data.truth.length, "object")}`
      : "The hidden truth: none is known for this image",
  );
  setText(parts.judged, data.seen ? "Drawn whole, judged inside the frame." : "");
}

function paintStages(parts, { data, picture, selected }) {
  if (!data) return;
  const believed = data.labels.filter(
    (label) => label.kept || !parts.only.checked || label.id === selected,
  );
  const marks = believed.map((label) => ({
    ...label,
    faint: label.id !== selected,
    strong: label.id === selected,
  }));
  marks.sort((a, b) => a.strong - b.strong || a.kept - b.kept);
  const matched = data.labels.find((label) => label.id === selected)?.gt_id ?? -1;
  const truth = data.truth.map((one) => ({
    ...one,
    truth: true,
    strong: one.id === matched && matched >= 0,
  }));
  drawWhole(parts.teacher, picture, data.image, marks, data.seen && { box: data.seen, dim: true });
  drawWhole(parts.truth, picture, data.image, truth, data.seen && { box: data.seen });
}

function entry(label, onPick) {
  const kind = kindOf(label.kind);
  return h(
    "button",
    {
      type: "button",
      class: "entry",
      role: "option",
      data: { label: label.id },
      onclick: onPick,
      onfocus: onPick,
    },
    h("i", { class: "dot", style: { "--tint": `var(--lab-kind-${kind.key})` } }),
    h("span", {}, classText(label)),
    verdict(label),
    h("span", { class: "scores num" }, scoresText(label)),
    label.kept
      ? h("span", { class: "why kept-mark" }, "kept")
      : h("span", { class: "why" }, `dropped: ${label.why}`),
    maskNote(label),
  );
}

/** Every score that the label has, by its name; the true IoU comes last. */
function scoresText(label) {
  const parts = session.run.scores
    .filter((one) => isNumber(label[one.name]))
    .map((one) => `${one.words} ${scoreText(one, label)}`);
  if (label.label !== label.label_before && isNumber(label.clip_after)) {
    parts.push(
      `CLIP ${score(label.clip_before)} for ${className(label.label_before)}, ${score(label.clip_after)} for ${className(label.label)}`,
    );
  }
  return parts.join(" · ");
}

function onKey(event, onMove) {
  const deltas = { ArrowRight: 1, ArrowDown: 1, j: 1, ArrowLeft: -1, ArrowUp: -1, k: -1 };
  if (!(event.key in deltas)) return;
  event.preventDefault();
  onMove(deltas[event.key]);
}
