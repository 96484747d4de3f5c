// Alarms of a run that stand now: a quiet list with the step each began at, nothing when all is well.

import { h } from "./dom.js";
import { count } from "./text.js";

/** alerts: [{kind, step, message, subject}, ...] -> a card, or null. */
export function alertList(alerts) {
  if (!alerts?.length) return null;
  return h(
    "section",
    { class: "card alerts", id: "alerts", "aria-label": "Alerts" },
    h("h2", {}, "Worth a look"),
    h(
      "ul",
      {},
      alerts.map((alert) =>
        h(
          "li",
          { data: { alert: alert.kind } },
          alert.message,
          h("span", { class: "hint" }, ` (since step ${count(alert.step)})`),
        ),
      ),
    ),
  );
}
