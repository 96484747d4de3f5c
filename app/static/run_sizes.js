// What each run takes on disk. Counting may take seconds: it is asked for apart, and fills in later.

import { ask } from "./http.js";
import { listen, session } from "./session.js";
import { byteSize } from "./text.js";

const FRESH_MS = 30_000;
const NEW_RUN_MS = 4_000;
const WORDS = { scores: "labels with their scores", other: "other files" };

let sizes = {};
let asked = -Infinity;
let busy = false;

/** {total, kinds: {kind: bytes}} of a run, or null while nobody has measured it. */
export const sizeOf = (run) => sizes[run.run_id] ?? null;

/** Ask now, and again while the page is open; `onSizes` is called with what came. */
export function keepSizes(onSizes) {
  listen(() => isOld() && askSizes(onSizes));
}

/** A run that came since has no size yet; the others' grow slowly. */
function isOld() {
  const isMissing = session.runs.some((run) => sizeOf(run) === null);
  return !busy && Date.now() - asked > (isMissing ? NEW_RUN_MS : FRESH_MS);
}

async function askSizes(onSizes) {
  busy = true;
  try {
    for (let waiting = 1; waiting > 0; ) {
      const answer = await ask("sizes");
      ({ sizes, waiting } = answer);
      onSizes();
    }
  } catch (problem) {
    console.info(`seglab: ${problem.message}`); // the list itself says when the server is gone
  } finally {
    asked = Date.now();
    busy = false;
  }
}

export const sizeText = (size) => (size === null ? "…" : byteSize(size.total));

/** The parts of a size, the largest first; a line each. */
export function sizeParts(size) {
  if (size === null) return "It is being measured";
  const parts = Object.entries(size.kinds).toSorted(([, a], [, b]) => b - a);
  return parts.map(([kind, held]) => `${WORDS[kind] ?? kind}: ${byteSize(held)}`).join("\n");
}
