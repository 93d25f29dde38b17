/**
 * What a seat looks like: a colour and a shape for each state, drawn once for each size and then copied.
 *
 * free: an outline; held: half filled; reserved: filled, with a cross; blocked: an outline, with a bar; mine: a ring;
 * owned: filled, with a check mark.
 */

import { LOOK, LOOK_NAMES } from "./store.js";

/** Below these sizes, in pixels, details are left out that nobody could see. */
const WITH_GLYPHS = 9;
const WITH_OUTLINES = 4;

/** Colours of a look, from the style sheet: what it is filled with, its outline, and what is drawn on it. */
export function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
  const looks = LOOK_NAMES.map((name) => ({
    fill: colour(`${name}-fill`),
    line: colour(`${name}-line`),
    glyph: colour(`${name}-glyph`),
  }));
  const font = getComputedStyle(document.body).fontFamily;
  return {
    looks,
    font,
    ground: colour("ground"),
    ink: colour("ink"),
    muted: colour("muted"),
    stage: colour("stage"),
    accent: colour("accent"),
  };
}

/** @typedef {ReturnType<typeof readTheme>} Theme */

/** Every look at one size, side by side in one picture. */
export class Sprites {
  /** @type {Uint32Array | undefined} */
  #pixels;

  /**
   * @param {Theme} theme
   * @param {number} size of a seat, device pixels
   */
  constructor(theme, size) {
    this.size = Math.max(1, Math.round(size));
    this.canvas = document.createElement("canvas");
    this.canvas.width = (this.size + 2) * LOOK_NAMES.length;
    this.canvas.height = this.size + 2;
    const ctx = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    theme.looks.forEach((colours, look) => {
      ctx.save();
      ctx.translate(look * (this.size + 2) + 1, 1);
      drawSeat(ctx, look, this.size, colours);
      ctx.restore();
    });
  }

  /** Draws a seat around a point, both whole pixels. */
  draw(
    /** @type {CanvasRenderingContext2D} */ ctx,
    /** @type {number} */ look,
    /** @type {number} */ x,
    /** @type {number} */ y,
  ) {
    const cell = this.size + 2;
    const half = cell >> 1;
    ctx.drawImage(this.canvas, look * cell, 0, cell, cell, x - half, y - half, cell, cell);
  }

  /**
   * Writes a seat around a point into a picture, of which the pixels are given. With thousands of small ones that takes a
   * tenth of the time of `draw`, which is a call into the browser each.
   * @param {Uint32Array} picture
   * @param {number} width of the picture
   * @param {number} look
   * @param {number} x
   * @param {number} y
   */
  write(picture, width, look, x, y) {
    const { size } = this;
    this.#pixels ??= this.#read();
    let source = this.canvas.width + look * (size + 2) + 1;
    let target = (y - (size >> 1)) * width + x - (size >> 1);
    for (let row = 0; row < size; row++) {
      for (let i = 0; i < size; i++) picture[target + i] = this.#pixels[source + i];
      source += this.canvas.width;
      target += width;
    }
  }

  #read() {
    const { width, height } = this.canvas;
    const ctx = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    return new Uint32Array(ctx.getImageData(0, 0, width, height).data.buffer);
  }

  /** Removes what `draw` has drawn. */
  clear(/** @type {CanvasRenderingContext2D} */ ctx, /** @type {number} */ x, /** @type {number} */ y) {
    const cell = this.size + 2;
    ctx.clearRect(x - (cell >> 1), y - (cell >> 1), cell, cell);
  }
}

/** Draws the swatches of a legend, at the size that the style sheet gives them. */
export function drawSwatch(
  /** @type {HTMLCanvasElement} */ canvas,
  /** @type {Theme} */ theme,
  /** @type {number} */ look,
) {
  const size = Math.round(canvas.clientWidth * devicePixelRatio);
  canvas.width = canvas.height = size;
  const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  ctx.translate(1, 1);
  drawSeat(ctx, look, size - 2, theme.looks[look]);
  if (look === LOOK.mine) drawLeft(ctx, (size - 2) / 2, (size - 2) / 2, size - 2, 0.7, theme.accent);
}

/** The part of a ring that says how much of a hold's time is left, around a point. */
export function drawLeft(
  /** @type {CanvasRenderingContext2D} */ ctx,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {number} */ size,
  /** @type {number} */ share,
  /** @type {string} */ colour,
) {
  const width = Math.max(1.5, size * 0.16);
  const top = -Math.PI / 2;
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.lineCap = "butt";
  ctx.beginPath();
  ctx.arc(x, y, (size - width) / 2, top, top + 2 * Math.PI * share);
  ctx.stroke();
}

function drawSeat(
  /** @type {CanvasRenderingContext2D} */ ctx,
  /** @type {number} */ look,
  /** @type {number} */ size,
  /** @type {{fill: string, line: string, glyph: string}} */ { fill, line, glyph },
) {
  const stroke = size < WITH_GLYPHS ? 1 : Math.max(1, size * 0.075);
  const inner = size - stroke;
  ctx.fillStyle = fill;
  ctx.strokeStyle = line;
  ctx.lineWidth = stroke;
  if (size < WITH_OUTLINES) {
    ctx.fillStyle = look === LOOK.free || look === LOOK.held ? line : fill;
    if (look === LOOK.mine) ctx.fillStyle = glyph;
    ctx.fillRect(0, 0, size, size);
    return;
  }
  ctx.beginPath();
  if (look === LOOK.mine) ctx.arc(size / 2, size / 2, inner / 2, 0, 2 * Math.PI);
  else ctx.roundRect(stroke / 2, stroke / 2, inner, inner, size * 0.26);
  if (look === LOOK.mine && size < WITH_GLYPHS) ctx.fillStyle = glyph;
  ctx.fill();

  if (look === LOOK.held) {
    // Half of it: below the diagonal.
    ctx.save();
    ctx.clip();
    ctx.fillStyle = glyph;
    ctx.beginPath();
    ctx.moveTo(0, 0);
    ctx.lineTo(size, size);
    ctx.lineTo(0, size);
    ctx.fill();
    ctx.restore();
    ctx.beginPath();
    ctx.roundRect(stroke / 2, stroke / 2, inner, inner, size * 0.26);
  }
  if ((look === LOOK.free || look === LOOK.blocked) && size < WITH_GLYPHS) ctx.globalAlpha = 0.6; // many lines so close are loud
  ctx.stroke();
  if (size < WITH_GLYPHS) return;

  ctx.strokeStyle = ctx.fillStyle = glyph;
  ctx.lineWidth = Math.max(1.2, size * 0.1);
  ctx.lineCap = ctx.lineJoin = "round";
  ctx.beginPath();
  if (look === LOOK.reserved) {
    const [near, far] = [size * 0.34, size * 0.66];
    ctx.moveTo(near, near);
    ctx.lineTo(far, far);
    ctx.moveTo(far, near);
    ctx.lineTo(near, far);
    ctx.stroke();
  } else if (look === LOOK.blocked) {
    ctx.moveTo(size * 0.3, size / 2);
    ctx.lineTo(size * 0.7, size / 2);
    ctx.stroke();
  } else if (look === LOOK.owned) {
    ctx.lineWidth = Math.max(1.4, size * 0.13);
    ctx.moveTo(size * 0.27, size * 0.53);
    ctx.lineTo(size * 0.44, size * 0.69);
    ctx.lineTo(size * 0.73, size * 0.34);
    ctx.stroke();
  } else if (look === LOOK.mine) {
    ctx.arc(size / 2, size / 2, size * 0.15, 0, 2 * Math.PI);
    ctx.fill();
  }
}
