// COCO compressed RLE in the browser: runs of columns -> filled pixels and their outline.

/** Run lengths of a COCO `counts` string (6 bits a character, deltas from the third on). */
export function runLengths(counts) {
  const runs = [];
  let at = 0;
  while (at < counts.length) {
    let value = 0;
    let shift = 0;
    let code;
    do {
      code = counts.charCodeAt(at++) - 48;
      value |= (code & 0x1f) << shift;
      shift += 5;
    } while (code & 0x20);
    if (code & 0x10) value |= -1 << shift;
    runs.push(runs.length > 2 ? value + runs.at(-2) : value);
  }
  return runs;
}

/** Column-major bitmap (x * height + y) of a mask {size: [h, w], counts}. */
export function bitmap({ size: [height, width], counts }) {
  const pixels = new Uint8Array(height * width);
  let at = 0;
  let inside = false;
  for (const length of runLengths(counts)) {
    if (inside) pixels.fill(1, at, at + length);
    at += length;
    inside = !inside;
  }
  return pixels;
}

/**
 * The closed loops along the pixel borders of a mask, as flat [x0, y0, x1, y1, ...] corner lists.
 * The inside is always on the right hand, so holes run the other way and even-odd fill is exact.
 */
export function loops(mask) {
  const [height, width] = mask.size;
  const ends = borders(bitmap(mask), height, width);
  const stride = height + 1;
  const found = [];
  for (const start of ends.keys()) {
    while (ends.get(start)?.length) found.push(follow(ends, start, stride));
  }
  return found;
}

/** Directed unit borders: start corner -> end corners, corners numbered x * (height + 1) + y. */
function borders(pixels, height, width) {
  const ends = new Map();
  const stride = height + 1;
  const add = (from, to) => (ends.has(from) ? ends.get(from).push(to) : ends.set(from, [to]));
  const isInside = (x, y) =>
    x >= 0 && y >= 0 && x < width && y < height && pixels[x * height + y] === 1;
  for (let at = pixels.indexOf(1); at !== -1; at = pixels.indexOf(1, at + 1)) {
    const x = Math.floor(at / height);
    const y = at % height;
    const corner = x * stride + y;
    if (!isInside(x, y - 1)) add(corner, corner + stride);
    if (!isInside(x + 1, y)) add(corner + stride, corner + stride + 1);
    if (!isInside(x, y + 1)) add(corner + stride + 1, corner + 1);
    if (!isInside(x - 1, y)) add(corner + 1, corner);
  }
  return ends;
}

function follow(ends, start, stride) {
  const corners = [];
  let from = start;
  let heading = 0;
  do {
    const to = ends.get(from).pop();
    if (to - from !== heading) corners.push(Math.floor(from / stride), from % stride);
    heading = to - from;
    from = to;
  } while (from !== start);
  return corners;
}

const paths = new WeakMap();

/** The mask as a Path2D in image pixels; made once per mask. */
export function outline(mask) {
  if (!paths.has(mask)) paths.set(mask, toPath(loops(mask)));
  return paths.get(mask);
}

function toPath(all) {
  const path = new Path2D();
  for (const corners of all) {
    path.moveTo(corners[0], corners[1]);
    for (let at = 2; at < corners.length; at += 2) path.lineTo(corners[at], corners[at + 1]);
    path.closePath();
  }
  return path;
}
