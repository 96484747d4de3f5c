// Building nodes. Children and attributes are always text, so names from data never become HTML.

/** h("p", {class: "hint", onclick: f, data: {kind: "cor"}}, "text", node) -> HTMLElement */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(node, name, value);
  node.append(...present(children));
  return node;
}

/** Children may be nested lists with null and undefined for "nothing here". */
const present = (children) =>
  children.flat(Infinity).filter((child) => child !== null && child !== undefined);

function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else if (name === "data") Object.assign(node.dataset, value);
  else if (name === "style")
    for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
  else node.setAttribute(name, value === true ? "" : value);
}

/** Replace what is inside. */
export function fill(node, ...children) {
  node.replaceChildren(...present(children));
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A row of buttons of which one is pressed. options: [[value, text, title?], ...] */
export function segmented(label, options, value, onPick) {
  const buttons = options.map(([one, text, title]) =>
    h(
      "button",
      {
        type: "button",
        title,
        "aria-pressed": String(one === value),
        data: { value: one },
        onclick: () => pick(one),
      },
      text,
    ),
  );
  const group = h("div", { class: "segmented", role: "group", "aria-label": label }, buttons);
  const show = (now) =>
    buttons.forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.value === String(now))));
  const pick = (one) => {
    show(one);
    onPick(one);
  };
  group.show = show;
  return group;
}

/** A <select>. options: [[value, text], ...]; keeps the node when only options change. */
export function select(label, options, value, onPick) {
  const node = h("select", { "aria-label": label, onchange: () => onPick(node.value) });
  setOptions(node, options, value);
  return node;
}

export function setOptions(node, options, value) {
  const signature = JSON.stringify(options);
  if (node.dataset.signature !== signature) {
    fill(
      node,
      options.map(([one, text]) => h("option", { value: one }, text)),
    );
    node.dataset.signature = signature;
  }
  node.value = value;
}
