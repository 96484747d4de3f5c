// What a pair of thresholds keeps, read from cumulative counts in O(1). Pure.

export const SIDE = 101;
const WRONG = ["loc", "sim", "oth", "bg"];
const UNJUDGED = ["unknown", "ignored"];

/** Counts of labels at or above every pair of grid thresholds, and every coupled one. */
export class Histogram {
  /** answer: of /lab/runs/{run}/what-if; `planes` names its planes, kinds first, then "found". */
  constructor({ planes, pair, coupled, truths }) {
    this.planes = planes;
    this.pair = Int32Array.from(pair);
    this.coupled = Int32Array.from(coupled);
    const reachable = this.pair[planes.indexOf("found") * SIDE * SIDE];
    this.truthsKnown = truths !== null;
    this.truths = truths ?? reachable;
  }

  /** {cor, loc, ..., found} at class and mask grid indices 0..100. */
  at(classIndex, maskIndex) {
    return this.#read(this.pair, SIDE * SIDE, classIndex * SIDE + maskIndex);
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

  /** One metric at all pairs: Float64Array, class index * 101 + mask index; NaN where undefined. */
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
    return best < 0 ? null : { classIndex: Math.floor(best / SIDE), maskIndex: best % SIDE };
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
      classIndex: first((i) => kept(this.at(i, 0))),
      maskIndex: first((i) => kept(this.at(0, i))),
    };
  }
}

export const kept = (counts) => judged(counts) + sum(counts, UNJUDGED);
export const judged = (counts) => counts.cor + sum(counts, WRONG);
/** A second right label for an object already found is kept, but not counted as right. */
export const precision = (counts) => (judged(counts) > 0 ? counts.found / judged(counts) : NaN);
export const recall = (counts, truths) => (truths > 0 ? counts.found / truths : NaN);

export function f1(counts, truths) {
  const both = judged(counts) + truths;
  return truths > 0 && judged(counts) > 0 ? (2 * counts.found) / both : NaN;
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
  return judged(counts) > 0 ? counts[metric] / judged(counts) : NaN;
}

function sum(counts, names) {
  return names.reduce((total, name) => total + counts[name], 0);
}
