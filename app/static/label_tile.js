// One label as a tile: its mask over the picture, its class and scores, kept or why not.

import { cropAround, drawView, loadImage, wholeImage } from "./drawing.js";
import { h } from "./dom.js";
import { pictureUrl } from "./http.js";
import { describe, kindOf } from "./kinds.js";
import { className } from "./session.js";
import { count, score } from "./text.js";

const TILE_SIDE = 640;

/**
 * A button with a canvas; `whole` shows the entire image instead of a crop, `scores` (of the run)
 * are the numbers under it; `small` leaves all but class and verdict out.
 */
export function labelTile(run, label, image, { whole = false, small = false, scores, onOpen }) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const tile = h(
    "button",
    {
      type: "button",
      class: "label-tile",
      title: tooltip(label),
      data: { label: label.id },
      onclick: () => onOpen(label, tile),
    },
    canvas,
    small ? shortCaption(label) : caption(label, image, scores),
  );
  tile.draw = () => paint(canvas, run, label, image, whole);
  return tile;
}

/** Draw the tiles that are in the page; call again when the theme or the size changes. */
export function drawTiles(tiles) {
  return Promise.all(tiles.map((tile) => tile.draw()));
}

async function paint(canvas, run, label, image, whole) {
  const mark = { ...label, strong: false };
  try {
    const picture = await loadImage(pictureUrl(run, image.id, TILE_SIDE));
    const view = whole ? wholeImage(image, 1) : cropAround(label.box, image, 1);
    drawView(canvas, picture, image, view, [mark], label.seen && { box: label.seen, dim: true });
  } catch (problem) {
    canvas.title = `This image cannot be shown: ${problem.message}`;
  }
}

/** The numbers of a tile: two that say most of this run's labels, and what they are sorted by. */
export function tileScores(scores, sort) {
  const isBoxed = scores.some((one) => one.name === "target_iou");
  const names = isBoxed ? ["mask_score", "target_iou", sort] : ["mask_quality", "class_quality", sort];
  return [...new Set(names)]
    .map((name) => scores.find((one) => one.name === name))
    .filter((one) => one !== undefined);
}

/** A score as text: "0.87", or "3" of what is counted. */
export const scoreText = ({ name, is_share }, label) =>
  is_share || name === "weight" ? score(label[name]) : count(label[name]);

export function classText(label) {
  if (label.label === label.label_before) return [className(label.label)];
  return [
    h("s", { title: "before correction" }, className(label.label_before)),
    ` → ${className(label.label)}`,
  ];
}

export function verdict(label) {
  const kind = kindOf(label.kind);
  const extra = label.duplicate ? ", again" : "";
  const hint = label.duplicate
    ? `${describe(kind)}; but a better label already has this object`
    : describe(kind);
  return h(
    "span",
    { class: "verdict", title: hint },
    h("i", { class: "dot", style: { "--tint": `var(--lab-kind-${kind.key})` } }),
    kind.name + extra,
  );
}

function caption(label, image, scores) {
  return h(
    "span",
    { class: "caption" },
    h("span", { class: "class" }, classText(label)),
    h(
      "span",
      { class: "num hint" },
      scores.map((one) => `${one.short} ${scoreText(one, label)}`.replaceAll(" ", "\u00a0")).join(" · "),
    ),
    verdict(label),
    label.kept
      ? h("span", { class: "kept-mark" }, "kept")
      : h("span", { class: "why" }, `dropped: ${label.why}`),
    maskNote(label),
    cutNote(label, image),
  );
}

function shortCaption(label) {
  return h(
    "span",
    { class: "caption" },
    h("span", { class: "class" }, classText(label)),
    verdict(label),
  );
}

/** Scores are always stored, masks of every k-th recorded step only: then a box stands in. */
export function maskNote(label) {
  if (label.mask) return null;
  return h(
    "span",
    { class: "hint", title: "record.keep: only some recorded steps keep their masks" },
    "box only, mask not stored",
  );
}

/** How a view that shows a part of the image is judged, see lab/analysis/judge.py. */
export const SEEN_WORDS =
  "The teacher's view is a crop of the image. Masks end at its edge, and are compared with the part of each true object inside it; a part under 5 pixels does not count.";

const EDGE = 2;

/** A straight edge of a mask needs a reason: there the view ended. */
function cutNote({ box, seen }, { width, height }) {
  if (!seen) return null;
  const at = (side, edge, end) => Math.abs(side - edge) <= EDGE && Math.abs(edge - end) > EDGE;
  const isCut =
    at(box[0], seen[0], 0) ||
    at(box[1], seen[1], 0) ||
    at(box[2], seen[2], width) ||
    at(box[3], seen[3], height);
  return isCut ? h("span", { class: "hint", title: SEEN_WORDS }, "cut by the edge of the view") : null;
}

function tooltip(label) {
  const fate = label.kept ? "kept" : `dropped, ${label.why}`;
  const seen = label.seen ? "\nDimmed: what the teacher's view did not show." : "";
  return `step ${label.step}, image ${label.image_id}: ${fate}${seen}`;
}
