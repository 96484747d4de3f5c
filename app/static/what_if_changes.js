// What the sliders of What-if would change in a run's config. Pure.

import { index, isClassAndMask, isCoupled } from "./what_if_rules.js";

/** {dotted key: value} of what differs from the run as it is; empty when nothing can be set. */
export function changesOf({ axes, then }, { thresholds, config }) {
  if (!axes || !then) return {};
  const hasProduct = "coupled_threshold" in (config.method ?? {}) && isClassAndMask(axes);
  if (isCoupled(then)) return hasProduct ? ofProduct(then, thresholds) : {};
  if (hasProduct && thresholds.kind === "coupled") return ofPairInstead(axes, then);
  const sides = [
    [axes.x, then.xIndex],
    [axes.y, then.yIndex],
  ];
  const moved = sides.filter(([axis, at]) => axis.key !== null && at !== index(axis.threshold));
  return Object.fromEntries(moved.map(([axis, at]) => [axis.key, at / 100]));
}

function ofProduct({ coupledIndex }, { kind, coupled }) {
  const value = { "method.coupled_threshold": coupledIndex / 100 };
  if (kind !== "coupled") return { "method.ddtf": false, ...value };
  return coupledIndex === index(coupled) ? {} : value;
}

/** A run with one threshold on the product gets two apart. */
function ofPairInstead({ x, y }, { xIndex, yIndex }) {
  const at = { [x.name]: xIndex / 100, [y.name]: yIndex / 100 };
  return {
    "method.ddtf": true,
    "method.class_threshold": at.class_quality,
    "method.mask_threshold": at.mask_quality,
  };
}

/** "mask 0.75": what a child is called by. */
export function shortWords(changes) {
  return Object.entries(changes)
    .filter(([, value]) => typeof value === "number")
    .map(([key, value]) => `${key.split(".").at(-1).replace("_threshold", "").replaceAll("_", " ")} ${value}`)
    .join(", ");
}
