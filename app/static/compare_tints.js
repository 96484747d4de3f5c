// Compare: the colour of the run in a place, the same in curves, tables and pictures.

import { colour } from "./kinds.js";

const TINTS = ["accent", "kind-loc", "kind-cor", "kind-oth"];

export const tintOf = (place) => colour(TINTS[place]);
export const tintVariable = (place) => `var(--lab-${TINTS[place]})`;
