// Numbers as people read them.

export const DASH = "–";

export const count = (value) =>
  isNumber(value) ? Math.round(value).toLocaleString("en-US") : DASH;
export const percent = (share, digits = 0) =>
  isNumber(share) ? `${(100 * share).toFixed(digits)}\u00a0%` : DASH;
export const score = (value) => (isNumber(value) ? value.toFixed(2) : DASH);
export const ap = (value) => (isNumber(value) ? value.toFixed(1) : DASH);
export const plural = (number, one, many = `${one}s`) =>
  `${count(number)} ${number === 1 ? one : many}`;

/** "over the last 50 recorded steps": the window of what a run did lately. */
export const latelyWords = (lately) =>
  lately.steps === 1
    ? `at the one recorded step`
    : `over the last ${count(lately.steps)} recorded steps`;

export function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** 3725 -> "1 h 2 min" */
export function duration(seconds) {
  if (!isNumber(seconds)) return DASH;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.round(hours / 24)} days`;
}

/** Unix seconds -> "3 min ago", or the date when it is long ago. */
export function ago(unix, now = Date.now() / 1000) {
  if (!isNumber(unix)) return DASH;
  const seconds = Math.max(0, now - unix);
  if (seconds < 172800) return `${duration(seconds)} ago`;
  return new Date(1000 * unix).toISOString().slice(0, 10);
}

/** Seconds a run still needs, from its pace. */
export function remaining(run) {
  const left = run.max_steps - run.done;
  return run.status === "running" && isNumber(run.seconds_per_step)
    ? Math.max(0, left) * run.seconds_per_step
    : NaN;
}

/** 0..1, how much of the planned steps is done. */
export function progress(run) {
  if (run.status === "finished") return 1;
  return run.max_steps > 0 ? Math.min(1, run.done / run.max_steps) : 0;
}

/** 1234567 -> "1.2 MB" */
export function byteSize(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  const value = bytes / 1000 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}
