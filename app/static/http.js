// Questions to our own routes. The browser's cache answers unchanged ones with a 304.

/** An answer that is a sentence about what went wrong; `problems` are by key, where they are known. */
export class Refused extends Error {
  constructor(message, status, problems = []) {
    super(message);
    this.status = status;
    this.problems = problems;
  }
}

/** No answer came at all: the server is gone, or the way to it. */
export class Silence extends Error {
  constructor() {
    super("The server does not answer.");
  }
}

/** GET a route under /lab; `parameters` values may be arrays; null and "" are left out. */
export async function ask(path, parameters = {}, { signal } = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") query.append(name, one);
    }
  }
  const text = query.toString();
  return answerOf(await reach(`/lab/${path}${text ? `?${text}` : ""}`, { signal }));
}

/** POST an order to a route under /lab; what it answers. */
export async function send(path, order, { signal } = {}) {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify(order);
  return answerOf(await reach(`/lab/${path}`, { method: "POST", headers, body, signal }));
}

async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    throw error instanceof TypeError ? new Silence() : error;
  }
}

async function answerOf(response) {
  if (response.ok) return response.json();
  const body = await response.json().catch(() => ({}));
  throw new Refused(sentence(body, response), response.status, body.problems);
}

function sentence(body, response) {
  if (typeof body.error === "string") return body.error;
  if (typeof body.detail === "string") return body.detail;
  return `The server answered ${response.status} ${response.statusText}.`;
}

export const runPath = (run, rest = "") => `runs/${encodeURIComponent(run)}${rest}`;
/** `split`: "train" or "val", where it matters that both may use the same ids. */
export const pictureUrl = (run, image, side, split = null) =>
  `/lab/${runPath(run, `/pictures/${image}?side=${side}${split ? `&split=${split}` : ""}`)}`;
