// Data: what there is to say about datasets apart from runs on them.

import { clipReports } from "./clip_report.js";
import { datasets } from "./datasets.js";
import { h } from "./dom.js";

export function mount(element) {
  const head = h(
    "div",
    { class: "page-head" },
    h("h1", {}, "Data"),
    h("p", { class: "hint" }, "What runs learn from and are judged on: images, splits and classes."),
  );
  const clip = h(
    "div",
    { class: "page-head" },
    h("h2", {}, "What CLIP recognises"),
    h(
      "p",
      { class: "hint" },
      "Before CLIP corrects classes: how often is it right about objects whose class is known? " +
        "Where it is wrong here, it will teach the student the wrong class.",
    ),
  );
  element.append(h("div", { class: "page" }, head, datasets(), clip, clipReports()));
}
