// Errors: what is wrong with the labels, since when, of which class, and which score knows it.

import * as address from "./address.js";
import { fill, h, segmented, select, setText } from "./dom.js";
import { drawCorrelation, drawHistory, drawHonesty } from "./error_charts.js";
import { FATES, labelsLink, whose } from "./error_links.js";
import { binTable, classBars, confusionTable, historyTable } from "./error_tables.js";
import { fiftyoneFold, openDoor } from "./fiftyone.js";
import { ask, runPath } from "./http.js";
import { missingRun, noLabels, notice } from "./notices.js";
import { following, listen, session, windowQuestion } from "./session.js";
import { count, DASH, isNumber, percent, plural, score as scoreText } from "./text.js";

export function mount(element) {
  const page = buildPage();
  element.append(page.empty, page.node);
  listen((reason) => {
    if (reason === "news" && page.seen === session.steps.at(-1)) return;
    if (reason === "news" && !following()) return;
    update(page).catch((problem) => showProblem(page, problem));
  });
  globalThis.addEventListener("lab-theme", () => page.found && draw(page));
}

function buildPage() {
  const page = {
    empty: h("div", {}),
    problem: h("div", {}),
    found: null,
    asked: 0,
    seen: null,
    door: null,
    outside: false,
    tally: h("span", { class: "hint", id: "errors-tally" }),
    body: h("div", { class: "rows" }),
  };
  const ids = [
    "history",
    "history-table",
    "classes",
    "confusion-card",
    "honesty",
    "honesty-words",
    "bins",
    "correlation",
  ];
  page.parts = Object.fromEntries(ids.map((id) => [id, h("div", { id: `errors-${id}` })]));
  for (const id of ["history", "honesty", "correlation"]) page.parts[id].className = "chart";
  page.score = select("Score", [], "", (score) => address.change({ score }));
  fill(page.body, toolbar(page), fiftyoneFold(), legend(), sections(page));
  page.node = h("div", { class: "page", id: "errors-page" }, head(page), page.problem, page.body);
  page.node.hidden = true;
  return page;
}

const head = (page) =>
  h(
    "div",
    { class: "page-head" },
    h("h1", {}, "Errors"),
    page.tally,
    h(
      "p",
      { class: "hint" },
      "Judged by truth that training never sees. Every bar, cell and point opens the labels behind it.",
    ),
  );

function toolbar(page) {
  const of = segmented(
    "Which labels",
    [
      ["kept", "kept", "Labels that taught the student"],
      ["dropped", "dropped", "Labels that some threshold dropped"],
      ["all", "all candidates"],
    ],
    whose(),
    (value) => address.change({ of: value === "kept" ? null : value }),
  );
  const as = segmented(
    "Bars show",
    [
      ["", "shares"],
      ["number", "numbers"],
    ],
    address.get("as") ?? "",
    (value) => {
      address.note({ as: value });
      if (page.found) draw(page);
    },
  );
  return h(
    "div",
    { class: "toolbar" },
    of,
    as,
    h("label", { class: "field" }, h("span", {}, "Score"), page.score),
  );
}

const legend = () =>
  h(
    "div",
    { class: "legend" },
    FATES.slice(0, 6).map(({ key, name, words }) =>
      h(
        "span",
        { title: words },
        h("i", { class: "dot", style: { "--tint": `var(--lab-kind-${key})` } }),
        name,
      ),
    ),
  );

function sections({ parts }) {
  const card = (title, hint, wide, ...content) =>
    h(
      "section",
      { class: wide ? "card wide" : "card" },
      h("h2", {}, title),
      h("p", { class: "hint" }, hint),
      content,
    );
  return h(
    "div",
    { class: "charts" },
    card(
      "Over the whole run",
      "One bar per stretch of recorded steps; the frame is the window of the other parts.",
      true,
      parts.history,
      parts["history-table"],
    ),
    card(
      "Class by class",
      "Labels by the class they were given. The length of a bar is how many there are.",
      false,
      parts.classes,
    ),
    card(
      "Which class is taken for which",
      "Rows: what labels are called. Columns: the object they lie on, by at least 10 %.",
      false,
      parts["confusion-card"],
    ),
    card(
      "Does the score know how well a mask fits?",
      "Points are some labels; the line is the mean of all of them, bin by bin. On the dotted line a score means what it says.",
      false,
      parts["honesty-words"],
      parts.honesty,
      parts.bins,
    ),
    card(
      "... and since when?",
      "Rank correlation: 1 = the score orders masks as the true IoU does, 0 = it knows nothing.",
      false,
      parts.correlation,
    ),
  );
}

/** Ask for the answers to the address; an answer to an older question is thrown away. */
async function update(page) {
  const missing = missingRun() ?? (session.steps.length === 0 ? noLabels(session.run) : null);
  fill(page.empty, missing);
  page.node.hidden = missing !== null;
  if (missing) return;
  const turn = ++page.asked;
  page.body.classList.add("busy");
  const { run_id } = session.run;
  const question = { of: whose(), score: wantedScore(), cls: address.get("cls") };
  page.seen = session.steps.at(-1);
  const [found, history, door] = await Promise.all([
    ask(runPath(run_id, "/errors"), { ...question, ...windowQuestion() }),
    ask(runPath(run_id, "/errors/history"), question),
    openDoor(run_id),
  ]);
  if (turn !== page.asked) return;
  page.door = door;
  page.body.classList.remove("busy");
  page.body.hidden = false;
  fill(page.problem);
  page.found = { found, history };
  draw(page);
}

/** The score of the address, if this run has it: another run may have brought it here. */
function wantedScore() {
  const wanted = address.get("score");
  return session.run.scores.some(({ name, is_axis }) => is_axis && name === wanted) ? wanted : null;
}

function showProblem(page, problem) {
  page.body.classList.remove("busy");
  page.body.hidden = true;
  fill(page.problem, notice("These errors cannot be shown", [problem.message]));
}

function draw(page) {
  const { found, history } = page.found;
  const { parts } = page;
  showScores(page.score, found);
  setText(page.tally, tallyWords(found));
  const asShare = address.get("as") !== "number";
  const words = scoreWords(found.score);
  fill(parts["history-table"], historyNote(history), historyTable(history));
  fill(parts.classes, found.labels ? classBars(found) : nothingHere(found));
  drawConfusion(page);
  const told = [honestyWords(found.honesty), ...(found.fusion ? [fusionWords(found.fusion)] : [])];
  fill(parts["honesty-words"], h("p", { class: "honesty-words num" }, told.join(" ")));
  fill(parts.bins, binTable(found, words));
  Promise.all([
    drawHistory(parts.history, history, { asShare, window: found.window }),
    drawHonesty(parts.honesty, found.honesty, { words, name: found.score, window: found.window }),
    drawCorrelation(parts.correlation, history),
  ]).catch((problem) => console.error(problem));
}

/** The matrix; while FiftyOne shows this run, its cells can lead there. */
function drawConfusion(page) {
  const { found } = page.found;
  const where = segmented(
    "Where cells lead",
    [
      ["", "labels here", "The labels of these steps"],
      ["fiftyone", "FiftyOne", "The kept labels that are open there, the newest of each image"],
    ],
    page.outside ? "fiftyone" : "",
    (value) => {
      page.outside = value === "fiftyone";
      drawConfusion(page);
    },
  );
  const door = page.outside ? page.door : null;
  fill(
    page.parts["confusion-card"],
    found.labels > 0 && page.door ? h("div", { class: "toolbar" }, "Cells open", where) : null,
    found.labels > 0 ? confusionTable(found, door) : nothingHere(found),
  );
}

const scoreWords = (name) => session.run.scores.find((one) => one.name === name)?.words ?? name;

function showScores(node, { scores, score }) {
  const options = scores.map((name) => [name, scoreWords(name)]);
  const signature = JSON.stringify(options);
  if (node.dataset.signature !== signature) {
    fill(
      node,
      options.map(([value, text]) => h("option", { value }, text)),
    );
    node.dataset.signature = signature;
  }
  node.value = score;
}

function tallyWords({ labels, window, missed }) {
  const first = Math.max(0, window.first);
  const where =
    first === window.last
      ? `step ${count(first)}`
      : `steps ${count(first)} to ${count(window.last)}`;
  const all = `${plural(labels, whose() === "all" ? "candidate" : `${whose()} label`)} of ${where}`;
  if (!missed || missed.truths === 0) return all;
  const lost = missed.truths - missed.found;
  return `${all}; ${count(lost)} of ${plural(missed.truths, "true object")} (${percent(lost / missed.truths)}) have no right one`;
}

const historyNote = ({ first }) =>
  first === null
    ? null
    : h(
        "p",
        { class: "hint" },
        `This run has too many labels to count at once; the bars begin at step ${count(first)}.`,
      );

function nothingHere({ window }) {
  const all = labelsLink(window, { kept: null });
  return h(
    "p",
    { class: "hint" },
    "No such label in these steps. ",
    h("a", { href: all }, "See all of them"),
    ", or choose more steps above.",
  );
}

function honestyWords({ labels, correlation, error }) {
  const rho = isNumber(correlation) ? scoreText(correlation) : DASH;
  const off = isNumber(error) ? scoreText(error) : DASH;
  return `Rank correlation ${rho}, off by ${off} on average, over ${plural(labels, "label")} whose true IoU is known.`;
}

/** What fusing several masks into one gained over the best candidate's mask alone. */
function fusionWords({ fused, single, gain, standard_error, better }) {
  const error = isNumber(standard_error) ? ` ± ${standard_error.toFixed(3)}` : "";
  const sign = gain < 0 ? "−" : "+";
  return `Fused masks reach a true IoU of ${fused.toFixed(3)}, their best candidates alone ${single.toFixed(3)}: ${sign}${Math.abs(gain).toFixed(3)}${error}, better for ${percent(better)}.`;
}
