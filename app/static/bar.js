// The bar that all pages share: where one is, which run, which steps, which class.

import * as address from "./address.js";
import { h, select, setOptions, setText } from "./dom.js";
import { following, listen, onTrouble, session, shownStep, span, start } from "./session.js";
import { count } from "./text.js";

const PAGES = [
  { path: "/", name: "Runs", title: "Every experiment in this store" },
  { path: "/live", name: "Live", title: "One run as it goes" },
  { path: "/labels", name: "Labels", title: "What the teacher believes, mask by mask" },
  { path: "/timeline", name: "Timeline", title: "One image through the steps" },
  { path: "/errors", name: "Errors", title: "What is wrong, since when, and which score knows it" },
  { path: "/what-if", name: "What-if", title: "What other thresholds would keep" },
  { path: "/compare", name: "Compare", title: "Up to four runs side by side" },
  { path: "/launch", name: "Launch", title: "A new run from a form, and the queue" },
  { path: "/data", name: "Data", title: "What a run learns from, and what is hidden from it" },
];

/** Pages that are about no single run. */
const WITHOUT_RUN = ["Runs", "Compare", "Launch"];

/** Pages about a window of steps, and about labels of one class or all. */
const OF_STEPS = ["Labels", "Errors", "What-if"];
const OF_CLASSES = [...OF_STEPS, "Timeline"];

const SPANS = [
  ["1", "this step"],
  ["10", "10 steps"],
  ["100", "100 steps"],
  ["1000", "1,000 steps"],
  ["0", "all so far"],
];

export function mount(element) {
  const here = PAGES.find((page) => page.path === location.pathname) ?? PAGES[0];
  const links = PAGES.map((page) =>
    h(
      "a",
      { href: page.path, title: page.title, "aria-current": page === here ? "page" : null },
      page.name,
    ),
  );
  const controls = buildControls(here.name);
  element.append(
    h(
      "header",
      { class: "bar" },
      h(
        "a",
        { class: "brand", href: "/" },
        h("span", { class: "brand-mark", "aria-hidden": "true" }),
        "seglab",
      ),
      h("nav", { "aria-label": "Pages" }, links),
      themeButton(),
      controls.node,
    ),
    troubleLine(),
  );
  document.title = `${here.name} · seglab`;
  const current = links[PAGES.indexOf(here)];
  current.parentElement.scrollLeft = current.offsetLeft - current.parentElement.offsetLeft - 40;
  const refreshLinks = () =>
    links.forEach((link, index) => (link.href = address.link(PAGES[index].path)));
  address.onChange(refreshLinks);
  listen(() => {
    refreshLinks();
    controls.refresh();
  });
  start({ needsRun: !WITHOUT_RUN.includes(here.name) }).then(() => {
    refreshLinks();
    controls.refresh();
  });
}

/** Floats above the page, so that nothing moves when the server is gone for a moment. */
function troubleLine() {
  const line = h("p", { class: "trouble", id: "trouble", role: "alert", hidden: true });
  onTrouble(() => {
    line.hidden = session.trouble === null;
    const since = session.heard ? ` This page shows what was known at ${clock(session.heard)}.` : "";
    setText(line, line.hidden ? "" : `${session.trouble}${since} It is asked again every two seconds.`);
  });
  return line;
}

const clock = (time) => time.toLocaleTimeString([], { hourCycle: "h23" });

function buildControls(page) {
  const run = select("Run", [], "", (id) =>
    address.change({ run: id, it: null, cls: null, pg: null }),
  );
  const steps = stepControls();
  const classes = select("Class", [["", "every class"]], "", (cls) =>
    address.change({ cls, pg: null }),
  );
  const node = h("div", { class: "controls" }, field("Run", run));
  if (OF_STEPS.includes(page)) node.append(steps.node);
  if (OF_CLASSES.includes(page)) node.append(field("Class", classes));
  const refresh = () => {
    node.hidden = WITHOUT_RUN.includes(page) || session.runs.length === 0;
    setOptions(run, runOptions(), session.run?.run_id ?? "");
    setOptions(classes, classOptions(), address.get("cls") ?? "");
    steps.refresh();
  };
  return { node, refresh };
}

const field = (label, ...controls) =>
  h("label", { class: "field" }, h("span", {}, label), controls);

/** Names are for people and may repeat; then the id says which is which. */
function runOptions() {
  const isTwin = (run) => session.runs.some((other) => other !== run && other.name === run.name);
  return session.runs.map((run) => [
    run.run_id,
    `${run.name}, ${isTwin(run) ? `${run.run_id}, ` : ""}${run.status}`,
  ]);
}

/** A link may ask for a class that this run has not. */
function classOptions() {
  const names = (session.run?.categories ?? []).map(({ name }, label) => [String(label), name]);
  const asked = address.get("cls");
  const lacking = session.run && asked && !names.some(([label]) => label === asked);
  return [["", "every class"], ...names, ...(lacking ? [[asked, `class ${asked}: not in this run`]] : [])];
}

/** A link from a chart may be about any number of steps. */
function spanOptions() {
  const now = String(span());
  return SPANS.some(([value]) => value === now) ? SPANS : [[now, `${count(span())} steps`], ...SPANS];
}

function stepControls() {
  const slider = h("input", {
    type: "range",
    min: 0,
    max: 0,
    step: 1,
    "aria-label": "Step",
    id: "step-slider",
  });
  const number = h("output", { class: "step-number", id: "step-number" });
  const live = h(
    "button",
    { type: "button", class: "chip", id: "follow", title: "Always show the latest recorded step" },
    "latest",
  );
  const window = select("How many steps, ending there", SPANS, String(span()), (value) =>
    address.change({ span: value, pg: null }),
  );
  slider.addEventListener("input", () => setText(number, count(session.steps[slider.value])));
  slider.addEventListener("change", () =>
    address.change({ it: session.steps[slider.value], pg: null }),
  );
  live.addEventListener("click", () =>
    address.change({ it: following() ? shownStep() : null, pg: null }),
  );
  const refresh = () => {
    node.hidden = session.steps.length === 0;
    slider.max = Math.max(0, session.steps.length - 1);
    slider.disabled = session.steps.length < 2;
    if (document.activeElement !== slider || following())
      slider.value = session.steps.indexOf(shownStep());
    setText(number, count(shownStep()));
    live.setAttribute("aria-pressed", String(following()));
    setOptions(window, spanOptions(), String(span()));
  };
  const node = h(
    "div",
    { class: "field steps" },
    h("span", {}, "Up to step"),
    slider,
    number,
    live,
    window,
  );
  return { node, refresh };
}

function themeButton() {
  const root = document.documentElement;
  const apply = () => document.body.classList.toggle("dark", root.dataset.labTheme === "dark");
  const toggle = () => {
    root.dataset.labTheme = root.dataset.labTheme === "dark" ? "light" : "dark";
    localStorage.setItem("lab-theme", root.dataset.labTheme);
    apply();
    globalThis.dispatchEvent(new Event("lab-theme"));
  };
  apply();
  return h(
    "button",
    {
      type: "button",
      class: "icon",
      title: "Light or dark",
      "aria-label": "Light or dark",
      onclick: toggle,
    },
    "◐",
  );
}
