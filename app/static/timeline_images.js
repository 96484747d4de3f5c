// Which image, and whose labels of it.

import * as address from "./address.js";
import { fill, h, segmented } from "./dom.js";
import { pictureUrl } from "./http.js";
import { session } from "./session.js";
import { count, plural } from "./text.js";

const SMALL_SIDE = 160;
const SOURCES = {
  pseudo: ["pseudo-labels", "What was taught, each time the image came round"],
  probe_teacher: ["teacher", "The teacher's prediction of a fixed set of images, again and again"],
  probe_student: ["student", "The student's prediction of the same images"],
};

const PARTNERS = { probe_teacher: "probe_student", probe_student: "probe_teacher" };

/** Whose predictions of the same images stand beside those in view; null = nobody's. */
export function partnerOf({ sources, source }) {
  const partner = PARTNERS[source];
  return sources.includes(partner) ? partner : null;
}

/** Whose labels there are; a click shows those. */
export function showSources({ sources, list }) {
  const options = list.sources.map((name) => [name, ...SOURCES[name]]);
  const pickSource = (source) => address.change({ source, image: null, it: null });
  fill(
    sources,
    options.length ? segmented("Whose labels", options, list.source, pickSource) : null,
  );
}

/** The images that were looked at most often as small pictures, any other by its id. */
export function showRail({ rail, list, data }) {
  const run = session.run.run_id;
  const thumb = ({ image_id: id, visits }) =>
    h(
      "button",
      {
        type: "button",
        class: "thumb",
        title: `image ${id}, looked at ${plural(visits, "time")}`,
        "aria-current": String(id === data.image.id),
        data: { image: id },
        onclick: () => address.change({ image: id }),
      },
      h("img", {
        src: pictureUrl(run, id, SMALL_SIDE),
        alt: `image ${id}`,
        loading: "lazy",
        decoding: "async",
      }),
      h("span", { class: "num" }, `${count(visits)}×`),
    );
  const other = h("input", {
    type: "number",
    class: "image-id",
    placeholder: "image id",
    "aria-label": "Image id",
    onchange: () => other.value && address.change({ image: other.value }),
  });
  const more = list.total - list.images.length;
  fill(
    rail,
    list.images.map(thumb),
    h(
      "label",
      { class: "field" },
      h("span", {}, more > 0 ? `${count(more)} more, by id` : "by id"),
      other,
    ),
  );
}
