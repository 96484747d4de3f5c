// Playing and scrubbing through frames: buttons, a slider, and the keyboard.

import { h, select, setText } from "./dom.js";
import { count } from "./text.js";

const FRAMES_PER_SECOND = 3;
const SPEEDS = [
  ["0.5", "half speed"],
  ["1", "normal speed"],
  ["3", "fast"],
  ["10", "very fast"],
];

/**
 * The controls. `onFrame(index)` is called for every frame that is shown, `onRest(index)` when the
 * player stops there.
 */
export function buildPlayer({ onFrame, onRest }) {
  const player = { index: 0, length: 0, steps: [], playing: false, speed: 1, onFrame, onRest };
  const button = (text, title, act, id) =>
    h(
      "button",
      { type: "button", class: "button", title, "aria-label": title, id, onclick: act },
      text,
    );
  player.slider = h("input", {
    type: "range",
    min: 0,
    max: 0,
    step: 1,
    "aria-label": "Frame",
    id: "timeline-slider",
  });
  player.text = h("output", { class: "num", id: "timeline-step" });
  player.button = button("Play", "Play or pause (space)", () => toggle(player), "timeline-play");
  player.slider.addEventListener("input", () => show(player, Number(player.slider.value)));
  player.slider.addEventListener("change", () => rest(player));
  player.node = h(
    "div",
    { class: "player" },
    button("«", "First (Home)", () => step(player, -Infinity)),
    button("‹", "One back (←)", () => step(player, -1), "timeline-back"),
    player.button,
    button("›", "One on (→)", () => step(player, 1), "timeline-on"),
    button("»", "Last (End)", () => step(player, Infinity)),
    player.slider,
    player.text,
    select("Speed", SPEEDS, "1", (speed) => (player.speed = Number(speed))),
  );
  document.addEventListener("keydown", (event) => onKey(player, event));
  return player;
}

/** Other frames, beginning with frame `index`. */
export function load(player, steps, index) {
  stop(player);
  player.steps = steps;
  player.length = steps.length;
  player.slider.max = Math.max(0, steps.length - 1);
  player.slider.disabled = player.button.disabled = steps.length < 2;
  show(player, index);
}

export function show(player, index) {
  player.index = Math.min(Math.max(0, index), Math.max(0, player.length - 1));
  player.slider.value = player.index;
  const at = player.steps[player.index];
  setText(player.text, `step ${count(at)}, ${count(player.index + 1)} of ${count(player.length)}`);
  player.onFrame(player.index);
}

export function step(player, by) {
  stop(player);
  show(player, player.index + by);
  rest(player);
}

const rest = (player) => player.playing || player.onRest(player.index);

function toggle(player) {
  if (player.playing) {
    stop(player);
    rest(player);
  } else play(player);
}

function stop(player) {
  player.playing = false;
  setText(player.button, "Play");
  player.button.setAttribute("aria-pressed", "false");
}

/** From here to the end; from the beginning when it is already there. */
function play(player) {
  if (player.length < 2) return;
  player.playing = true;
  setText(player.button, "Pause");
  player.button.setAttribute("aria-pressed", "true");
  if (player.index >= player.length - 1) show(player, 0);
  let shown = performance.now();
  const tick = (now) => {
    if (!player.playing) return;
    if (now - shown >= 1000 / (FRAMES_PER_SECOND * player.speed)) {
      shown = now;
      show(player, player.index + 1);
      if (player.index >= player.length - 1) return toggle(player);
    }
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}

function onKey(player, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || player.length === 0) return;
  if (event.target.closest("input, select, textarea")) return;
  if (event.key === " " && event.target.closest("button, a, summary")) return;
  const act = {
    " ": () => toggle(player),
    ArrowRight: () => step(player, 1),
    ArrowLeft: () => step(player, -1),
    Home: () => step(player, -Infinity),
    End: () => step(player, Infinity),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}
