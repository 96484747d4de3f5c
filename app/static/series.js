// What Live knows so far, and how it is made calm enough to read. Pure, but for the merging.

const BINS = 60;
const MAX_KEPT_POINTS = 4000;
const SUMS = ["images", "candidates", "kept", "right", "truths", "found"];
const JUDGED = ["cor", "loc", "sim", "oth", "bg"];

/** Append a series {steps, values} to what is known, dropping what a resumed run rewrote. */
export function extend(known, fresh) {
  if (!known) return fresh;
  const first = fresh.steps[0] ?? Infinity;
  const keep = known.steps.findIndex((step) => step >= first);
  const end = keep === -1 ? known.steps.length : keep;
  return thin({
    steps: [...known.steps.slice(0, end), ...fresh.steps],
    values: [...known.values.slice(0, end), ...fresh.values],
  });
}

function thin(series) {
  if (series.steps.length <= MAX_KEPT_POINTS) return series;
  const last = series.steps.length - 1;
  const pick = (_, index) => index % 2 === 0 || index === last;
  return { steps: series.steps.filter(pick), values: series.values.filter(pick) };
}

/** Exponential moving average over about `length` points; gaps stay gaps. */
export function smooth(values, length) {
  const share = 2 / (length + 1);
  let mean = null;
  return values.map((value) => {
    if (value === null) return null;
    mean = mean === null ? value : mean + share * (value - mean);
    return mean;
  });
}

/** Summaries added up over at most 60 stretches of equal numbers of recorded steps. */
export function binned(summaries) {
  const size = Math.max(1, Math.ceil(summaries.length / BINS));
  const bins = [];
  for (let at = 0; at < summaries.length; at += size)
    bins.push(addUp(summaries.slice(at, at + size)));
  return bins;
}

function addUp(stretch) {
  const total = {
    step: stretch.at(-1).step,
    images: 0,
    candidates: 0,
    kept: 0,
    right: 0,
    truths: 0,
    found: 0,
    kinds: {},
  };
  for (const one of stretch) {
    for (const name of SUMS) total[name] += one[name] ?? 0;
    for (const [kind, number] of Object.entries(one.kinds))
      total.kinds[kind] = (total.kinds[kind] ?? 0) + number;
  }
  return total;
}

const judged = (bin) => JUDGED.reduce((sum, kind) => sum + (bin.kinds[kind] ?? 0), 0);

/** Right labels, a second one on the same object not counted, among the judged; null for 0/0. */
export const precision = (bin) => (judged(bin) > 0 ? bin.right / judged(bin) : null);

export const recall = (bin) => (bin.truths > 0 ? bin.found / bin.truths : null);

/** The share of one kind among a bin's judged labels; 0 when there are none. */
export const share = (bin, kind) => (judged(bin) > 0 ? (bin.kinds[kind] ?? 0) / judged(bin) : 0);
