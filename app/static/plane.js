// The threshold plane: a metric at every pair of thresholds, with the points that matter on it.

import { fitCanvas } from "./drawing.js";
import { SIDE } from "./histogram.js";
import { colour } from "./kinds.js";
import { count, percent, score } from "./text.js";

const MARGIN = { left: 50, right: 14, top: 12, bottom: 42 };
const RAMP = [
  [38, 35, 92],
  [49, 81, 145],
  [37, 124, 152],
  [46, 164, 138],
  [132, 200, 88],
  [245, 226, 80],
];

/** A heat map on a canvas. `paint` redraws everything in about a millisecond. */
export class Plane {
  constructor(canvas, onPick) {
    this.canvas = canvas;
    this.field = document.createElement("canvas");
    this.origin = { xIndex: 0, yIndex: 0 };
    this.titles = ["", ""];
    this.#listen(onPick);
  }

  /** values: 101 * 101, x index major. Colours run from the lowest to the highest value. */
  setField(values, origin, { root = false } = {}) {
    this.origin = origin;
    const finite = values.filter(Number.isFinite);
    this.low = finite.length ? finite.reduce((a, b) => Math.min(a, b)) : 0;
    this.high = finite.length ? finite.reduce((a, b) => Math.max(a, b)) : 1;
    this.root = root;
    this.field.width = SIDE - origin.xIndex;
    this.field.height = SIDE - origin.yIndex;
    this.field.getContext("2d").putImageData(this.#image(values), 0, 0);
  }

  #image(values) {
    const { width, height } = this.field;
    const image = new ImageData(width, height);
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        const value = values[(this.origin.xIndex + x) * SIDE + SIDE - 1 - y];
        if (Number.isFinite(value))
          image.data.set([...this.shade(value), 255], 4 * (y * width + x));
      }
    }
    return image;
  }

  shade(value) {
    const share = (value - this.low) / (this.high - this.low || 1);
    return ramp(this.root ? Math.sqrt(Math.max(0, share)) : share);
  }

  /** points: [{xIndex, yIndex, shape, tint}], curves: [{coupledIndex, tint, dash}]. */
  paint(points, curves) {
    const size = fitCanvas(this.canvas);
    if (size.width === 0) return;
    this.box = {
      x: MARGIN.left,
      y: MARGIN.top,
      width: size.width - MARGIN.left - MARGIN.right,
      height: size.height - MARGIN.top - MARGIN.bottom,
    };
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, size.width, size.height);
    this.#paintField(context);
    this.#paintAxes(context);
    context.save();
    context.beginPath();
    context.rect(this.box.x, this.box.y, this.box.width, this.box.height);
    context.clip();
    for (const curve of curves) this.#paintCurve(context, curve);
    context.restore();
    for (const point of points) paintPoint(context, this.#place(point), point);
  }

  #paintField(context) {
    const { x, y, width, height } = this.box;
    context.fillStyle = colour("sunken");
    context.fillRect(x, y, width, height);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.field, x, y, width, height);
  }

  #paintAxes(context) {
    const { x, y, width, height } = this.box;
    context.fillStyle = colour("soft");
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    for (let index = this.origin.xIndex; index < SIDE; index += 10)
      context.fillText((index / 100).toFixed(1), this.#x(index), y + height + 16);
    context.fillText(`${this.titles[0]} →`, x + width / 2, y + height + 34);
    context.textAlign = "right";
    for (let index = this.origin.yIndex; index < SIDE; index += 10)
      context.fillText((index / 100).toFixed(1), x - 7, this.#y(index) + 4);
    context.save();
    context.translate(13, y + height / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText(`${this.titles[1]} →`, 0, 0);
    context.restore();
  }

  /** Where the product of both scores equals a threshold. */
  #paintCurve(context, { coupledIndex, tint, dash = [] }) {
    context.beginPath();
    for (let index = Math.max(1, this.origin.xIndex); index <= SIDE - 1; index += 0.5) {
      context.lineTo(this.#x(index), this.#y(Math.min(140, (coupledIndex / index) * 100)));
    }
    context.setLineDash(dash);
    strokeTwice(context, tint);
    context.setLineDash([]);
  }

  #x(xIndex) {
    const cells = SIDE - this.origin.xIndex;
    return this.box.x + ((xIndex - this.origin.xIndex + 0.5) / cells) * this.box.width;
  }

  #y(yIndex) {
    const cells = SIDE - this.origin.yIndex;
    return (
      this.box.y +
      this.box.height -
      ((yIndex - this.origin.yIndex + 0.5) / cells) * this.box.height
    );
  }

  #place({ xIndex, yIndex }) {
    return {
      x: this.#x(Math.max(xIndex, this.origin.xIndex)),
      y: this.#y(Math.max(yIndex, this.origin.yIndex)),
    };
  }

  #listen(onPick) {
    const pick = (event, done) => this.box && onPick(this.#pairAt(event), done);
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      pick(event, false);
    });
    this.canvas.addEventListener(
      "pointermove",
      (event) => event.buttons === 1 && pick(event, false),
    );
    this.canvas.addEventListener("pointerup", (event) => pick(event, true));
  }

  #pairAt({ offsetX, offsetY }) {
    const across = (offsetX - this.box.x) / this.box.width;
    const up = 1 - (offsetY - this.box.y) / this.box.height;
    const index = (share, low) =>
      Math.round(Math.min(SIDE - 1, Math.max(low, low + share * (SIDE - low) - 0.5)));
    return {
      xIndex: index(across, this.origin.xIndex),
      yIndex: index(up, this.origin.yIndex),
    };
  }

  /** The scale under the plane as text: what dark and bright mean. */
  scale(metric) {
    const text = metric === "kept" ? count : ["f1", "iou"].includes(metric) ? score : percent;
    return {
      low: text(this.low),
      high: text(this.high),
      gradient: `linear-gradient(90deg, ${RAMP.map((rgb) => `rgb(${rgb.join(" ")})`).join(", ")})`,
    };
  }
}

function ramp(share) {
  const place = Math.min(0.9999, Math.max(0, share)) * (RAMP.length - 1);
  const [from, to] = [RAMP[Math.floor(place)], RAMP[Math.floor(place) + 1]];
  return from.map((value, channel) => Math.round(value + (to[channel] - value) * (place % 1)));
}

function strokeTwice(context, tint) {
  context.lineWidth = 4;
  context.strokeStyle = "rgba(0, 0, 0, 0.5)";
  context.stroke();
  context.lineWidth = 2;
  context.strokeStyle = tint;
  context.stroke();
}

const SHAPES = {
  circle: (context, x, y) => context.arc(x, y, 6.5, 0, 2 * Math.PI),
  diamond: (context, x, y) =>
    polygon(context, [
      [x, y - 8],
      [x + 8, y],
      [x, y + 8],
      [x - 8, y],
    ]),
  star: (context, x, y) =>
    polygon(
      context,
      Array.from({ length: 10 }, (_, i) => {
        const radius = i % 2 ? 4 : 9;
        return [x + radius * Math.sin((i * Math.PI) / 5), y - radius * Math.cos((i * Math.PI) / 5)];
      }),
    ),
  cross: (context, x, y) => {
    context.moveTo(x - 11, y);
    context.lineTo(x + 11, y);
    context.moveTo(x, y - 11);
    context.lineTo(x, y + 11);
  },
};

function polygon(context, corners) {
  context.moveTo(...corners[0]);
  for (const corner of corners.slice(1)) context.lineTo(...corner);
  context.closePath();
}

function paintPoint(context, { x, y }, { shape, tint }) {
  context.beginPath();
  SHAPES[shape](context, x, y);
  if (shape !== "cross") {
    context.fillStyle = "rgba(10, 14, 20, 0.75)";
    context.fill();
  }
  strokeTwice(context, tint);
}
