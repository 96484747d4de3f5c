// What the thresholds do to small and large masks, and to every class: asked once a slider is let go.

import { fill, h, setText } from "./dom.js";
import { ask, runPath } from "./http.js";
import { className, session, windowQuestion } from "./session.js";
import { count, percent, plural } from "./text.js";
import { bothRules, same } from "./what_if_rules.js";

const MOST_CLASSES = 80;
const SIZES = {
  small: "below 32² pixels",
  medium: "below 96² pixels",
  large: "96² pixels or more",
};

/** `refresh(view)` shows the groups for the rules of the run and of the sliders. */
export function buildGroups() {
  const sizes = h("div", { id: "what-if-sizes" });
  const classes = h("div", { id: "what-if-classes", class: "group-scroll", tabindex: 0 });
  const words = h("p", { class: "hint", id: "what-if-groups-words" });
  const node = h(
    "div",
    { class: "moving" },
    h("section", { class: "card rows" }, h("h2", {}, "Small and large masks"), words, sizes),
    h(
      "section",
      { class: "card rows" },
      h("h2", {}, "Class by class"),
      h("p", { class: "hint" }, "By the class that labels were given. Thick bars: your sliders; thin ones: this run."),
      classes,
    ),
  );
  let asked = null;
  const refresh = async (view) => {
    const question = {
      ...windowQuestion(),
      ...bothRules(view),
    };
    const mine = JSON.stringify([session.run.run_id, question]);
    if (asked === mine) return;
    asked = mine;
    const answer = await ask(runPath(session.run.run_id, "/groups"), question).catch((problem) => problem);
    if (asked !== mine) return;
    if (answer instanceof Error) return setText(words, answer.message);
    const moved = !same(view.now, view.then);
    setText(words, sizeWords(answer.sizes));
    fill(sizes, table("size", answer.sizes, (one) => [one.name, SIZES[one.name]], moved));
    fill(classes, table("class", byNumber(answer.classes), (one) => [className(one.name)], moved));
  };
  return { node, refresh };
}

const byNumber = (groups) =>
  groups.toSorted((a, b) => b.all.labels - a.all.labels).slice(0, MOST_CLASSES);

/** Of what is right where truth is known; else of all that there is. */
const reach = (group, whose) =>
  group.all.right > 0 ? group[whose].right / group.all.right : group[whose].labels / group.all.labels;
const purity = ({ judged, right }) => (judged > 0 ? right / judged : NaN);

/** Whether one threshold for all sizes keeps fewer of the small ones. */
function sizeWords(sizes) {
  if (sizes.length === 0) return "There are no candidates in these steps.";
  const telling = sizes.filter((one) => one.all.right > 0);
  if (telling.length < 2) return `All candidates that are right are ${telling[0]?.name ?? "of unknown"} size.`;
  const shares = telling.map((one) => `${percent(reach(one, "after"))} of the ${one.name} ones`);
  return `Of the candidates that are right, your sliders keep ${shares.slice(0, -1).join(", ")} and ${shares.at(-1)}.`;
}

function table(kind, groups, nameOf, moved) {
  const heads = [kind, "right ones kept", "", "kept", "precision"];
  return h(
    "table",
    { class: "groups" },
    h("thead", {}, h("tr", {}, heads.map((head, at) => h("th", { scope: "col", class: at > 1 ? "right" : null }, head)))),
    h("tbody", {}, groups.map((one) => row(one, nameOf(one), moved))),
  );
}

function row(one, [name, about], moved) {
  const pair = (of, format) => {
    const [was, would] = [format(of("before")), format(of("after"))];
    return moved && was !== would ? `${was} → ${would}` : would;
  };
  const reached = (whose) => reach(one, whose);
  const kept = (whose) => one[whose].labels;
  return h(
    "tr",
    { data: { group: one.name } },
    h("th", { scope: "row", title: name }, name, about ? h("div", { class: "sub" }, about) : null),
    h("td", { class: "reach" }, bar(reached("after"), "now"), bar(reached("before"), "was")),
    h("td", { class: "right num" }, pair(reached, (value) => percent(value))),
    h("td", { class: "right num", title: plural(one.all.labels, "candidate") }, `${pair(kept, count)} of ${count(one.all.labels)}`),
    h("td", { class: "right num" }, pair((whose) => purity(one[whose]), (value) => percent(value))),
  );
}

const bar = (share, name) => h("i", { class: name, style: { "--share": share } });
