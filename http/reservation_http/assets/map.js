/** The seat map: a canvas of what is known of an event, to zoom, pan, point at, and walk through by keyboard. */

import { Cursor } from "./cursor.js";
import { byId, calm } from "./dom.js";
import { listenToGestures } from "./gestures.js";
import { Layer, SEAT } from "./layer.js";
import { LOOK, LOOK_NAMES, LOOK_WORDS } from "./store.js";
import { drawLeft, readTheme } from "./sprites.js";
import { View, between } from "./view.js";

/** What a fingertip hits, CSS pixels (WCAG 2.2, 2.5.8), and how far a tap on less zooms in. */
const FINGERTIP = 24;
const TAP_PITCH = 36;
/** Size below which the user's own seats are drawn larger than they are, CSS pixels. */
const LEAST_OWN = 10;
/** How much a button or key zooms. */
const STEP = 1.5;
/** How long a zoom takes, a change is pointed out, and a note stays; after which rest a gesture is over; ms. */
const ZOOM_MS = 220;
const PULSE_MS = 900;
const NOTE_MS = 6_000;
const REST_MS = 140;
/** Most changes that are pointed out at a time. */
const PULSES = 200;

export class SeatMap {
  #canvas = /** @type {HTMLCanvasElement} */ (byId("canvas"));
  #ctx = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d"));
  #theme = readTheme();
  #closed = new AbortController();
  #frame = 0;
  /** Whether all of the hall is shown, and shall be when the window's size changes. */
  #whole = true;
  /** Whether a gesture or animation is going on: then it need not be sharp. */
  #moving = false;
  #rest = 0;
  /** Counts animations: one ends when the next begins. */
  #flight = 0;
  #hovered = 0;
  #note = { seat: 0, timer: 0 };
  /** @type {Map<number, number>} seats that are pointed out, and since when */
  #pulses = new Map();
  /** @type {(() => void)[]} */
  #waiting = [];

  /**
   * @param {import("./store.js").Store} store
   * @param {import("./layout.js").Hall} hall
   * @param {object} on
   * @param {(seat: number) => void} on.choose a seat was clicked, tapped or entered
   * @param {(seat: number, key: string, event: KeyboardEvent) => void} on.key one that is not about the map itself
   */
  constructor(store, hall, on) {
    this.store = store;
    this.hall = hall;
    this.on = on;
    this.view = new View(hall.box);
    this.layer = new Layer(hall, (seat) => store.look(seat));
    this.cursor = new Cursor(byId("grid"), hall, (seat) => this.describe(seat));
    this.#listen();
  }

  // --- What it is told -------------------------------------------------------------------------

  /** Seats look different now; all of them if none is named. */
  update(/** @type {number[]} */ seats) {
    if (seats.length === 0) this.layer.spoil();
    for (const seat of seats) this.layer.redraw(seat);
    if (seats.length === 0 || seats.includes(this.cursor.seat)) this.cursor.tell();
    this.request();
  }

  /** Points out that a seat has changed. */
  pulse(/** @type {number} */ seat) {
    if (!calm.matches && this.#pulses.size < PULSES) this.#pulses.set(seat, performance.now());
  }

  /** Says something at a seat, for a while. */
  note(/** @type {number} */ seat, /** @type {string} */ text) {
    clearTimeout(this.#note.timer);
    byId("note").textContent = text;
    this.#note = { seat, timer: setTimeout(() => this.#endNote(), NOTE_MS) };
    this.request();
  }

  #endNote() {
    this.#note.seat = 0;
    this.request();
  }

  /** Colours are others now. */
  restyle() {
    this.#theme = readTheme();
    this.layer.restyle();
    this.request();
  }

  /** Resolves when what is known now has been painted. */
  painted() {
    return new Promise((/** @type {(value?: any) => void} */ resolve) => {
      this.#waiting.push(resolve);
      this.request();
    });
  }

  /** Ends it; the next event has a map of its own. */
  close() {
    this.#closed.abort();
    clearTimeout(this.#rest);
    clearTimeout(this.#note.timer);
    byId("tooltip").hidden = byId("note").hidden = true;
  }

  // --- Where it looks --------------------------------------------------------------------------

  fit() {
    this.#fly(this.view.whole());
    this.#whole = true;
  }

  zoomIn() {
    this.#fly(this.view.around(this.view.sharp(this.view.scale * STEP, "in")));
  }

  zoomOut() {
    this.#fly(this.view.around(this.view.sharp(this.view.scale / STEP, "out")));
  }

  /** Moves the cursor to a seat, and the window to where it is seen; so closely that one sees it well, if asked to. */
  go(/** @type {number} */ seat, { closely = false } = {}) {
    if (seat !== this.cursor.seat) this.#note.seat = 0;
    this.cursor.move(seat);
    const { view, hall } = this;
    const [x, y] = view.toWindow(hall.x[seat], hall.y[seat]);
    const seen = x > view.scale && y > view.scale && x < view.width - view.scale && y < view.height - view.scale;
    const scale = closely ? Math.max(view.scale, view.sharp(TAP_PITCH)) : view.scale;
    if (!seen || scale !== view.scale) this.#fly({ x: hall.x[seat], y: hall.y[seat], scale });
    this.request();
  }

  /** Moves the window to another sight. */
  #fly(/** @type {import("./view.js").Sight} */ to) {
    const flight = ++this.#flight;
    this.#whole = false;
    const from = { x: this.view.x, y: this.view.y, scale: this.view.scale };
    const began = performance.now();
    const step = (/** @type {number} */ now) => {
      if (flight !== this.#flight || this.#closed.signal.aborted) return;
      const share = calm.matches ? 1 : Math.min(1, Math.max(0, now - began) / ZOOM_MS);
      this.view.look(between(from, to, 1 - (1 - share) ** 3));
      this.#moving = share < 1;
      this.#paint(now);
      if (this.#moving) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  /** A gesture moves the window. It is drawn sharply again once that rests. */
  #gesture(/** @type {import("./view.js").Sight} */ to) {
    this.#flight++;
    this.#whole = false;
    this.#moving = true;
    this.view.look(to);
    this.request();
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => {
      this.#moving = false;
      const { view } = this;
      view.look(view.around(view.sharp()));
      this.request();
    }, REST_MS);
  }

  // --- Input -----------------------------------------------------------------------------------

  #listen() {
    const grid = byId("grid");
    const { signal } = this.#closed;
    const { view } = this;
    listenToGestures(
      grid,
      {
        pan: (dx, dy) => this.#gesture({ x: view.x - dx / view.scale, y: view.y - dy / view.scale, scale: view.scale }),
        zoom: (factor, x, y) => this.#gesture(view.around(view.scale * factor, x, y)),
        tap: (x, y, touch) => this.#tap(x, y, touch),
        hover: (x, y) => this.#hover(this.hall.at(...view.toHall(x, y))),
        leave: () => this.#hover(0),
      },
      signal,
    );
    grid.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#press(event), { signal });
    grid.addEventListener("focus", () => this.request(), { signal });
    grid.addEventListener("blur", () => this.request(), { signal });
    byId("zoom-in").addEventListener("click", () => this.zoomIn(), { signal });
    byId("zoom-out").addEventListener("click", () => this.zoomOut(), { signal });
    byId("zoom-fit").addEventListener("click", () => this.fit(), { signal });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.restyle(), { signal });
    const sizes = new ResizeObserver(() => this.#resize());
    sizes.observe(this.#canvas);
    signal.addEventListener("abort", () => sizes.disconnect());
    this.#resize();
  }

  /** @returns {void} */
  #resize() {
    const { view } = this;
    [view.width, view.height] = [this.#canvas.clientWidth, this.#canvas.clientHeight];
    view.ratio = devicePixelRatio;
    this.#canvas.width = Math.round(view.width * view.ratio);
    this.#canvas.height = Math.round(view.height * view.ratio);
    view.look(this.#whole ? view.whole() : view.around(view.sharp()));
    this.layer.spoil();
    this.#paint(performance.now());
  }

  #tap(/** @type {number} */ x, /** @type {number} */ y, /** @type {boolean} */ touch) {
    const { view } = this;
    if (touch && view.scale < FINGERTIP) {
      this.#fly(view.around(view.sharp(TAP_PITCH), x, y));
      return;
    }
    const seat = this.hall.at(...view.toHall(x, y));
    if (!seat) return;
    this.cursor.move(seat);
    this.on.choose(seat);
    this.request();
  }

  #press(/** @type {KeyboardEvent} */ event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    const { seat } = this.cursor;
    const target = this.cursor.target(key);
    if (target !== undefined) this.go(target);
    else if (key === "+" || key === "=") this.zoomIn();
    else if (key === "-") this.zoomOut();
    else if (key === "0") this.fit();
    else if (key === "f" || key === "F") this.#goToFree();
    else if ((key === "Enter" && !event.shiftKey) || key === " ") this.on.choose(seat);
    else return this.on.key(seat, key, event);
    event.preventDefault();
  }

  /** To the next free seat, beginning at the first again after the last. */
  #goToFree() {
    const { total } = this.hall;
    for (let i = 0; i < total; i++) {
      const seat = ((this.cursor.seat + i) % total) + 1;
      if (this.store.look(seat) === LOOK.free) return this.go(seat);
    }
  }

  #hover(/** @type {number} */ seat) {
    if (seat === this.#hovered) return;
    this.#hovered = seat;
    byId("grid").classList.toggle("over-seat", seat > 0);
    this.request();
  }

  // --- Output ----------------------------------------------------------------------------------

  /** A seat in words. */
  describe(/** @type {number} */ seat) {
    return `Seat ${seat}, ${this.hall.place(seat)}, ${this.#state(seat)}`;
  }

  #state(/** @type {number} */ seat) {
    const pending = this.store.pending.get(seat);
    return pending ? PENDING_WORDS[pending.doing] : LOOK_WORDS[this.store.look(seat)];
  }

  /** Asks for a frame. */
  request() {
    this.#frame ||= requestAnimationFrame((now) => {
      this.#frame = 0;
      if (!this.#closed.signal.aborted) this.#paint(now);
    });
  }

  #paint(/** @type {number} */ now) {
    const { view, layer } = this;
    const ctx = this.#ctx;
    if (view.ratio !== devicePixelRatio) return this.#resize(); // on another screen now
    if (!layer.serves(view, this.#moving)) layer.draw(view, this.#theme);
    ctx.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    layer.copy(ctx, view);
    ctx.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    this.#paintHolds();
    const pulsing = this.#paintPulses(now);
    const waiting = this.#paintPending(now);
    if (this.#hovered) this.#ring(this.#hovered, 1.5, this.#theme.ink, view.scale * SEAT + 4);
    ctx.setTransform(1, 0, 0, 1, 0, 0);

    const size = Math.max(view.scale * SEAT, 8) + 6;
    this.cursor.place(view, size);
    this.#placeTooltip();
    this.#placeNote();
    if (pulsing || waiting) this.request();
    for (const resolve of this.#waiting.splice(0)) setTimeout(resolve); // once the browser has shown it
  }

  /** Rings that widen and fade. Returns whether there are any. */
  #paintPulses(/** @type {number} */ now) {
    const size = Math.max(this.view.scale * SEAT, 5);
    for (const [seat, since] of this.#pulses) {
      const share = Math.max(0, now - since) / PULSE_MS;
      if (share >= 1) {
        this.#pulses.delete(seat);
        continue;
      }
      this.#ctx.globalAlpha = (1 - share) ** 2;
      const colours = this.#theme.looks[this.store.look(seat)];
      this.#ring(seat, 2, colours.line, size + 2 + (8 + size * 0.35) * (1 - (1 - share) ** 3));
    }
    this.#ctx.globalAlpha = 1;
    return this.#pulses.size > 0;
  }

  /** A part of a ring that turns. Returns whether it does. */
  #paintPending(/** @type {number} */ now) {
    const ctx = this.#ctx;
    const size = Math.max(this.view.scale * SEAT, 8) + 5;
    const turn = calm.matches ? 0 : (now / 900) * 2 * Math.PI;
    for (const seat of this.store.pending.keys()) {
      const [x, y] = this.view.toWindow(this.hall.x[seat], this.hall.y[seat]);
      ctx.strokeStyle = this.#theme.accent;
      ctx.lineWidth = 2;
      ctx.lineCap = "round";
      ctx.beginPath();
      ctx.arc(x, y, size / 2, turn, turn + Math.PI * 1.3);
      ctx.stroke();
    }
    return this.store.pending.size > 0 && !calm.matches;
  }

  /** How much time the user's holds have left; where seats are too small for that, where one's own are. */
  #paintHolds() {
    const { store, view } = this;
    const size = view.scale * SEAT;
    if (size < LEAST_OWN) {
      for (const seat of store.holds.keys()) this.#dot(seat, LEAST_OWN / 2);
      for (const seat of store.owned) this.#dot(seat, LEAST_OWN / 4);
      return;
    }
    for (const [seat, hold] of store.holds) {
      const share = Math.min(1, Math.max(0, store.left(hold) / store.holdDuration)) || 0;
      const [x, y] = view.toWindow(this.hall.x[seat], this.hall.y[seat]);
      drawLeft(this.#ctx, x, y, size, share, this.#theme.accent);
    }
  }

  /** One of the user's own seats, larger than it is. */
  #dot(/** @type {number} */ seat, /** @type {number} */ radius) {
    const ctx = this.#ctx;
    const [x, y] = this.view.toWindow(this.hall.x[seat], this.hall.y[seat]);
    const half = LEAST_OWN / 2;
    ctx.fillStyle = this.#theme.accent;
    ctx.strokeStyle = this.#theme.ground;
    ctx.lineWidth = 3;
    ctx.beginPath();
    ctx.roundRect(x - half, y - half, 2 * half, 2 * half, radius);
    ctx.stroke();
    ctx.fill();
  }

  #ring(
    /** @type {number} */ seat,
    /** @type {number} */ width,
    /** @type {string} */ colour,
    /** @type {number} */ size,
  ) {
    const ctx = this.#ctx;
    const [x, y] = this.view.toWindow(this.hall.x[seat], this.hall.y[seat]);
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.beginPath();
    ctx.roundRect(x - size / 2, y - size / 2, size, size, size * 0.28);
    ctx.stroke();
  }

  /** At the seat that is pointed at, else at the one the keyboard is at. */
  #placeTooltip() {
    const tooltip = byId("tooltip");
    const seat = this.#hovered || (byId("grid").matches(":focus-visible") ? this.cursor.seat : 0);
    tooltip.hidden = !seat || seat === this.#note.seat;
    if (tooltip.hidden) return;
    const key = this.describe(seat);
    if (tooltip.dataset.key !== key) {
      tooltip.dataset.key = key;
      tooltip.dataset.look = LOOK_NAMES[this.store.look(seat)];
      const [title, place, state] = tooltip.children;
      title.textContent = `Seat ${seat}`;
      place.textContent = this.hall.place(seat);
      state.textContent = this.#state(seat);
    }
    this.#hang(tooltip, seat);
  }

  #placeNote() {
    const note = byId("note");
    note.hidden = !this.#note.seat;
    if (!note.hidden) this.#hang(note, this.#note.seat);
  }

  /** Puts a box above a seat, or below it where there is no room, and within the window. */
  #hang(/** @type {HTMLElement} */ box, /** @type {number} */ seat) {
    const { view } = this;
    const [x, y] = view.toWindow(this.hall.x[seat], this.hall.y[seat]);
    const gap = Math.max(view.scale * SEAT, 8) / 2 + 10;
    const { offsetWidth: width, offsetHeight: height } = box;
    const left = Math.min(Math.max(8, x - width / 2), view.width - width - 8);
    const top = y - gap - height < 4 ? y + gap : y - gap - height;
    box.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }
}

const PENDING_WORDS = {
  hold: "your request to hold it is under way",
  reserve: "your reservation is under way",
  refresh: "your hold is being refreshed",
  release: "your hold is being released",
  cancel: "your reservation is being cancelled",
};
