// The run that all parts of a page are about, kept fresh while it trains.

import * as address from "./address.js";
import { ask, runPath, Silence } from "./http.js";

const POLL_MS = 2000;
const listeners = new Set();
const troubleListeners = new Set();

/**
 * What is known now. `steps` are the recorded steps, ascending; `error` says why the run cannot be
 * shown; `trouble` says why nothing newer than `heard` is known. Sentences, or null.
 */
export const session = {
  run: null,
  steps: [],
  runs: [],
  overview: null,
  error: null,
  trouble: null,
  heard: null,
};

/** Called with "run" (another run), "news" (the same run went on) or "address" (the URL changed). */
export function listen(listener) {
  listeners.add(listener);
  if (session.run || session.error) listener("run");
}

/** The step in view: the one in the URL, else the latest recorded. */
export function shownStep() {
  const asked = address.getNumber("it");
  const last = session.steps.at(-1) ?? null;
  if (asked === null || last === null) return last;
  return session.steps.findLast((step) => step <= asked) ?? session.steps[0];
}

export const span = () => address.getNumber("span", address.DEFAULT_SPAN);
export const following = () => address.getNumber("it") === null;

/** The question every page asks about its window: step, span and class. */
export const windowQuestion = () => ({ it: shownStep(), span: span(), cls: address.get("cls") });

export function className(label) {
  return session.run?.categories[label]?.name ?? `class ${label}`;
}

/** The run to show to somebody who asked for none: one that trains, has labels, is new. */
export function mostTelling(runs) {
  const score = (run) => 2 * (run.status === "running") + (run.lately !== null);
  return runs.reduce((best, run) => (score(run) > score(best) ? run : best), runs[0]);
}

/** Begin to follow the run of the URL (the most telling when it names none), and all runs. */
export async function start({ needsRun }) {
  address.onChange(onAddress);
  await refresh(needsRun);
  setInterval(() => document.hidden || refresh(needsRun), POLL_MS);
}

let busy = null;

export function refresh(needsRun = true) {
  busy ??= ask("runs")
    .then((overview) => update(overview, needsRun))
    .then(heard)
    .catch(fail)
    .finally(() => (busy = null));
  return busy;
}

/** Called when `session.trouble` comes, changes or goes. */
export const onTrouble = (listener) => troubleListeners.add(listener);

async function update(overview, needsRun) {
  session.overview = overview;
  session.runs = overview.runs;
  if (needsRun && overview.runs.length > 0) await updateRun();
  else tell(session.error ? "run" : "news", () => (session.error = null));
}

async function updateRun() {
  const wanted = address.get("run") ?? mostTelling(session.runs).run_id;
  const same = session.run?.run_id === wanted;
  const since = same ? (session.steps.at(-1) ?? -1) : -1;
  let news = await ask(runPath(wanted, "/steps"), { since });
  const known = same ? session.steps : [];
  if (since >= 0 && known.length + news.steps.length !== news.total) {
    news = await ask(runPath(wanted, "/steps"), { since: -1 }); // it was rewound
    known.length = 0;
  }
  const fresh = !same || session.error !== null;
  session.error = null;
  session.run = news.run;
  session.steps = [...known, ...news.steps];
  if (address.get("run") !== news.run.run_id) address.note({ run: news.run.run_id });
  tell(fresh ? "run" : "news");
}

function heard() {
  session.heard = new Date();
  setTrouble(null);
}

/** What is on the page stays when the server is at fault; a run that is not there is not shown. */
function fail(error) {
  console.info(`seglab: ${error.message}`);
  const isServers = error instanceof Silence || error.status >= 500;
  if (isServers && session.overview) return setTrouble(error.message);
  const changed = session.error !== error.message;
  session.error = error.message;
  if (changed) tell("run");
}

function setTrouble(sentence) {
  if (session.trouble === sentence) return;
  session.trouble = sentence;
  for (const listener of troubleListeners) listener();
}

function onAddress(names) {
  if (names.includes("run") && address.get("run") !== session.run?.run_id) refresh();
  else tell("address");
}

function tell(reason, before = () => {}) {
  before();
  for (const listener of listeners) listener(reason);
}
