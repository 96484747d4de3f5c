// What a pair of thresholds keeps, read from cumulative counts in O(1). Pure.

export const SIDE = 101;
const WRONG = ["loc", "sim", "oth", "bg"];
const UNJUDGED = ["unknown", "ignored"];

/** Counts of labels at or above every pair of grid thresholds, and every coupled one. */
export class Histogram {
  /**
   * answer: of /lab/runs/{run}/what-if; `planes` names its planes, kinds first, then "found". Where
   * it has `ious`, two more: the sum of true IoU, and how many labels that is of.
   */
  constructor({ planes, pair, coupled, truths, ious }) {
    this.hasIou = Boolean(ious);
    this.planes = ious ? [...planes, "iou", "known"] : planes;
    this.pair = Float64Array.from(ious ? [...pair, ...ious.pair] : pair);
    this.coupled = Float64Array.from(ious ? [...coupled, ...ious.coupled] : coupled);
    const reachable = this.pair[planes.indexOf("found") * SIDE * SIDE];
    this.truthsKnown = truths !== null;
    this.truths = truths ?? reachable;
  }

  /** {cor, loc, ..., found} at grid indices 0..100 of both scores. */
  at(xIndex, yIndex) {
    return this.#read(this.pair, SIDE * SIDE, xIndex * SIDE + yIndex);
  }

  /** The same for one threshold on the product. */
  atCoupled(index) {
    return this.#read(this.coupled, SIDE, index);
  }

  #read(counts, stride, offset) {
    return Object.fromEntries(
      this.planes.map((name, plane) => [name, counts[plane * stride + offset]]),
    );
  }

  /** One metric at all pairs: Float64Array, x index * 101 + y index; NaN where undefined. */
  plane(metric) {
    const values = new Float64Array(SIDE * SIDE);
    for (let at = 0; at < values.length; at += 1) {
      values[at] = metricOf(this.#read(this.pair, SIDE * SIDE, at), this.truths, metric);
    }
    return values;
  }

  /** Indices of the pair with the highest F1, of equals the lowest pair; null without truth. */
  bestF1() {
    const scores = this.plane("f1");
    let best = -1;
    for (let at = 0; at < scores.length; at += 1)
      if (scores[at] > (best < 0 ? 0 : scores[best])) best = at;
    return best < 0 ? null : { xIndex: Math.floor(best / SIDE), yIndex: best % SIDE };
  }

  /** Lowest index on each axis at which a label is already lost, a multiple of 10 below it. */
  firstLoss() {
    const total = kept(this.at(0, 0));
    const first = (count) => {
      let index = 0;
      while (index < SIDE - 1 && count(index + 1) === total) index += 1;
      return Math.min(80, 10 * Math.floor(index / 10));
    };
    return {
      xIndex: first((i) => kept(this.at(i, 0))),
      yIndex: first((i) => kept(this.at(0, i))),
    };
  }
}

export const kept = (counts) => judged(counts) + sum(counts, UNJUDGED);
export const judged = (counts) => counts.cor + sum(counts, WRONG);
/** Duplicates are right here as everywhere; that they find nothing new is what recall tells. */
export const precision = (counts) => (judged(counts) > 0 ? counts.cor / judged(counts) : NaN);
export const recall = (counts, truths) => (truths > 0 ? counts.found / truths : NaN);

/** Of the labels whose own true IoU is known; NaN where that is not recorded. */
export const meanIou = (counts) => (counts.known > 0 ? counts.iou / counts.known : NaN);

/** Harmonic mean of precision and recall; 0 when nothing is right, NaN when nothing is judged. */
export function f1(counts, truths) {
  const [right, complete] = [precision(counts), recall(counts, truths)];
  return complete === 0 ? right * 0 : (2 * right * complete) / (right + complete);
}

/** a - b, name by name. */
export function minus(a, b) {
  return Object.fromEntries(Object.keys(a).map((name) => [name, a[name] - b[name]]));
}

export function metricOf(counts, truths, metric) {
  if (metric === "kept") return kept(counts);
  if (metric === "precision") return precision(counts);
  if (metric === "recall") return recall(counts, truths);
  if (metric === "f1") return f1(counts, truths);
  if (metric === "iou") return meanIou(counts);
  return judged(counts) > 0 ? counts[metric] / judged(counts) : NaN;
}

function sum(counts, names) {
  return names.reduce((total, name) => total + counts[name], 0);
}
