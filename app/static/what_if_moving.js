// The labels that would enter and leave, shown once the slider is let go.

import * as address from "./address.js";
import { fill, h, setText } from "./dom.js";
import { openDoor, throughDoor } from "./fiftyone.js";
import { ask, runPath } from "./http.js";
import { drawTiles, labelTile } from "./label_tile.js";
import { session, windowQuestion } from "./session.js";
import { plural } from "./text.js";
import { bothRules, isCoupled, same } from "./what_if_rules.js";

export function buildMoving() {
  const sides = {
    enter: side("Would enter", "what-if-enter"),
    leave: side("Would leave", "what-if-leave"),
  };
  const node = h("div", { class: "moving" }, sides.enter.node, sides.leave.node);
  let asked = null;
  const refresh = async (view) => {
    const question = {
      ...windowQuestion(),
      ...bothRules(view),
    };
    const mine = JSON.stringify([session.run.run_id, question]);
    if (asked === mine) return;
    asked = mine;
    const isMoved = !same(view.now, view.then);
    const answer = isMoved
      ? await ask(runPath(session.run.run_id, "/moving"), question).catch(asSentence)
      : NOTHING;
    if (asked !== mine) return;
    for (const name of ["enter", "leave"]) sides[name].show(answer, answer[name]);
    const door = isMoved ? await openDoor(session.run.run_id) : null;
    if (asked !== mine) return;
    for (const name of ["enter", "leave"]) sides[name].showDoor(door, name, view);
  };
  globalThis.addEventListener("lab-theme", () =>
    Object.values(sides).forEach((one) => drawTiles(one.tiles)),
  );
  return { node, refresh };
}

const NOTHING = { images: {}, enter: { total: 0, rows: [] }, leave: { total: 0, rows: [] } };

/** Thresholds as FiftyOne's door reads them: "class_quality:0.50,mask_quality:0.80". */
function barsOf(axes, rule) {
  const bar = (name, index) => `${name}:${(rule[index] / 100).toFixed(2)}`;
  if (isCoupled(rule)) return bar("score", "coupledIndex");
  return [bar(axes.x.name, "xIndex"), bar(axes.y.name, "yIndex")].join(",");
}

const asSentence = (problem) => ({ ...NOTHING, error: problem.message });

function side(title, id) {
  const tally = h("span", { class: "hint" });
  const outside = h("a", { target: "_blank", rel: "noopener", hidden: true }, "In FiftyOne");
  const gallery = h("div", { class: "gallery", id });
  const one = {
    node: h(
      "section",
      { class: "card" },
      h("div", { class: "page-head" }, h("h2", {}, title), tally, outside),
      gallery,
    ),
    tiles: [],
  };
  one.showDoor = (door, name, { axes, then }) => {
    outside.hidden = door === null;
    if (door) outside.href = throughDoor(door, { moving: `${name}s`, bars: barsOf(axes, then) });
  };
  one.show = ({ images, error }, { total, rows }) => {
    const onOpen = (label) =>
      location.assign(
        address.link("/labels", {
          it: label.step,
          span: 1,
          open: `${label.id}.${label.image_id}.${label.step}`,
        }),
      );
    one.tiles = rows.map((label) =>
      labelTile(session.run.run_id, label, images[label.image_id], { small: true, onOpen }),
    );
    setText(
      tally,
      error ??
        (total === 0
          ? "none"
          : `${plural(total, "label")}${total > rows.length ? `; ${rows.length} of them, evenly from the surest to the least sure` : ""}`),
    );
    fill(gallery, one.tiles);
    drawTiles(one.tiles);
  };
  return one;
}
