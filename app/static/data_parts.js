// The parts of a run's data in numbers: labelled, unlabelled, validation.

import { h } from "./dom.js";
import { count, percent, plural } from "./text.js";

const NAMES = {
  labeled: "Labelled",
  unlabeled: "Unlabelled",
  train: "Training images",
  val: "Validation",
};
const USES = {
  masks: ["learnt from", "The run learns from these classes and masks."],
  boxes: ["boxes only", "The run learns from these classes and boxes. The masks are hidden from it; they only judge its own."],
  hidden: ["truth hidden", "The run learns from these images alone. Their truth is hidden from it; it only judges the pseudo-labels."],
  unused: ["not used", "The run does not train on these images; their truth is hidden from it."],
  measure: ["measured by", "The run never learns from these; they tell how good it is."],
  unknown: ["known to others", "Which of these images are labelled is not known here: the code that trained decides."],
};

export const partTitle = ({ name, use }) =>
  name === "labeled" && use === "boxes" ? "Training, with boxes" : NAMES[name];
export const usesMasks = ({ use }) => use !== "boxes";
export const useSentence = ({ use }) => USES[use][1];

export const partCards = (parts) => h("div", { class: "data-parts" }, parts.map(partCard));

function partCard(part) {
  const [mark] = USES[part.use];
  return h(
    "section",
    { class: "card data-part", data: { part: part.name, use: part.use } },
    h("div", { class: "data-part-head" }, h("h2", {}, partTitle(part)), h("span", { class: "use-mark" }, mark)),
    h("p", { class: "hint" }, useSentence(part)),
    part.images === 0 ? h("p", {}, "There is no image in it.") : numbers(part),
  );
}

function numbers(part) {
  const row = (key, name, value, more = null) => [
    h("dt", {}, name),
    h("dd", { data: { number: key } }, value, more && h("span", { class: "hint" }, ` ${more}`)),
  ];
  return h(
    "dl",
    { class: "data-numbers num" },
    row("images", "images", count(part.images), emptyWords(part)),
    row("objects", "objects", count(part.objects)),
    row("each", "per image", (part.objects / part.images).toFixed(1), `at most ${count(part.most_objects)}`),
    row("crowds", "crowds", count(part.crowds), part.crowds ? "count neither way" : null),
    row("sizes", "image size", sizeWords(part.sizes), rangeWords(part.sizes)),
    row("areas", "object size", part.objects ? areaBar(part) : "no object"),
    part.use === "boxes" && part.objects ? row("by", "", null, "by the area of the hidden masks") : null,
  );
}

function emptyWords({ empty_images, never_annotated }) {
  const words = [
    never_annotated ? `${count(never_annotated)} never annotated` : null,
    empty_images > never_annotated ? `${count(empty_images - never_annotated)} without an object` : null,
  ].filter(Boolean);
  return words.length ? words.join(", ") : null;
}

const pixels = ([width, height]) => `${count(width)} × ${count(height)}`;

const sizeWords = ({ different, commonest, of_commonest }) =>
  different === 1 ? pixels(commonest) : `${pixels(commonest)} (${plural(of_commonest, "image")})`;

const rangeWords = ({ different, smallest, largest }) =>
  different === 1 ? "all of them" : `${count(different)} sizes, ${pixels(smallest)} to ${pixels(largest)}`;

const AREAS = [
  ["small", "small", "below 32 × 32 pixels of area"],
  ["medium", "medium", "from 32 × 32 to 96 × 96"],
  ["large", "large", "96 × 96 and more"],
];

/** Shares of small, medium and large objects, as COCO parts them. */
function areaBar(part) {
  const shares = AREAS.map(([key, name, words]) => ({ key, name, words, share: part[key] / part.objects }));
  const says = ({ key, name, words, share }) => `${name}, ${words}: ${count(part[key])} (${percent(share)})`;
  return [
    h(
      "div",
      { class: "areas", "aria-hidden": "true" },
      shares
        .filter(({ share }) => share > 0)
        .map((one) => h("i", { title: says(one), data: { area: one.key }, style: { "--share": one.share } })),
    ),
    h(
      "div",
      { class: "area-words hint" },
      shares.map((one) =>
        h("span", { title: says(one) }, h("i", { class: "dot", data: { area: one.key } }), `${one.name} ${percent(one.share)}`),
      ),
    ),
  ];
}
