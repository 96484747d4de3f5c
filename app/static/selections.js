// Labels that somebody picked out in FiftyOne: a list of links, nothing when there are none.

import * as address from "./address.js";
import { h } from "./dom.js";
import { plural } from "./text.js";

/** events: [{event_id, kind, payload}, ...] -> a card, or null. */
export function selectionList(events) {
  const found = events.filter(({ kind }) => kind === "selection");
  if (found.length === 0) return null;
  return h(
    "section",
    { class: "card", id: "selections", "aria-label": "Selections" },
    h("h2", {}, "Selected labels"),
    h("ul", {}, found.map((one) => h("li", {}, selectionLink(one)))),
  );
}

function selectionLink({ event_id, payload }) {
  const href = address.link("/labels", { it: null, cls: null, span: 0, selection: event_id });
  const words = ` (${plural(payload.label_ids.length, "label")})`;
  return [h("a", { href }, payload.name), h("span", { class: "hint" }, words)];
}
