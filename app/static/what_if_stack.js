// Two bars: the kinds among the labels kept by the run, and by the sliders.

import { h, setText } from "./dom.js";
import { kept } from "./histogram.js";
import { ERROR_KINDS, kindOf } from "./kinds.js";
import { count } from "./text.js";

const PARTS = [
  { key: "right", name: "Right", tint: "kind-cor", of: (counts) => counts.found },
  {
    key: "again",
    name: "Right, again",
    tint: "kind-cor",
    faded: true,
    of: (counts) => counts.cor - counts.found,
  },
  ...ERROR_KINDS.slice(1).map(({ key, name }) => ({
    key,
    name,
    tint: `kind-${key}`,
    of: (counts) => counts[key],
  })),
  {
    key: "unknown",
    name: kindOf("unknown").name,
    tint: "kind-unknown",
    of: (counts) => counts.unknown + counts.ignored,
  },
];

/** `show(before, after)` moves the segments; both bars share one scale of labels. */
export function buildStack() {
  const bars = [bar("this run"), bar("your sliders", "what-if-stack")];
  const legend = h(
    "div",
    { class: "legend" },
    PARTS.map((part) =>
      h(
        "span",
        {},
        h("i", { class: "dot", style: tint(part) }),
        part.name,
        h("b", { class: "num", data: { part: part.key } }),
      ),
    ),
  );
  const node = h(
    "div",
    { class: "rows" },
    bars.map((one) => one.node),
    legend,
  );
  const show = (before, after) => {
    const most = Math.max(kept(before), kept(after), 1);
    bars[0].show(before, most);
    bars[1].show(after, most);
    PARTS.forEach((part, at) =>
      setText(legend.children[at].querySelector("b"), count(part.of(after))),
    );
  };
  return { node, show };
}

function bar(label, id) {
  const segments = PARTS.map((part) => h("i", { title: part.name, style: tint(part) }));
  const text = h("span", { class: "hint" });
  const node = h("div", {}, text, h("div", { class: "stack", id }, segments));
  const show = (counts, most) => {
    setText(text, `${label}: ${count(kept(counts))}`);
    PARTS.forEach((part, at) => {
      const number = part.of(counts);
      segments[at].style.setProperty("--share", Math.max(0, number / most));
      setText(segments[at], number / most > 0.05 ? count(number) : "");
    });
  };
  return { node, show };
}

function tint({ tint: name, faded }) {
  return {
    "--tint": faded
      ? `color-mix(in srgb, var(--lab-${name}) 50%, var(--lab-card))`
      : `var(--lab-${name})`,
  };
}
