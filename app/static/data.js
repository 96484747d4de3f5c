// Data: what the run in view learns from, and what CLIP makes of it.

import { clipReports } from "./clip_report.js";
import { checkCard } from "./data_check.js";
import { classCard } from "./data_classes.js";
import { exampleCard } from "./data_images.js";
import { partCards } from "./data_parts.js";
import { fill, h } from "./dom.js";
import { ask, runPath } from "./http.js";
import { missingRun, notice } from "./notices.js";
import { listen, session } from "./session.js";

export function mount(element) {
  const page = { sets: h("div", { class: "rows", id: "run-data" }), rest: restOfPage(), asked: 0, shown: null };
  const intro =
    "What the run in view learns from, what is hidden from it, and what it is measured by. A class that is rare where it is labelled is one that thresholds starve.";
  const head = h("div", { class: "page-head" }, h("h1", {}, "Data"), h("p", { class: "hint" }, intro));
  element.append(h("div", { class: "page", id: "data-page" }, head, page.sets, page.rest));
  listen((reason) => {
    if (reason === "run" || signature() !== page.shown) update(page);
  });
}

/** What was counted is shown until another run is, or this one gets its datasets. */
const signature = () =>
  session.run && [session.run.run_id, session.run.train_dataset_id, session.run.val_dataset_id].join();

async function update(page) {
  const turn = ++page.asked;
  page.shown = signature();
  const missing = missingRun();
  if (missing) return show(page, [missing], session.overview !== null || session.error !== null);
  const { run_id } = session.run;
  if (page.rest.hidden) fill(page.sets, h("p", { class: "hint loading" }, "Counting…"));
  try {
    const told = await ask(runPath(run_id, "/data"));
    if (turn !== page.asked) return undefined;
    const content = sections(run_id, told);
    show(page, content, !page.rest.hidden);
    await Promise.all(content.map(({ ready }) => ready));
    page.rest.hidden = false;
  } catch (problem) {
    if (turn === page.asked) show(page, [notice("These datasets cannot be shown", [problem.message])], true);
  }
  return undefined;
}

/** What is below appears when its place is known: nothing moves under the reader's eyes. */
function show(page, content, isKnown) {
  fill(page.sets, content);
  page.rest.hidden = !isKnown;
}

function sections(run, told) {
  if (told.parts.length === 0) return [notAttached(), checkCard(run, told)];
  return [
    partCards(told.parts),
    h("div", { class: "charts loose" }, classCard(told), checkCard(run, told)),
    exampleCard(run, told),
  ];
}

const notAttached = () =>
  notice("No dataset yet", [
    session.run.done > 0 || session.run.finished
      ? "This run recorded no dataset: its labels are not compared with any truth."
      : "The run notes its images when it begins to train; they appear here by themselves.",
  ]);

function restOfPage() {
  return h(
    "div",
    { class: "rows", hidden: true },
    h("h2", {}, "What CLIP recognises"),
    h(
      "p",
      { class: "hint" },
      "Before CLIP corrects classes: how often is it right about objects whose class is known? " +
        "Where it is wrong here, it will teach the student the wrong class.",
    ),
    clipReports(),
  );
}
