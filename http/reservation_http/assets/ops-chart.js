/** Charts of samples over time, in SVG. What they look like is in ops.css; nothing is styled here. */

import {GAP_MS} from "/assets/ops-series.js";
import {clock} from "/assets/ops-text.js";

const SVG = "http://www.w3.org/2000/svg";
const TOP = 14, BOTTOM = 22, LEFT = 2, RIGHT = 6;
/** Time between the labels of the time axis, by how far back the chart goes, ms. */
const TICKS = [[150_000, 30_000], [400_000, 60_000], [Infinity, 120_000]];

function svg(name, attributes = {}, parent = null) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

const round = (n) => Math.round(n * 10) / 10;

/** Values at which a linear axis is labelled, from 0 to no less than the most and 1; whole ones only, if so asked. */
function ticks(most, whole) {
  const top = Math.max(most, 1);
  const power = 10 ** Math.floor(Math.log10(top / 3));
  const round = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= (top / 3) * 0.999);
  const step = whole ? Math.max(1, round) : round;
  return Array.from({length: Math.ceil(top / step - 1e-9) + 1}, (_, n) => n * step);
}

/** The samples in stretches without a gap. */
function stretches(samples, known) {
  const found = [];
  let last = null;
  for (const sample of samples) {
    if (!known(sample)) {
      last = null;
      continue;
    }
    if (last && sample.at - last.at <= GAP_MS) found.at(-1).push(sample);
    else found.push([sample]);
    last = sample;
  }
  return found;
}

/** A line through points; in steps for what is counted rather than measured. */
function line(points, steps) {
  const parts = points.map(([x, y], n) => {
    if (n && steps) return `H${round(x)}V${round(y)}`;
    return `${n ? "L" : "M"}${round(x)} ${round(y)}`;
  });
  return parts.join("");
}

/** What an area is filled with: its colour, or a pattern of it. */
const filling = ({style, hatched}) => (hatched ? {class: "area patterned", fill: `url(#hatch-${style})`} : {class: `area ${style}`});

export class Chart {
  /**
   * @param plot what it is drawn into
   * @param about `series`: {key, label, style}; `stacked`, `filled`, `steps`, `log`, `whole`; `tick`: writes a value of the axis
   * @param moved is told at what time the reader points, null for none
   */
  constructor(plot, about, moved) {
    this.about = about;
    this.plot = plot;
    this.root = svg("svg", {"aria-hidden": "true"}, plot);
    const defs = svg("defs", {}, this.root);
    for (const {style} of about.series.filter(({hatched}) => hatched)) {
      const pattern = svg("pattern", {id: `hatch-${style}`, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"}, defs);
      svg("rect", {width: 6, height: 6, class: `area ${style}`}, pattern);
      svg("rect", {width: 2.5, height: 6, class: "hatch"}, pattern);
    }
    this.layers = Object.fromEntries(["grid", "marks", "cursor"].map((name) => [name, svg("g", {class: name}, this.root)]));
    this.size = [0, 0];
    plot.addEventListener("pointermove", (event) => moved(this.#timeAt(event)));
    plot.addEventListener("pointerdown", (event) => moved(this.#timeAt(event)));
    plot.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && moved(null));
  }

  #timeAt(event) {
    const x = event.clientX - this.plot.getBoundingClientRect().left - LEFT;
    return this.from + (Math.min(Math.max(x / (this.size[0] - LEFT - RIGHT), 0), 1)) * (this.to - this.from);
  }

  /** Draws the samples from one time to another. */
  draw(samples, from, to) {
    [this.from, this.to] = [from, to];
    const [width, height] = (this.size = [this.plot.clientWidth, this.plot.clientHeight]);
    if (!width) return;
    this.root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const shown = samples.filter((sample) => sample.at >= from - GAP_MS);
    const levels = this.#levels(shown);
    const [low, high] = [levels[0], levels.at(-1)];
    const scale = this.about.log ? Math.log10 : (n) => n;
    this.x = (at) => LEFT + ((at - from) / (to - from)) * (width - LEFT - RIGHT);
    this.y = (n) => {
      const share = (scale(Math.max(n, this.about.log ? low : -Infinity)) - scale(low)) / (scale(high) - scale(low));
      return height - BOTTOM - share * (height - TOP - BOTTOM);
    };
    this.#drawGrid(levels, width, height);
    this.layers.marks.replaceChildren();
    if (this.about.stacked) this.#drawStack(shown);
    else this.#drawLines(shown);
  }

  #levels(samples) {
    const {series, stacked, log, whole} = this.about;
    const values = samples.map((s) => (stacked ? series.reduce((sum, {key}) => sum + (s[key] ?? 0), 0) : Math.max(...series.map(({key}) => s[key] ?? 0))));
    const most = Math.max(0, ...values);
    // Whole numbers are few: the uppermost is not to lie on the edge.
    if (!log) return ticks(whole ? most * 1.05 : most, whole);
    const known = samples.flatMap((s) => series.map(({key}) => s[key])).filter((n) => n > 0);
    const first = Math.floor(Math.log10(Math.min(0.01, ...known)));
    const last = Math.ceil(Math.log10(Math.max(0.1, ...known)) - 1e-9);
    return Array.from({length: last - first + 1}, (_, n) => Number(`1e${first + n}`));
  }

  #drawGrid(levels, width, height) {
    const {grid} = this.layers;
    grid.replaceChildren();
    levels.forEach((level, n) => {
      const y = Math.round(this.y(level)) + 0.5;
      svg("line", {x1: LEFT, x2: width - RIGHT, y1: y, y2: y, class: n ? "" : "base"}, grid);
      if (n || this.about.log) svg("text", {x: LEFT, y: y - 4, class: "level"}, grid).textContent = this.about.tick(level);
    });
    const [, step] = TICKS.find(([most]) => this.to - this.from <= most);
    for (let at = Math.ceil(this.from / step) * step; at <= this.to; at += step) {
      const x = this.x(at);
      svg("line", {x1: round(x), x2: round(x), y1: height - BOTTOM, y2: height - BOTTOM + 4, class: "base"}, grid);
      // One that would be cut off is not written.
      if (x > 26 && x < width - 26) svg("text", {x: round(x), y: height - 5, class: "time"}, grid).textContent = clock(at, {seconds: step < 60_000});
    }
  }

  #drawStack(samples) {
    const {series} = this.about;
    for (const stretch of stretches(samples, (s) => series.every(({key}) => s[key] != null))) {
      let floor = stretch.map(() => 0);
      for (const {key, style, hatched} of series) {
        const roof = stretch.map((s, n) => floor[n] + s[key]);
        const up = stretch.map((s, n) => [this.x(s.at), this.y(roof[n])]);
        const down = stretch.map((s, n) => [this.x(s.at), this.y(floor[n])]).reverse();
        svg("path", {d: `${line(up)}L${line(down).slice(1)}Z`, ...filling({style, hatched})}, this.layers.marks);
        // No line where there is nothing of it, but for the lowest: that nothing happens is seen, too.
        const lowest = key === series[0].key;
        const edge = up.map((point, n) => (n && (lowest || stretch[n - 1][key] || stretch[n][key]) ? line([up[n - 1], point]) : ""));
        svg("path", {d: edge.join(""), class: `edge ${style}`}, this.layers.marks);
        floor = roof;
      }
    }
  }

  #drawLines(samples) {
    const {series, filled, steps} = this.about;
    for (const {key, style} of series) {
      for (const stretch of stretches(samples, (s) => s[key] != null)) {
        const points = stretch.map((s) => [this.x(s.at), this.y(s[key])]);
        const d = line(points, steps);
        if (filled) svg("path", {d: `${d}V${this.y(0)}H${round(points[0][0])}Z`, class: `under ${style}`}, this.layers.marks);
        svg("path", {d, class: `line ${style}`}, this.layers.marks);
        if (points.length === 1) svg("circle", {cx: round(points[0][0]), cy: round(points[0][1]), r: 2, class: `dot ${style}`}, this.layers.marks);
      }
    }
  }

  /** Shows where the reader points: at a sample, or nowhere. */
  point(sample) {
    const {cursor} = this.layers;
    cursor.replaceChildren();
    if (!sample || !this.x) return;
    const x = round(this.x(sample.at));
    svg("line", {x1: x, x2: x, y1: TOP - 8, y2: this.size[1] - BOTTOM}, cursor);
    let floor = 0;
    for (const {key, style} of this.about.series) {
      if (sample[key] == null) continue;
      const value = this.about.stacked ? (floor += sample[key]) : sample[key];
      if (this.about.stacked && !sample[key]) continue;
      svg("circle", {cx: x, cy: round(this.y(value)), r: 3.5, class: `dot ${style}`}, cursor);
    }
  }
}

/** Draws a small course of one figure into a tile: its `svg.spark`, whose viewBox has 100 by 30. */
export function spark(root, samples, key, from, to) {
  const known = samples.filter((s) => s.at >= from && s[key] != null);
  const most = Math.max(1e-9, ...known.map((s) => s[key])) * 1.08;
  const parts = stretches(known, () => true).map((stretch) =>
    stretch.map((s) => [((s.at - from) / (to - from)) * 100, 29 - (s[key] / most) * 27]),
  );
  root.querySelector(".line").setAttribute("d", parts.map((points) => line(points)).join(""));
  root.querySelector(".fill").setAttribute("d", parts.map((p) => `${line(p)}L${round(p.at(-1)[0])} 30L${round(p[0][0])} 30Z`).join(""));
}

/** What stands for a series in a legend. */
export function swatch(series, stacked) {
  const root = svg("svg", {class: "swatch", viewBox: "0 0 22 12", "aria-hidden": "true"});
  if (stacked) {
    const box = {x: 0.5, y: 0.5, width: 21, height: 11, rx: 2.5};
    svg("rect", {...box, ...filling(series)}, root);
    svg("rect", {...box, class: `edge ${series.style}`}, root);
  } else {
    svg("path", {d: "M0 6H22", class: `line ${series.style}`}, root);
  }
  return root;
}
