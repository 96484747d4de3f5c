// The way to FiftyOne: the command that opens this run there, and links where it is open already.

import { fill, h, setText } from "./dom.js";
import { ask, runPath } from "./http.js";
import { ERROR_KINDS } from "./kinds.js";
import { session } from "./session.js";

/** The door of an App that shows the pseudo-labels of a run now; null when there is none. */
export async function openDoor(runId) {
  const { sessions } = await ask(runPath(runId, "/fiftyone"));
  return sessions.find(({ split }) => split === "train")?.door ?? null;
}

/** What the door leads to: `wish` names an image, a kind, a cell of classes or moved thresholds. */
export function throughDoor(door, wish) {
  const known = Object.entries(wish).filter(([, value]) => value !== null);
  return `${door}&${new URLSearchParams(known)}`;
}

/** A fold that asks the server anew whenever it is opened. */
export function fiftyoneFold() {
  const body = h("div", { class: "rows" });
  const fold = h(
    "details",
    { class: "card", id: "fiftyone", ontoggle: () => fold.open && show(body) },
    h("summary", {}, "Open in FiftyOne"),
    body,
  );
  return fold;
}

async function show(body) {
  const { run_id } = session.run;
  try {
    const { command, sessions } = await ask(runPath(run_id, "/fiftyone"));
    fill(body, sessions.map(openSession), commandLine(command, sessions.length > 0));
  } catch (problem) {
    fill(body, h("p", { class: "error-line" }, problem.message));
  }
}

/** Links to an App that shows this run now: all its labels, and the kept ones of each kind. */
function openSession({ dataset, address, kinds }) {
  const link = (href, text) => [h("a", { href, target: "_blank", rel: "noopener" }, text), " "];
  const views = ERROR_KINDS.filter(({ key }) => kinds[key]);
  return h(
    "p",
    { data: { session: dataset } },
    "Open now: ",
    link(address, "all labels"),
    views.map(({ key, name }) => link(kinds[key], name)),
  );
}

function commandLine(command, isOpen) {
  const told = h("span", { class: "hint", role: "status" });
  const copy = async () => {
    await navigator.clipboard.writeText(command);
    setText(told, "copied");
  };
  const words = isOpen ? "Or open it again with" : "Type this in a terminal of this machine";
  return [
    h("p", { class: "hint" }, `${words}:`),
    h("pre", { class: "log", id: "fiftyone-command" }, command),
    h(
      "div",
      { class: "toolbar" },
      h("button", { type: "button", class: "button", onclick: copy }, "Copy"),
      told,
    ),
  ];
}
