// What a page says when there is nothing to draw.

import * as address from "./address.js";
import { h } from "./dom.js";
import { session } from "./session.js";
import { count, plural } from "./text.js";

/** A card with a title, sentences, perhaps a command to copy, and perhaps something more. */
export function notice(title, sentences, command = null, more = null) {
  return h(
    "section",
    { class: "notice", role: "status" },
    h("h2", {}, title),
    sentences.filter(Boolean).map((sentence) => h("p", {}, sentence)),
    command && h("pre", {}, command),
    more,
  );
}

/** The card for a page about one run, or null when there is a run to show. */
export function missingRun() {
  if (session.error) return notice("This run cannot be shown", [session.error], null);
  if (session.overview && session.runs.length === 0) return noRuns(session.overview);
  return session.run ? null : h("p", { class: "hint loading" }, "Loading…");
}

export function noRuns(overview) {
  const where = overview.exists
    ? `The store in ${overview.root} is open and has no runs yet.`
    : `There is no store in ${overview.root} yet. The first run makes one; this page will show it by itself.`;
  return notice(
    "No runs yet",
    [where, "Train the built-in example (a few minutes on a CPU), or start your own:"],
    "seglab demo\nseglab train experiments/your_run.toml",
    h("p", {}, "Or ", h("a", { href: "/launch" }, "launch one from here"), "."),
  );
}

/** Whether the run's method has no pseudo-labels, now or ever. */
export const makesNone = (run) => run.thresholds.kind === "none";

/** "3 kept labels of 7". A run without thresholds drops nothing: "7 predictions". */
export function keptWords(labels, run) {
  const kept = labels.filter((one) => one.kept).length;
  if (makesNone(run) && kept === labels.length) return plural(kept, "prediction");
  return `${plural(kept, "kept label")} of ${count(labels.length)}`;
}

export const noneToShow = (run) =>
  `This run makes no pseudo-labels: its method, ${run.method}, learns from annotated images only.`;

/** The card for a run that has no pseudo-labels in view, with the reason it has none. */
export function noLabels(run) {
  const method = run.config?.method ?? {};
  if (makesNone(run)) {
    const others = session.runs.some((other) => other.lately !== null);
    return notice("No pseudo-labels to show", [
      noneToShow(run),
      others ? "Choose another run above." : null,
    ]);
  }
  const burnIn = method.burn_in_steps;
  const sentence =
    burnIn > 0 && run.done < burnIn
      ? `The teacher begins after ${count(burnIn)} steps on labelled images; the run has done ${count(run.done)}.`
      : "The teacher has not recorded any yet.";
  return notice("No pseudo-labels yet", [
    sentence,
    "They appear here as soon as they are recorded.",
  ]);
}

export const linkTo = (path, changes, text, attributes = {}) =>
  h("a", { href: address.link(path, changes), ...attributes }, text);
