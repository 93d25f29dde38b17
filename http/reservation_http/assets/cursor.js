/**
 * The map for a keyboard and a screen reader: a grid (WAI-ARIA), of which only the cell exists that one is at. That
 * cell lies over its seat on the canvas, so that the focus ring is where the seat is.
 */

/** Rows that Page Up and Page Down pass. */
const PAGE = 5;

/** @type {Record<string, [number, number]>} */
const STEPS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
  PageUp: [0, -PAGE],
  PageDown: [0, PAGE],
  Home: [-Infinity, 0],
  End: [Infinity, 0],
};

export class Cursor {
  /** The seat it is at. */
  seat = 0;
  #cell = document.createElement("div");
  #described = "";

  /**
   * @param {HTMLElement} grid
   * @param {import("./layout.js").Hall} hall
   * @param {(seat: number) => string} describe a seat in words
   */
  constructor(grid, hall, describe) {
    this.grid = grid;
    this.hall = hall;
    this.describe = describe;
    grid.setAttribute("aria-rowcount", String(hall.rows.length));
    grid.setAttribute("aria-colcount", String(hall.columns));
    this.row = document.createElement("div");
    this.row.setAttribute("role", "row");
    grid.replaceChildren(this.row);
    this.move(Math.ceil(hall.total / 2));
  }

  /** Is at another seat now. */
  move(/** @type {number} */ seat) {
    const { index, first, column } = this.hall.row(seat);
    this.seat = seat;
    // Another element each time: a reader says what has become active, not what has become of it.
    const cell = document.createElement("div");
    cell.id = `seat-${seat}`;
    cell.className = "cell";
    cell.setAttribute("role", "gridcell");
    cell.setAttribute("aria-colindex", String(column + seat - first + 1));
    this.row.setAttribute("aria-rowindex", String(index + 1));
    this.row.replaceChildren(cell);
    this.#cell = cell;
    this.#described = "";
    this.tell();
    this.grid.setAttribute("aria-activedescendant", cell.id);
  }

  /** Describes the seat, which may have changed. */
  tell() {
    const words = this.describe(this.seat);
    if (words === this.#described) return;
    this.#described = words;
    this.#cell.setAttribute("aria-label", words);
  }

  /** Lies over its seat. */
  place(/** @type {import("./view.js").View} */ view, /** @type {number} */ size) {
    const [x, y] = view.toWindow(this.hall.x[this.seat], this.hall.y[this.seat]);
    const { style } = this.#cell;
    style.width = style.height = `${size}px`;
    style.transform = `translate(${x - size / 2}px, ${y - size / 2}px)`;
  }

  /** The seat that a key leads to; undefined if it is none that moves. */
  target(/** @type {string} */ key) {
    const step = STEPS[key];
    return step && this.hall.step(this.seat, ...step);
  }
}
