// The image of a timeline at one frame: labels on one canvas, truth on the other.

import * as address from "./address.js";
import { drawView, wholeImage } from "./drawing.js";
import { setText } from "./dom.js";
import { keptWords } from "./notices.js";
import { outline } from "./rle.js";
import { session } from "./session.js";
import { count } from "./text.js";

/** The track of the smallest label whose box is under the pointer, or null. */
export function trackUnder(page, event) {
  const scale = page.data.image.width / page.teacher.clientWidth;
  const [x, y] = [event.offsetX * scale, event.offsetY * scale];
  const area = ({ box: [x1, y1, x2, y2] }) => (x2 - x1) * (y2 - y1);
  const under = visibleLabels(page).filter(
    ({ box }) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3],
  );
  return under.toSorted((a, b) => area(a) - area(b))[0]?.track ?? null;
}

function visibleLabels({ data, player, chosen }) {
  const shown = new Set(chosen.map(({ track }) => track));
  return (data.frames[player.index]?.labels ?? []).filter(({ track }) => shown.has(track));
}

/** Draw the frame that the player is at, the selected thing stronger than the others. */
export function paintStages(page) {
  const { data, player, picture, selected } = page;
  const frame = data.frames[player.index];
  const labels = visibleLabels(page);
  const marks = labels
    .map((label) => ({
      ...label,
      strong: label.track === selected,
      faint: selected !== null && label.track !== selected,
    }))
    .toSorted((a, b) => a.strong - b.strong || a.kept - b.kept);
  const truth = data.truth.map((one) => ({ ...one, truth: true }));
  stage(page.teacher, picture, data.image, marks, frame.seen && { box: frame.seen, dim: true });
  stage(page.truth, picture, data.image, truth, frame.seen && { box: frame.seen });
  setText(page.captions[0], `Step ${count(frame.step)}: ${keptWords(labels, session.run)}`);
  if (page.partnerData) paintPartner(page, frame.step);
}

/** What the other network said of the image, at its newest step up to this one. */
function paintPartner(page, step) {
  const { frames, image, source } = page.partnerData;
  const frame = frames.findLast((one) => one.step <= step);
  const labels = partnerLabels(frames, frame).toSorted((a, b) => a.kept - b.kept);
  stage(page.partner, page.picture, image, labels, null);
  const who = source === "probe_student" ? "The student" : "The teacher";
  const told = frame ? `step ${count(frame.step)}: ${keptWords(labels, session.run)}` : "nothing recorded yet";
  setText(page.captions[2], `${who}, ${told}`);
}

/** Those of the class in view; things that were ever kept, if any was and not all are asked for. */
function partnerLabels(frames, frame) {
  const cls = address.getNumber("cls");
  const all = frames.flatMap(({ labels }) => labels);
  const kept = new Set(all.filter((one) => one.kept).map(({ track }) => track));
  const every = address.get("of") === "all" || kept.size === 0;
  return (frame?.labels ?? []).filter(
    (one) => (every || kept.has(one.track)) && (cls === null || one.label === cls),
  );
}

function stage(canvas, picture, image, marks, seen) {
  const aspect = canvas.clientWidth / Math.max(1, canvas.clientHeight);
  drawView(canvas, picture, image, wholeImage(image, aspect), marks, seen);
}

/** Outlines are made while nothing else is to be done, so that playing finds them ready. */
export function prefetch(frames) {
  const masks = frames.flatMap(({ labels }) => labels.map(({ mask }) => mask)).filter(Boolean);
  const later =
    globalThis.requestIdleCallback ??
    ((work) => setTimeout(() => work({ timeRemaining: () => 8 }), 16));
  const work = (deadline) => {
    while (masks.length && deadline.timeRemaining() > 2) outline(masks.pop());
    if (masks.length) later(work);
  };
  later(work);
}
