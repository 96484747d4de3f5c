// Beside the image: what happens at this step, and the thing that is selected.

import * as address from "./address.js";
import { h } from "./dom.js";
import { classText, verdict } from "./label_tile.js";
import { className } from "./session.js";
import { count, isNumber, plural, score } from "./text.js";
import { EVENTS, eventWords, lastSeen } from "./timeline_words.js";

/** What happens in the frame to the things that are shown; each line selects its thing. */
export function eventList({ data, player, chosen }, onPick) {
  const byTrack = new Map(chosen.map((thing) => [thing.track, thing]));
  const told = data.events.filter((one) => one.frame === player.index && byTrack.has(one.track));
  const title = h("h2", {}, "At this step");
  if (told.length === 0) return [title, h("p", { class: "hint" }, "Nothing changes.")];
  return [
    title,
    h(
      "ul",
      {},
      told.map((one) => h("li", {}, eventButton(one, byTrack.get(one.track), onPick))),
    ),
  ];
}

function eventButton({ frame, event, track }, thing, onPick) {
  const label = thing.seen[frame];
  const words = eventWords(event, label, lastSeen(thing, frame - 1), className);
  return h(
    "button",
    { type: "button", class: "event", data: { event }, onclick: () => onPick(track) },
    h("b", {}, EVENTS[event].name),
    " ",
    words,
  );
}

/** The selected thing: its label now, or its last one, and how often it was seen and kept. */
export function thingCard({ data, player, things, selected }) {
  const thing = things[selected];
  if (!thing)
    return h("p", { class: "hint" }, "Pick a thing in the image or its lane to follow it.");
  const label = thing.seen[player.index];
  const told = label ?? lastSeen(thing, player.index);
  const seen = thing.seen.filter(Boolean).length;
  const life = `seen at ${plural(seen, "step")} of ${count(data.frames.length)}, kept at ${count(thing.kept)}`;
  return h(
    "div",
    { class: "thing" },
    h("h2", {}, told ? classText(told) : className(thing.classes[0])),
    label ? labelLines(label) : h("p", { class: "hint" }, absence(thing, player.index)),
    h("p", { class: "hint num" }, life),
    label && data.source === "pseudo" ? openLink(label, data, player) : null,
  );
}

function absence(thing, frame) {
  if (thing.hidden[frame]) return "Outside the part of the image that was seen at this step.";
  return lastSeen(thing, frame) ? "Not found at this step." : "Not born yet.";
}

const NUMBERS = [
  ["class_quality", "class quality"],
  ["mask_quality", "mask quality"],
  ["target_iou", "true IoU"],
];

function labelLines(label) {
  const numbers = NUMBERS.filter(([name]) => isNumber(label[name]));
  const iou = isNumber(label.target_iou)
    ? []
    : [["true_iou", "true IoU"]].filter(([name]) => isNumber(label[name]));
  return [
    h("p", {}, verdict(label)),
    h(
      "p",
      { class: "num" },
      [...numbers, ...iou].map(([name, words]) => `${words} ${score(label[name])}`).join(" · "),
    ),
    h(
      "p",
      { class: label.kept ? "kept-mark" : "why" },
      label.kept ? "kept" : `dropped: ${label.why}`,
    ),
    label.mask ? null : h("p", { class: "hint" }, "box only, mask not stored"),
  ];
}

function openLink(label, data, player) {
  const step = data.frames[player.index].step;
  const open = `${label.id}.${data.image.id}.${step}`;
  return h(
    "a",
    { href: address.link("/labels", { it: step, span: 1, image: data.image.id, open }) },
    "Open in Labels",
  );
}
