// A rule for keeping labels: {xIndex, yIndex} or {coupledIndex}, in hundredths. Pure.
//
// axes: {x, y}, the scores of the plane as the server names them (session.run.scores).

const COUPLED_START = 0.7;

export const index = (threshold) => Math.min(100, Math.max(0, Math.round(100 * threshold)));
export const isCoupled = (rule) => "coupledIndex" in rule;
/** Whether the run's method has a threshold on neither score, so that its rule drops nothing here. */
export const dropsNothing = (rule, { x, y }) => !isCoupled(rule) && x.key === null && y.key === null;
export const sameForm = (a, b) => isCoupled(a) === isCoupled(b);
export const same = (a, b) => Object.keys({ ...a, ...b }).every((name) => a[name] === b[name]);

/** Whether the product of both is the score that a coupled run has its threshold on. */
export const isClassAndMask = ({ x, y }) =>
  [x.name, y.name].sort().join() === "class_quality,mask_quality";

/** Whether PL-DC's thresholds are a point of this plane: not where masks are made from boxes. */
export const hasPaper = (axes, run) =>
  isClassAndMask(axes) && !run.scores.some((one) => one.name === "target_iou");

/** The axes of a run: those that are asked for where it has them, else its usual ones. */
export function chooseAxes(run, x, y) {
  const scores = run.scores.filter((one) => one.is_axis);
  const find = (name) => scores.find((one) => one.name === name);
  const asked = [find(x), find(y)];
  if (asked[0] && asked[1] && asked[0] !== asked[1]) return { x: asked[0], y: asked[1] };
  return { x: find(run.axes.x), y: find(run.axes.y) };
}

/** Another score on one axis; the score that the other axis has makes both change places. */
export function withAxis(axes, name, side) {
  const other = side === "x" ? "y" : "x";
  const taken = axes[other].name === name ? axes[side].name : axes[other].name;
  return { [side]: name, [other]: taken };
}

/** The rule a run was trained with. */
export function ownRule(thresholds, axes) {
  return startRule(thresholds, axes, thresholds.kind === "coupled" && isClassAndMask(axes));
}

/** Where the sliders of a rule begin: at what the run's config says. */
export function startRule(thresholds, axes, coupled) {
  if (!coupled) return { xIndex: index(axes.x.threshold), yIndex: index(axes.y.threshold) };
  const own = isClassAndMask(axes) ? thresholds.coupled : 0;
  return { coupledIndex: index(own || COUPLED_START) };
}

const PARAMETERS = { class_quality: "cq", mask_quality: "mq" };

/** What the threshold on a score is called in the URL. */
export const parameterOf = (name) => PARAMETERS[name] ?? name;

/** What each slider is called in the URL. */
export const parameters = ({ x, y }) => ({
  xIndex: parameterOf(x.name),
  yIndex: parameterOf(y.name),
  coupledIndex: "cp",
});

/** The part of a question that says from which rule to which, on which scores. */
export const bothRules = ({ axes, now, then }) => ({
  x: axes.x.name,
  y: axes.y.name,
  ...ruleQuestion("from", now),
  ...ruleQuestion("to", then),
});

/** One of the two: "from" or "to". */
function ruleQuestion(prefix, rule) {
  const at = (name) => (rule[name] / 100).toFixed(2);
  if (isCoupled(rule)) return { [`${prefix}_coupled`]: at("coupledIndex") };
  return { [`${prefix}_x`]: at("xIndex"), [`${prefix}_y`]: at("yIndex") };
}

/** Counts a rule keeps. */
export function counts(histogram, rule) {
  return isCoupled(rule)
    ? histogram.atCoupled(rule.coupledIndex)
    : histogram.at(rule.xIndex, rule.yIndex);
}
