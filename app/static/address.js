// The page's state is its URL: readable, shareable, kept when one goes to another page.

const SHARED = ["run", "it", "span", "cls"];
const listeners = new Set();

export const DEFAULT_SPAN = 100;

/** One parameter as text, or null. */
export function get(name) {
  return new URLSearchParams(location.search).get(name);
}

export function getAll(name) {
  const text = get(name);
  return text ? text.split(",") : [];
}

export function getNumber(name, otherwise = null) {
  const text = get(name);
  return text !== null && text !== "" && Number.isFinite(Number(text)) ? Number(text) : otherwise;
}

/** Set parameters (null, "" and [] remove them) and tell everybody who listens. */
export function change(changes) {
  note(changes);
  for (const listener of listeners) listener(Object.keys(changes));
}

/** Set parameters that nobody else cares about: no listener is told. */
export function note(changes) {
  const query = merged(new URLSearchParams(location.search), changes);
  history.replaceState(history.state, "", href(location.pathname, query));
}

/** Where a page is, with what all pages share plus `changes`. */
export function link(path, changes = {}) {
  const now = new URLSearchParams(location.search);
  const query = new URLSearchParams(
    SHARED.filter((name) => now.has(name)).map((name) => [name, now.get(name)]),
  );
  return href(path, merged(query, changes));
}

export function onChange(listener) {
  listeners.add(listener);
}

function merged(query, changes) {
  for (const [name, value] of Object.entries(changes)) {
    const text = Array.isArray(value) ? value.join(",") : value;
    if (text === null || text === undefined || text === "") query.delete(name);
    else query.set(name, text);
  }
  return query;
}

function href(path, query) {
  const text = query.toString().replaceAll("%2C", ",");
  return text ? `${path}?${text}` : path;
}
