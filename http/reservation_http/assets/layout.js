/**
 * Where each seat of a hall is drawn: rows that bow around the stage, sections behind one another. Which seats are in which
 * row is the API's to say (`/events/{id}/layout`); where that is its rule and nobody's hall, there are aisles too.
 *
 * The unit is the distance between two seats of a row. x is 0 in the middle; y grows away from the stage.
 *
 * @typedef {{index: number, name: string, tier: string, y: number, first: number, count: number, column: number}} Row
 *   `first`: the number of its first seat, which is in `column`
 */

/** Widths of what is empty. */
const AISLE = 1.4;
const BETWEEN_TIERS = 3;
const BEFORE_STAGE = 1.7;
/** Room for the names at the ends of rows. */
const MARGIN = 2;

const BLOCKS = /** @type {Record<number, string[]>} */ ({
  1: [""],
  3: ["left", "centre", "right"],
  5: ["far left", "left", "centre", "right", "far right"],
});
/** Columns of a block beside the centre, as a share of all. */
const SIDES = /** @type {Record<number, number[]>} */ ({ 1: [], 3: [0.26], 5: [0.16, 0.2] });

export class Hall {
  /** @param {import("./api.js").Layout} layout */
  constructor({ totalSeats: total, given, sections }) {
    this.total = total;
    const counts = sections.flatMap(({ rows }) => rows.map(({ seats }) => seats));
    const columns = Math.max(...counts);
    this.columns = columns;
    const blocks = given || columns < 12 ? 1 : columns < 64 ? 3 : 5;
    /** x of each column, and the block that it is in. */
    this.columnX = new Float32Array(columns);
    this.columnBlock = new Uint8Array(columns);
    this.blockNames = BLOCKS[blocks];
    this.#placeColumns(SIDES[blocks].map((share) => Math.round(columns * share)));

    /** How much further from the stage a row is in its middle than at its ends. */
    this.bow = columns * 0.045;
    /** How deep the stage is in its middle; its edge is parallel to the rows. */
    this.stageDepth = 1 + columns * 0.03 + this.bow;
    /** @type {Row[]} */
    this.rows = [];
    this.tiers = /** @type {{name: string, y: number}[]} */ ([]);
    this.x = new Float32Array(total + 1); // by seat number
    this.y = new Float32Array(total + 1);
    this.rowOf = new Uint16Array(total + 1);
    const depth = this.#placeRows(sections, given);

    const halfWidth = this.columnX[columns - 1] + MARGIN;
    this.stageHalfWidth = Math.max(2.5, (this.columnX[columns - 1] - this.rows[0].column) * 0.62);
    this.box = { left: -halfWidth, top: -0.6, width: 2 * halfWidth, height: depth + 1.6 };
  }

  #placeColumns(/** @type {number[]} */ sides) {
    const widths = [...sides, this.columns - 2 * sides.reduce((sum, n) => sum + n, 0), ...sides.toReversed()];
    let column = 0;
    widths.forEach((width, block) => {
      for (const end = column + width; column < end; column++) {
        this.columnX[column] = column + block * AISLE;
        this.columnBlock[column] = block;
      }
    });
    const middle = this.columnX[this.columns - 1] / 2;
    this.columnX.forEach((x, i) => (this.columnX[i] = x - middle));
  }

  #placeRows(/** @type {import("./api.js").Section[]} */ sections, /** @type {boolean} */ given) {
    let y = this.stageDepth + BEFORE_STAGE;
    for (const section of sections) {
      const tier = given || sections.length > 1 ? section.name : "";
      if (tier) {
        y += BETWEEN_TIERS - 1;
        this.tiers.push({ name: tier, y: y - BETWEEN_TIERS / 2 });
      }
      for (const { name, first, seats: count } of section.rows) {
        const index = this.rows.length;
        const column = Math.floor((this.columns - count) / 2);
        this.rows.push({ index, name, tier, y, first, count, column });
        for (let i = 0; i < count; i++) {
          const seat = first + i;
          this.x[seat] = this.columnX[column + i];
          this.y[seat] = y - this.rise(this.x[seat]);
          this.rowOf[seat] = index;
        }
        y += 1;
      }
    }
    return y;
  }

  /** How much nearer to the stage a row is at x than in its middle. */
  rise(/** @type {number} */ x) {
    const end = this.columnX[this.columns - 1] || 1;
    return this.bow * (x / end) ** 2;
  }

  row(/** @type {number} */ seat) {
    return this.rows[this.rowOf[seat]];
  }

  /** Where a seat is, in words: "Row K, Circle left". */
  place(/** @type {number} */ seat) {
    const { name, tier, first, column } = this.row(seat);
    const block = this.blockNames[this.columnBlock[column + seat - first]];
    const where = [tier, block].filter(Boolean).join(" ");
    return where ? `Row ${name}, ${where}` : `Row ${name}`;
  }

  /** The seat at a point, or 0. */
  at(/** @type {number} */ x, /** @type {number} */ y) {
    const depth = y + this.rise(x);
    const row = this.rows.find((candidate) => Math.abs(candidate.y - depth) <= 0.5);
    if (!row) return 0;
    const column = nearest(this.columnX, x);
    const seat = row.first + column - row.column;
    const inRow = seat >= row.first && seat < row.first + row.count;
    return inRow && Math.abs(this.columnX[column] - x) <= 0.5 ? seat : 0;
  }

  /** The seat one comes to from another: `dx` seats along the row, or `dy` rows away in the same column. */
  step(/** @type {number} */ seat, /** @type {number} */ dx, /** @type {number} */ dy) {
    const from = this.row(seat);
    const to = this.rows[clamp(from.index + dy, 0, this.rows.length - 1)];
    const column = from.column + seat - from.first + dx;
    return clamp(to.first + column - to.column, to.first, to.first + to.count - 1);
  }
}

const clamp = (/** @type {number} */ n, /** @type {number} */ low, /** @type {number} */ high) =>
  Math.min(Math.max(n, low), high);

/** The index of the number in a sorted list that is nearest to x. */
function nearest(/** @type {Float32Array} */ sorted, /** @type {number} */ x) {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle + 1] - x <= x - sorted[middle]) low = middle + 1;
    else high = middle;
  }
  return low;
}
