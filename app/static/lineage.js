// Which runs come from which: forks and their parents. Pure.

/** run id -> id of the oldest ancestor that is among the runs. */
export function roots(runs) {
  const byId = new Map(runs.map((run) => [run.run_id, run]));
  const rootOf = (run) => {
    const seen = new Set();
    while (byId.has(run.parent_run_id) && !seen.has(run.run_id)) {
      seen.add(run.run_id);
      run = byId.get(run.parent_run_id);
    }
    return run.run_id;
  };
  return new Map(runs.map((run) => [run.run_id, rootOf(run)]));
}

/** run id -> how many runs were forked from it. */
export function childCounts(runs) {
  const counts = new Map();
  for (const { parent_run_id: parent } of runs)
    if (parent) counts.set(parent, (counts.get(parent) ?? 0) + 1);
  return counts;
}

/** The runs as a tree, parents before their forks, oldest first: [{run, depth}]. */
export function treeOrder(runs) {
  const ids = new Set(runs.map((run) => run.run_id));
  const oldestFirst = runs.toSorted((a, b) => a.created - b.created);
  const childrenOf = (id) => oldestFirst.filter((run) => run.parent_run_id === id);
  const walk = (run, depth) => [
    { run, depth },
    ...childrenOf(run.run_id).flatMap((child) => walk(child, depth + 1)),
  ];
  return oldestFirst.filter((run) => !ids.has(run.parent_run_id)).flatMap((run) => walk(run, 0));
}
