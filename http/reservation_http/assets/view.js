/** Which part of the hall the window shows. Distances in the window are CSS pixels, those in the hall its own units. */

/** Largest distance between two seats, CSS pixels, and when the whole hall is shown. */
const MAX_PITCH = 60;
const MAX_WHOLE_PITCH = 44;
/** Room around the hall when all of it is shown, CSS pixels. Below it, at both sides, are buttons. */
const PADDING = { side: 12, top: 6, bottom: 48 };

/** @typedef {{x: number, y: number, scale: number}} Sight the middle of the window, and pixels for each unit */

export class View {
  x = 0;
  y = 0;
  scale = 1;
  width = 1;
  height = 1;
  /** Device pixels for each CSS pixel. */
  ratio = 1;

  /** @param {{left: number, top: number, width: number, height: number}} box what there is to see */
  constructor(box) {
    this.box = box;
  }

  /** Device pixels for each unit. */
  get resolution() {
    return this.scale * this.ratio;
  }

  look(/** @type {Sight} */ { x, y, scale }) {
    this.x = clamp(x, this.box.left, this.box.left + this.box.width);
    this.y = clamp(y, this.box.top, this.box.top + this.box.height);
    this.scale = scale;
  }

  /** All of the hall. @returns {Sight} */
  whole() {
    const { left, top, width, height } = this.box;
    const room = this.height - PADDING.top - PADDING.bottom;
    const scale = Math.min((this.width - 2 * PADDING.side) / width, room / height, MAX_WHOLE_PITCH);
    const snapped = this.#snap(scale, Math.floor);
    return { x: left + width / 2, y: top + height / 2 + (PADDING.bottom - PADDING.top) / 2 / snapped, scale: snapped };
  }

  /** As close to another scale as may be, with a point of the window staying where it is. @returns {Sight} */
  around(/** @type {number} */ scale, x = this.width / 2, y = this.height / 2) {
    const next = clamp(scale, this.whole().scale, MAX_PITCH);
    const [hallX, hallY] = this.toHall(x, y);
    return { x: hallX - (x - this.width / 2) / next, y: hallY - (y - this.height / 2) / next, scale: next };
  }

  /**
   * The nearest scale at which the distance between two seats is whole device pixels: there all seats are equally sharp.
   * @param {"nearest" | "in" | "out"} direction
   */
  sharp(scale = this.scale, direction = "nearest") {
    return this.#snap(scale, { nearest: Math.round, in: Math.ceil, out: Math.floor }[direction]);
  }

  #snap(/** @type {number} */ scale, /** @type {(n: number) => number} */ round) {
    return Math.max(1, round(scale * this.ratio)) / this.ratio;
  }

  /** @returns {[number, number]} */
  toWindow(/** @type {number} */ x, /** @type {number} */ y) {
    return [(x - this.x) * this.scale + this.width / 2, (y - this.y) * this.scale + this.height / 2];
  }

  /** @returns {[number, number]} */
  toHall(/** @type {number} */ x, /** @type {number} */ y) {
    return [(x - this.width / 2) / this.scale + this.x, (y - this.height / 2) / this.scale + this.y];
  }
}

/** The sight between two, for a share of the way from 0 to 1. @returns {Sight} */
export function between(/** @type {Sight} */ from, /** @type {Sight} */ to, /** @type {number} */ share) {
  if (share >= 1) return to;
  const mix = (/** @type {number} */ a, /** @type {number} */ b) => a + (b - a) * share;
  // The middle moves as one over the scale does, so that what one zooms at stays under the pointer.
  const scale = mix(from.scale, to.scale);
  const moved = from.scale === to.scale ? share : (1 / from.scale - 1 / scale) / (1 / from.scale - 1 / to.scale);
  return { x: from.x + (to.x - from.x) * moved, y: from.y + (to.y - from.y) * moved, scale };
}

function clamp(/** @type {number} */ n, /** @type {number} */ low, /** @type {number} */ high) {
  return Math.min(Math.max(n, low), high);
}
