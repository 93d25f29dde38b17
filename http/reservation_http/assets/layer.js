/**
 * What of the map stands still, as one picture that is larger than the window. A frame copies it, so that panning costs
 * the same for ten seats and ten thousand; a change draws one seat of it anew.
 */

import { LOOK } from "./store.js";
import { Sprites } from "./sprites.js";

/** The size of a seat as a share of the distance between two. */
export const SEAT = 0.8;
/** Distance between two seats from which rows have letters, CSS pixels. */
const LETTER_PITCH = 8;
/** Height from which the numbers of free seats can be read, CSS pixels. */
const LEAST_NUMBER = 9.5;
/** How large the picture may be, in windows, to have the whole hall; else it has the window and this much around it. */
const MOST_WINDOWS = 4;
const AROUND = 0.35;
/** Size of a seat up to which seats are written pixel by pixel, device pixels. */
const SMALL = 16;

export class Layer {
  #canvas = document.createElement("canvas");
  #ctx = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d"));
  /** What it has of the hall, in units, and device pixels for each; 0: nothing. */
  #area = { left: 0, top: 0, right: 0, bottom: 0, whole: false };
  #resolution = 0;
  /** @type {Sprites | undefined} */
  #sprites;
  #numbered = false;

  /**
   * @param {import("./layout.js").Hall} hall
   * @param {(seat: number) => number} look how a seat looks now
   */
  constructor(hall, look) {
    this.hall = hall;
    this.look = look;
  }

  /** Nothing of it is true any more. */
  spoil() {
    this.#resolution = 0;
  }

  /** Colours have changed, too. */
  restyle() {
    this.#sprites = undefined;
    this.spoil();
  }

  /** Whether it has all that a window shows, at its resolution unless any will do. */
  serves(/** @type {import("./view.js").View} */ view, /** @type {boolean} */ roughly) {
    if (this.#resolution === 0) return false;
    if (!roughly && this.#resolution !== view.resolution) return false;
    const { left, top, right, bottom, whole } = this.#area;
    if (whole) return true;
    const seen = visible(view, 0);
    return left <= seen.left && top <= seen.top && right >= seen.right && bottom >= seen.bottom;
  }

  /** Draws it for a window. */
  draw(/** @type {import("./view.js").View} */ view, /** @type {import("./sprites.js").Theme} */ theme) {
    this.#resolution = view.resolution;
    this.#area = this.#choose(view);
    const { left, top, right, bottom } = this.#area;
    this.#canvas.width = Math.max(1, Math.ceil((right - left) * this.#resolution));
    this.#canvas.height = Math.max(1, Math.ceil((bottom - top) * this.#resolution));
    const size = Math.max(1, Math.round(this.#resolution * SEAT));
    if (this.#sprites?.size !== size) this.#sprites = new Sprites(theme, size);

    if (size <= SMALL) this.#writeSeats(this.#sprites);
    this.#drawStage(view, theme);
    if (view.scale >= LETTER_PITCH) this.#drawLetters(view, theme);
    this.#drawTiers(view, theme);
    this.#penForNumbers(view, theme);
    if (size > SMALL) for (const seat of this.#seats()) this.#drawSeat(seat);
  }

  /** The seats that it has. */
  *#seats() {
    const { hall } = this;
    const { left, top, right, bottom } = this.#area;
    for (const row of hall.rows) {
      if (row.y < top - 1 || row.y - hall.bow > bottom + 1) continue;
      for (let seat = row.first; seat < row.first + row.count; seat++) {
        if (hall.x[seat] > left - 1 && hall.x[seat] < right + 1) yield seat;
      }
    }
  }

  /** Draws all seats at once. */
  #writeSeats(/** @type {Sprites} */ sprites) {
    const { width, height } = this.#canvas;
    const { size } = sprites;
    const picture = this.#ctx.createImageData(width, height);
    const pixels = new Uint32Array(picture.data.buffer);
    for (const seat of this.#seats()) {
      const [x, y] = [this.#x(this.hall.x[seat]), this.#y(this.hall.y[seat])];
      const inside = x >= size && y >= size && x <= width - size && y <= height - size;
      if (inside) sprites.write(pixels, width, this.look(seat), x, y);
    }
    this.#ctx.putImageData(picture, 0, 0);
  }

  /** Draws one seat anew. */
  redraw(/** @type {number} */ seat) {
    if (this.#resolution === 0) return;
    this.#sprites?.clear(this.#ctx, this.#x(this.hall.x[seat]), this.#y(this.hall.y[seat]));
    this.#drawSeat(seat);
  }

  /** Copies it to where a window shows it, on a canvas whose pixels are the device's. */
  copy(/** @type {CanvasRenderingContext2D} */ ctx, /** @type {import("./view.js").View} */ view) {
    const [x, y] = view.toWindow(this.#area.left, this.#area.top);
    const zoom = view.resolution / this.#resolution;
    const { width, height } = this.#canvas;
    if (zoom === 1) ctx.drawImage(this.#canvas, Math.round(x * view.ratio), Math.round(y * view.ratio));
    else ctx.drawImage(this.#canvas, x * view.ratio, y * view.ratio, width * zoom, height * zoom);
  }

  /** The whole hall if that is not too large, else the window and what is around it. */
  #choose(/** @type {import("./view.js").View} */ view) {
    const { left, top, width, height } = this.hall.box;
    const windows = (width * height * view.scale ** 2) / (view.width * view.height);
    if (windows <= MOST_WINDOWS) return { left, top, right: left + width, bottom: top + height, whole: true };
    return visible(view, AROUND);
  }

  #x(/** @type {number} */ x) {
    return Math.round((x - this.#area.left) * this.#resolution);
  }

  #y(/** @type {number} */ y) {
    return Math.round((y - this.#area.top) * this.#resolution);
  }

  #drawSeat(/** @type {number} */ seat) {
    const look = this.look(seat);
    const [x, y] = [this.#x(this.hall.x[seat]), this.#y(this.hall.y[seat])];
    this.#sprites?.draw(this.#ctx, look, x, y);
    if (this.#numbered && look === LOOK.free) this.#ctx.fillText(String(seat), x, y + 1);
  }

  /** Seats that are large enough have numbers. */
  #penForNumbers(/** @type {import("./view.js").View} */ view, /** @type {import("./sprites.js").Theme} */ theme) {
    const digits = Math.max(3, String(this.hall.total).length);
    const size = Math.min(13, (view.scale * SEAT * 1.4) / digits);
    this.#numbered = size >= LEAST_NUMBER;
    this.#pen(theme, `500 ${size * view.ratio}px ${theme.font}`, theme.looks[LOOK.free].glyph);
  }

  #pen(/** @type {import("./sprites.js").Theme} */ theme, /** @type {string} */ font, /** @type {string} */ colour) {
    this.#ctx.font = font;
    this.#ctx.fillStyle = colour;
    this.#ctx.textAlign = "center";
    this.#ctx.textBaseline = "middle";
  }

  #drawStage(/** @type {import("./view.js").View} */ view, /** @type {import("./sprites.js").Theme} */ theme) {
    const { hall } = this;
    const ctx = this.#ctx;
    const half = hall.stageHalfWidth;
    // A parabola is a quadratic curve: with its control point twice as deep as its middle.
    const rise = hall.rise(half);
    const depth = hall.stageDepth;
    ctx.beginPath();
    ctx.moveTo(this.#x(-half * 0.94), this.#y(0));
    ctx.lineTo(this.#x(half * 0.94), this.#y(0));
    ctx.lineTo(this.#x(half), this.#y(depth - rise));
    ctx.quadraticCurveTo(this.#x(0), this.#y(depth + rise), this.#x(-half), this.#y(depth - rise));
    ctx.closePath();
    ctx.fillStyle = theme.stage;
    ctx.fill();
    const size = Math.max(8, Math.min(14, view.scale * hall.stageDepth * 0.22)) * view.ratio;
    this.#pen(theme, `600 ${size}px ${theme.font}`, theme.muted);
    ctx.letterSpacing = `${size * 0.18}px`;
    ctx.fillText("STAGE", this.#x(0), this.#y(depth * 0.52));
    ctx.letterSpacing = "0px";
  }

  #drawLetters(/** @type {import("./view.js").View} */ view, /** @type {import("./sprites.js").Theme} */ theme) {
    const { hall } = this;
    const size = Math.min(13, Math.max(8, view.scale * 0.62)) * view.ratio;
    this.#pen(theme, `500 ${size}px ${theme.font}`, theme.muted);
    for (const row of hall.rows) {
      for (const [seat, beside] of [
        [row.first, -1.3],
        [row.first + row.count - 1, 1.3],
      ]) {
        this.#ctx.fillText(row.name, this.#x(hall.x[seat] + beside), this.#y(hall.y[seat]));
      }
    }
  }

  #drawTiers(/** @type {import("./view.js").View} */ view, /** @type {import("./sprites.js").Theme} */ theme) {
    const size = Math.min(14, view.scale * 1.6) * view.ratio;
    if (size < 7) return;
    this.#pen(theme, `600 ${size}px ${theme.font}`, theme.muted);
    this.#ctx.letterSpacing = `${size * 0.12}px`;
    for (const tier of this.hall.tiers) this.#ctx.fillText(tier.name.toUpperCase(), this.#x(0), this.#y(tier.y));
    this.#ctx.letterSpacing = "0px";
  }
}

/** What a window shows, and more around it; in units. */
function visible(/** @type {import("./view.js").View} */ view, /** @type {number} */ around) {
  const [left, top] = view.toHall(-view.width * around, -view.height * around);
  const [right, bottom] = view.toHall(view.width * (1 + around), view.height * (1 + around));
  return { left, top, right, bottom, whole: false };
}
