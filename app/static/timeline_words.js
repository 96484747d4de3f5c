// What happened to a thing, in words. Pure.

/** Each event: how it is marked in a lane, and its name. */
export const EVENTS = {
  born: { mark: "", name: "born" },
  back: { mark: "", name: "back" },
  changed: { mark: "⇄", name: "changed class" },
  corrected: { mark: "✎", name: "corrected by CLIP" },
  kept: { mark: "▲", name: "kept now" },
  dropped: { mark: "▼", name: "dropped now" },
  gone: { mark: "", name: "gone" },
};

/** "cat → dog" for a label; `name(label)` gives the name of a class. */
export function eventWords(event, label, before, name) {
  switch (event) {
    case "changed":
      return `${name(before.label)} → ${name(label.label)}`;
    case "corrected":
      return `${name(label.label_before)} → ${name(label.label)}`;
    case "dropped":
      return `${name(label.label)}, ${label.why}`;
    case "kept":
      return name(label.label);
    case "gone":
      return `${name(before.label)}: nothing found where it was`;
    default:
      return `${name(label.label)}, ${label.kept ? "kept" : `dropped: ${label.why}`}`;
  }
}

/** The things of a timeline: {track, seen: [label or null by frame], kept, classes, events}. */
export function things({ frames, tracks, events }) {
  const all = Array.from({ length: tracks }, (_, track) => ({
    track,
    seen: frames.map(() => null),
    hidden: frames.map(() => false),
    kept: 0,
    classes: [],
    events: [],
  }));
  frames.forEach((frame, at) => {
    for (const track of frame.hidden) all[track].hidden[at] = true;
    for (const label of frame.labels) {
      const thing = all[label.track];
      thing.seen[at] = label;
      thing.kept += label.kept;
      if (!thing.classes.includes(label.label)) thing.classes.push(label.label);
    }
  });
  for (const event of events) all[event.track].events.push(event);
  return all;
}

/** Those to show: of the class, kept at least once if `keptOnly`; the most often kept first. */
export function chosenThings(all, { keptOnly, cls }) {
  const ofClass = all.filter(({ classes }) => cls === null || classes.includes(cls));
  const kept = ofClass.filter((thing) => thing.kept > 0);
  const seen = (thing) => thing.seen.filter(Boolean).length;
  return (keptOnly && kept.length ? kept : ofClass).toSorted(
    (a, b) => b.kept - a.kept || seen(b) - seen(a) || a.track - b.track,
  );
}

/** The label of a thing at a frame, or the last one before it. */
export function lastSeen(thing, frame) {
  for (let at = frame; at >= 0; at -= 1) if (thing.seen[at]) return thing.seen[at];
  return null;
}
