// Images and masks on a canvas, sharp at any zoom: outlines are vectors, never scaled bitmaps.

import { colour, kindColour } from "./kinds.js";
import { outline } from "./rle.js";

const images = new Map();
const MAX_IMAGES = 300;

/** A decoded image by URL; loaded once, the oldest forgotten. */
export function loadImage(url) {
  if (!images.has(url)) {
    const image = new Image();
    image.src = url;
    images.set(
      url,
      image.decode().then(() => image),
    );
    if (images.size > MAX_IMAGES) images.delete(images.keys().next().value);
  }
  return images.get(url);
}

/** Give the canvas as many pixels as the screen has for it; returns its CSS size. */
export function fitCanvas(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide) canvas.width = wide; // setting it, even to what it is, costs a buffer
  if (canvas.height !== high) canvas.height = high;
  canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
  return { width, height };
}

/** The part of an image around a box, with air, in the canvas's proportions, in image pixels. */
export function cropAround([x1, y1, x2, y2], image, aspect, air = 0.45) {
  const least = 0.18 * Math.min(image.width, image.height);
  const wide = Math.max((x2 - x1) * (1 + 2 * air), least);
  const high = Math.max((y2 - y1) * (1 + 2 * air), least);
  const width = Math.max(wide, high * aspect);
  const height = width / aspect;
  return shiftInside({ x: (x1 + x2 - width) / 2, y: (y1 + y2 - height) / 2, width, height }, image);
}

export function wholeImage(image, aspect) {
  const width = Math.max(image.width, image.height * aspect);
  const height = width / aspect;
  return { x: (image.width - width) / 2, y: (image.height - height) / 2, width, height };
}

function shiftInside(view, image) {
  const slide = (start, length, limit) =>
    length >= limit ? (limit - length) / 2 : Math.min(Math.max(0, start), limit - length);
  return {
    ...view,
    x: slide(view.x, view.width, image.width),
    y: slide(view.y, view.height, image.height),
  };
}

/**
 * Draw the view of an image, then each mark over it. `picture` may be smaller than `image`.
 * seen: {box, dim?} = the part of the image a network saw, framed, what lies outside dimmed.
 */
export function drawView(canvas, picture, image, view, marks, seen = null) {
  const { width, height } = fitCanvas(canvas);
  if (width === 0) return;
  const context = canvas.getContext("2d");
  const scale = width / view.width;
  context.fillStyle = colour("sunken");
  context.fillRect(0, 0, width, height);
  context.save();
  context.scale(scale, scale);
  context.translate(-view.x, -view.y);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, image.width, image.height);
  if (seen?.dim) dimOutside(context, seen.box, image);
  for (const mark of marks) drawMark(context, mark, scale);
  if (seen) drawFrame(context, seen.box, scale);
  context.restore();
}

/** The whole image in the middle of the canvas. */
export function drawWhole(canvas, picture, image, marks, seen = null) {
  const aspect = canvas.clientWidth / Math.max(1, canvas.clientHeight);
  drawView(canvas, picture, image, wholeImage(image, aspect), marks, seen);
}

const SHADE = "rgba(8, 11, 16, 0.6)";

function dimOutside(context, box, image) {
  const path = new Path2D();
  path.rect(0, 0, image.width, image.height);
  path.addPath(boxPath(box));
  context.fillStyle = SHADE;
  context.fill(path, "evenodd");
}

/** A thin dashed line of both extremes: it shows on any picture, and has no colour of a kind. */
function drawFrame(context, box, scale) {
  const path = boxPath(box);
  context.save();
  strokePath(context, path, "rgba(0, 0, 0, 0.65)", 1.5 / scale);
  context.setLineDash([5 / scale, 5 / scale]);
  strokePath(context, path, "#ffffff", 1.5 / scale);
  context.restore();
}

/**
 * mark: {mask, box, kind, kept, faint?, strong?, truth?, bare?}. Kept is solid and filled (not
 * when it is bare), dropped dashed.
 * A dark line under the coloured one keeps it readable on any picture.
 */
export function drawMark(context, mark, scale) {
  const path = mark.mask ? outline(mark.mask) : boxPath(mark.box);
  const tint = mark.truth ? colour("truth") : kindColour(mark.kind);
  const line = (mark.strong ? 3 : mark.faint ? 1.5 : 2) / scale;
  context.save();
  context.globalAlpha = mark.faint ? 0.85 : 1;
  if (!mark.bare && (mark.kept || mark.truth || mark.strong))
    fillPath(context, path, tint, mark.faint ? 0.16 : mark.strong ? 0.36 : 0.24);
  context.lineJoin = "round";
  context.setLineDash(mark.kept || mark.truth ? [] : [6 / scale, 4 / scale]);
  strokePath(context, path, "rgba(0, 0, 0, 0.5)", line + 1.5 / scale);
  strokePath(context, path, tint, line);
  context.restore();
}

function fillPath(context, path, tint, alpha) {
  context.save();
  context.globalAlpha *= alpha;
  context.fillStyle = tint;
  context.fill(path, "evenodd");
  context.restore();
}

function strokePath(context, path, tint, width) {
  context.strokeStyle = tint;
  context.lineWidth = width;
  context.stroke(path);
}

function boxPath([x1, y1, x2, y2]) {
  const path = new Path2D();
  path.rect(x1, y1, x2 - x1, y2 - y1);
  return path;
}
