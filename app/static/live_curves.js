// Which traces each chart of Live shows. Every function: data -> [traces, options].

import { band, line } from "./charts.js";
import { colour, ERROR_KINDS, kindColour } from "./kinds.js";
import { precision, recall, share, smooth } from "./series.js";

const LOSS_TINTS = ["accent", "kind-bg", "kind-cor", "kind-sim", "kind-loc", "kind-oth", "student"];

/** A colour for each part (box, class, mask ...), dots for what unlabelled images add to it. */
export function losses(data) {
  const names = Object.keys(data.series)
    .filter((name) => name.startsWith("loss/"))
    .sort(byImportance);
  const parts = [...new Set(names.filter((name) => name !== TOTAL).map(lastPart))].sort();
  const traces = names.flatMap((name) => {
    const { steps, values } = data.series[name];
    const isTotal = name === TOTAL;
    const tint = colour(isTotal ? "ink" : LOSS_TINTS[parts.indexOf(lastPart(name)) % LOSS_TINTS.length]);
    const length = Math.max(1, Math.round(values.length / 40));
    const raw =
      length > 1
        ? [line(name, steps, values, tint, { opacity: 0.18, width: 1, silent: true })]
        : [];
    return [
      ...raw,
      line(lossName(name), steps, smooth(values, length), tint, {
        width: isTotal ? 2.5 : 1.6,
        dash: name.startsWith("loss/unsup/") ? "dot" : "solid",
      }),
    ];
  });
  return [traces, { empty: "No losses recorded yet.", yTitle: "loss", ...places(data) }];
}

const TOTAL = "loss/total";

const byImportance = (a, b) => (b === TOTAL) - (a === TOTAL) || a.localeCompare(b);

const lossName = (name) =>
  name
    .replace(/^loss\//, "")
    .replace(/^sup\//, "labelled: ")
    .replace(/^unsup\//, "unsupervised: ");

export function averagePrecision(data) {
  const traces = ["teacher", "student"].flatMap((model) => {
    const rows = data.evaluations.filter((row) => row.model === model);
    const values = rows.map((row) => row.metrics.AP ?? null);
    return rows.length
      ? [
          line(
            model,
            rows.map((row) => row.step),
            values,
            colour(model),
            { markers: true, format: ".1f" },
          ),
        ]
      : [];
  });
  return [traces, { empty: "Not evaluated yet.", yTitle: "AP", ...places(data) }];
}

export function kept({ bins, ...data }) {
  const steps = bins.map((bin) => bin.step);
  const perImage = (name) => bins.map((bin) => (bin.images ? bin[name] / bin.images : null));
  const traces = [
    line("candidates", steps, perImage("candidates"), colour("student"), {
      dash: "dot",
      format: ".1f",
    }),
    line("kept", steps, perImage("kept"), colour("accent"), { width: 2.5, format: ".1f" }),
  ];
  if (bins.some((bin) => bin.truths > 0))
    traces.push(
      line("true objects", steps, perImage("truths"), colour("kind-cor"), {
        dash: "dash",
        width: 1.5,
        format: ".1f",
      }),
    );
  return [bins.length ? traces : [], { empty: NOT_YET, yTitle: "per image", ...places(data) }];
}

export function quality({ bins, ...data }) {
  const steps = bins.map((bin) => bin.step);
  const known = bins.some((bin) => precision(bin) !== null || recall(bin) !== null);
  const traces = [
    line("precision", steps, bins.map(precision), colour("accent"), { width: 2.5, format: ".0%" }),
    line("recall", steps, bins.map(recall), colour("kind-cor"), { format: ".0%" }),
  ];
  return [
    known ? traces : [],
    {
      empty: bins.length ? NO_TRUTH : NOT_YET,
      range: [0, 1.02],
      percent: true,
      ...places(data),
    },
  ];
}

export function kinds({ bins, ...data }) {
  const judged = bins.filter((bin) => precision(bin) !== null);
  const steps = judged.map((bin) => bin.step);
  const traces = ERROR_KINDS.map((kind) =>
    band(
      kind.name,
      steps,
      judged.map((bin) => share(bin, kind.key)),
      kindColour(kind.key),
    ),
  );
  return [
    traces,
    {
      empty: bins.length ? NO_TRUTH : NOT_YET,
      range: [0, 1],
      percent: true,
      stacked: true,
      ...places(data),
    },
  ];
}

const NOT_YET = "No pseudo-labels recorded yet.";
const NO_TRUTH = "No kept label can be compared with hidden truth here.";

const MACHINE = [
  ["sys/cpu_percent", "CPU %", "accent"],
  ["sys/gpu_percent", "GPU %", "kind-cor"],
  ["sys/memory_gib", "memory GiB", "kind-loc"],
];

export function machine(data) {
  const traces = MACHINE.filter(([name]) => data.series[name]).map(([name, title, tint]) => {
    const { steps, values } = data.series[name];
    return line(title, steps, values, colour(tint), { format: ".1f", width: 1.6 });
  });
  return [traces, { empty: "No samples of the machine yet.", yTitle: "", span: stepsOf(data.run) }];
}

/** The steps of the whole run, so that all curves share an axis, and where something happened. */
const places = (data) => ({ span: stepsOf(data.run), marks: marks(data) });

/** A fork begins where its parent was. */
const stepsOf = (run) => [run.parent_step ?? 0, Math.max(run.done, run.parent_step ?? 0)];

/** Dotted lines where something happened: events by their word, checkpoints by a tick. */
function marks({ events = [], checkpoints = [] }) {
  const told = events
    .filter((event) => event.step !== null && event.step !== undefined)
    .filter((event) => !event.kind.startsWith("alert")) // listed above the curves
    .slice(-12)
    .map((event) => ({ step: event.step, text: event.kind, told: eventWords(event) }));
  const saved = checkpoints.slice(-12).map((step) => ({ step, text: "", told: "checkpoint" }));
  return [...saved, ...told];
}

/** "applied: class_threshold 0.7 → 0.5", or just the kind of event. */
export function eventWords({ kind, payload }) {
  const changes = Object.entries(payload?.changes ?? {});
  if (!changes.length) return kind;
  const told = changes.map(([key, { old, new: now }]) => `${lastPart(key)} ${old} → ${now}`);
  return `${kind}: ${told.join(", ")}`;
}

const lastPart = (key) => key.split(/[./]/).at(-1);
