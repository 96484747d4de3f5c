// A rule for keeping labels: {classIndex, maskIndex} or {coupledIndex}, in hundredths. Pure.

const COUPLED_START = 0.7;

export const index = (threshold) => Math.min(100, Math.max(0, Math.round(100 * threshold)));
export const isCoupled = (rule) => "coupledIndex" in rule;
export const sameForm = (a, b) => isCoupled(a) === isCoupled(b);
export const same = (a, b) => Object.keys({ ...a, ...b }).every((name) => a[name] === b[name]);

/** The rule a run was trained with. */
export function ownRule(thresholds) {
  return startRule(thresholds, thresholds.kind === "coupled");
}

/** Where the sliders of a rule begin: at what the run's config says. */
export function startRule(thresholds, coupled) {
  return coupled
    ? { coupledIndex: index(thresholds.coupled || COUPLED_START) }
    : { classIndex: index(thresholds.class_quality), maskIndex: index(thresholds.mask_quality) };
}

/** What each slider is called in the URL. */
export const PARAMETERS = { classIndex: "cq", maskIndex: "mq", coupledIndex: "cp" };

/** The part of a question to /moving that says one of its two rules: "from" or "to". */
export function ruleQuestion(prefix, rule) {
  const at = (name) => (rule[name] / 100).toFixed(2);
  if (isCoupled(rule)) return { [`${prefix}_coupled`]: at("coupledIndex") };
  return { [`${prefix}_class`]: at("classIndex"), [`${prefix}_mask`]: at("maskIndex") };
}

/** Counts a rule keeps. */
export function counts(histogram, rule) {
  return isCoupled(rule)
    ? histogram.atCoupled(rule.coupledIndex)
    : histogram.at(rule.classIndex, rule.maskIndex);
}
