// Asking before doing: what exactly will happen, one button that does it, one that does not.

import { fill, h, setText } from "./dom.js";

/**
 * Resolves to what `act()` gave when it was done, to null when it was called off. While `act` fails
 * its sentence stands in the dialog. `dialog.allow(false)` keeps the button from being pressed.
 */
export function confirm({ title, body, verb, danger = false, ready = true, act }) {
  const error = h("p", { class: "error-line", role: "alert" });
  const yes = h(
    "button",
    { type: "submit", class: danger ? "button danger" : "button primary", id: "dialog-yes" },
    verb,
  );
  const no = h("button", { type: "button", class: "button" }, "Not now");
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", {}, title),
    h("div", { class: "rows" }, body),
    error,
    h("div", { class: "toolbar end" }, no, yes),
  );
  const dialog = h("dialog", { class: "ask", "aria-label": title }, form);
  yes.disabled = !ready;
  const done = new Promise((resolve) => {
    let result = null;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      yes.disabled = true;
      setText(error, "");
      try {
        result = await act();
        dialog.close();
      } catch (problem) {
        setText(error, problem.message);
        yes.disabled = false;
      }
    });
    no.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(result);
    });
  });
  done.allow = (allowed) => (yes.disabled = !allowed);
  done.close = () => dialog.close();
  document.querySelector(".lab-part:not(#bar)").append(dialog);
  dialog.showModal();
  return done;
}

/** The exact difference between two configs: {key: {old, new}}. */
export function differenceTable(differences, headings = ["value", "now", "then"]) {
  const rows = Object.entries(differences);
  if (rows.length === 0) return h("p", { class: "hint" }, "Nothing is different.");
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: "differences" },
      h("thead", {}, h("tr", {}, headings.map((text) => h("th", { scope: "col" }, text)))),
      h(
        "tbody",
        {},
        rows.map(([key, { old, new: now }]) =>
          h(
            "tr",
            { data: { key } },
            h("td", {}, h("code", {}, key)),
            h("td", { class: "old" }, valueText(old)),
            h("td", { class: "new" }, valueText(now)),
          ),
        ),
      ),
    ),
  );
}

/** A value of a config as text. */
export function valueText(value) {
  if (value === null || value === undefined) return "none";
  if (Array.isArray(value)) return value.length ? value.map(valueText).join(", ") : "empty";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** A list of what happened to each run. */
export function outcomeList(node, outcomes, nameOf, note = null) {
  return fill(
    node,
    h(
      "ul",
      { class: "outcomes", id: "outcomes", role: "status" },
      outcomes.map((one) =>
        h(
          "li",
          { data: { done: String(one.done) } },
          h("b", {}, nameOf(one.run_id)),
          `: ${one.said}`,
        ),
      ),
      note && h("li", { class: "hint" }, note),
    ),
  );
}
