/** The second view: one event, its map, the user's seats, and the feed that keeps them true. */

import { Actions } from "./actions.js";
import { byId, digits, seats } from "./dom.js";
import { Entry } from "./entry.js";
import { Feed } from "./feed.js";
import { Hall } from "./layout.js";
import { SeatMap } from "./map.js";
import { Panel } from "./panel.js";
import { drawSwatch, readTheme } from "./sprites.js";
import { LOOK, LOOK_NAMES, Store } from "./store.js";
import { say } from "./toasts.js";

/** How often the countdowns go on, ms. */
const TICK_MS = 200;
/** After a change that contradicts what is known of the user's seats they are read again; once for several, ms. */
const READ_MS = 100;

/** Most seats that one request may be about. */
const GROUP = 50;

const STREAM = /** @type {HTMLMetaElement} */ (document.querySelector('meta[name="stream"]')).content;

const CONNECTION = {
  connecting: ["Connecting", "The feed of changes is being opened."],
  live: ["Live", "Changes appear as they happen."],
  polling: ["Polling", "The live feed does not get through. Changes are asked for instead."],
  reconnecting: ["Reconnecting", "The feed is interrupted. What has changed meanwhile will be made up for."],
};

const KEYS = /** @type {Record<string, "refresh" | "release" | "reserve">} */ ({
  r: "refresh",
  R: "refresh",
  Delete: "release",
  Backspace: "release",
  Enter: "reserve", // with Shift; without, it holds
});

export class Sale {
  #closed = new AbortController();
  #reading = 0;
  #writing = 0;

  /**
   * Shows an event until closed.
   * @param {import("./api.js").Api} api
   * @param {import("./account.js").Account} account
   * @param {import("./api.js").Event} event
   * @param {import("./api.js").Layout} layout
   */
  constructor(api, account, event, layout) {
    this.store = new Store(event);
    this.hall = new Hall(layout);
    const unknown = (/** @type {import("./api.js").Problem} */ problem, /** @type {boolean} */ acted) => {
      account.require(problem.slug === "token-invalid" ? problem.detail : "");
      if (acted) account.ask();
    };
    this.actions = new Actions(api, this.store, { note: (seat, text) => this.map.note(seat, text), unknown });
    this.entry = new Entry(api, event, this.store.clock, (problem) => unknown(problem, true));
    this.map = new SeatMap(this.store, this.hall, {
      choose: (seat) => this.#choose(seat),
      key: (seat, key, press) => this.#press(seat, key, press),
    });
    this.panel = new Panel(this.store, this.hall, {
      wish: (wish, seat) => this.#grant(wish, seat),
      soon: (seat, leftMs) => this.#warn(seat, leftMs),
      over: (seat) => this.#end(seat),
      stale: () => this.#readSoon(),
    });
    this.feed = new Feed(STREAM, event.id, {
      onSnapshot: (snapshot) => this.#replace(snapshot),
      onChange: (change) => this.#apply(change),
      onState: (state) => this.#show(state),
      readSnapshot: () => api.get(`/events/${event.id}/seats`),
    });

    byId("event-name").textContent = event.name;
    byId("event-size").textContent = seats(event.totalSeats);
    document.title = `${event.name} · Seats`;
    this.#drawLegend();
    this.#listen();
    this.panel.update();
    this.actions.read();
    this.feed.run();
  }

  close() {
    this.#closed.abort();
    this.entry.close();
    this.feed.stop();
    this.map.close();
    clearTimeout(this.#reading);
    cancelAnimationFrame(this.#writing);
  }

  #listen() {
    const { store, map, panel } = this;
    const { signal } = this.#closed;
    store.addEventListener("change", (/** @type {any} */ { detail: changed }) => {
      map.update(changed);
      // Once a frame, however many change in it.
      this.#writing ||= requestAnimationFrame(() => {
        this.#writing = 0;
        this.#writeCounts();
        panel.update();
      });
    });
    const ticking = setInterval(() => {
      this.entry.tick();
      panel.tick();
      if (store.holds.size) map.request();
    }, TICK_MS);
    signal.addEventListener("abort", () => clearInterval(ticking));

    // Another tab may have been at work meanwhile.
    document.addEventListener("visibilitychange", () => document.hidden || this.#readSoon(), { signal });
    byId("goto").addEventListener("submit", (/** @type {SubmitEvent} */ submit) => this.#goTo(submit), { signal });
    byId("best").addEventListener("submit", (/** @type {SubmitEvent} */ submit) => this.#holdBest(submit), { signal });
    byId("reserve-all").addEventListener("click", () => this.#reserveAll(), { signal });
    byId("keys-open").addEventListener("click", () => byId("keys").showModal(), { signal });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#drawLegend(), { signal });
  }

  // --- What the feed says ----------------------------------------------------------------------

  #replace(/** @type {import("./api.js").Snapshot} */ snapshot) {
    const start = performance.now();
    this.store.replace(snapshot);
    this.map.painted().then(() => {
      performance.measure("seats:draw", { start, end: performance.now(), detail: { seats: snapshot.seats.length } });
    });
  }

  #apply(/** @type {import("./feed.js").Change} */ change) {
    const seat = Store.number(change.seat);
    if (this.store.apply(change)) this.#readSoon();
    if (this.store.look(seat) < LOOK.mine && change.cause !== "refreshed") this.map.pulse(seat);
  }

  #show(/** @type {import("./feed.js").FeedState} */ state) {
    const pill = byId("connection");
    if (pill.dataset.state === state && pill.textContent) return;
    [pill.textContent, pill.title] = CONNECTION[state];
    pill.dataset.state = state;
  }

  /** Reads which seats are the user's, soon. */
  #readSoon() {
    clearTimeout(this.#reading);
    this.#reading = setTimeout(() => this.actions.read(), READ_MS);
  }

  // --- What the user does ----------------------------------------------------------------------

  #choose(/** @type {number} */ seat) {
    const look = this.store.look(seat);
    if (look === LOOK.mine) this.panel.show(seat);
    else if (look === LOOK.owned) this.#tell(seat, `You have reserved seat ${seat}`);
    else if (look === LOOK.reserved) this.#tell(seat, `Seat ${seat} is reserved`, "It is sold: choose another one.");
    else if (look === LOOK.blocked) this.#tell(seat, `Seat ${seat} is not for sale`, "Choose another one.");
    // One that is on hold is asked for: that may have run out just now, and if not, the service says why not.
    else this.actions.hold(seat);
  }

  #press(/** @type {number} */ seat, /** @type {string} */ key, /** @type {KeyboardEvent} */ press) {
    if (key === "?") return byId("keys").showModal();
    const wish = KEYS[key];
    if (!wish) return;
    press.preventDefault();
    if (this.store.holds.has(seat)) this.actions[wish](seat);
    else if (!this.store.pending.has(seat)) this.#tell(seat, `You do not hold seat ${seat}`);
  }

  #grant(/** @type {import("./panel.js").Wish} */ wish, /** @type {number} */ seat) {
    if (wish === "show") this.map.go(seat, { closely: true });
    else if (wish === "dismiss") this.panel.dismiss(seat);
    else if (wish === "cancel") this.#askToCancel(seat);
    else this.actions[wish](seat);
  }

  #reserveAll() {
    const { holds: mine, pending } = this.store;
    const free = [...mine].filter(([seat, hold]) => !pending.has(seat) && !hold.reservingUntil);
    const holds = free.map(([seat]) => seat).sort((a, b) => a - b);
    for (let i = 0; i < holds.length; i += GROUP) this.actions.reserve(...holds.slice(i, i + GROUP));
  }

  /** It cannot be undone: somebody else may have the seat the next moment. */
  #askToCancel(/** @type {number} */ seat) {
    const offer = { label: "Cancel it", act: () => this.actions.cancel(seat) };
    say({ title: `Cancel your reservation of seat ${seat}?` }, { tone: "warning", about: `seat-${seat}`, offer });
  }

  async #holdBest(/** @type {SubmitEvent} */ submit) {
    submit.preventDefault();
    const button = byId("best-hold");
    if (button.getAttribute("aria-disabled") === "true") return;
    const input = byId("best-quantity");
    const quantity = Number(input.value);
    const most = Number(input.max);
    const possible = Number.isInteger(quantity) && quantity >= 1 && quantity <= most;
    input.setAttribute("aria-invalid", String(!possible));
    if (!possible) return say({ title: `Ask for 1 to ${most} seats` }, { tone: "bad", about: "best" });
    button.setAttribute("aria-disabled", "true");
    const [first] = await this.actions.best(quantity, byId("best-together").checked);
    button.setAttribute("aria-disabled", "false");
    if (first) this.map.go(first, { closely: true });
  }

  #goTo(/** @type {SubmitEvent} */ submit) {
    submit.preventDefault();
    const input = byId("goto-seat");
    const seat = Number(input.value);
    const found = Number.isInteger(seat) && seat >= 1 && seat <= this.hall.total;
    input.setAttribute("aria-invalid", String(!found));
    if (!found) return say({ title: `Seats go from 1 to ${digits(this.hall.total)}` }, { tone: "bad", about: "goto" });
    input.value = "";
    this.map.go(seat, { closely: true });
    byId("grid").focus();
  }

  // --- What the user is told -------------------------------------------------------------------

  /** Says something both at a seat and where a screen reader reads it out. */
  #tell(/** @type {number} */ seat, /** @type {string} */ title, detail = "") {
    this.map.note(seat, title);
    say({ title, detail }, { tone: "warning", about: `seat-${seat}` });
  }

  #warn(/** @type {number} */ seat, /** @type {number} */ leftMs) {
    const title = `Your hold on seat ${seat} runs out in ${Math.ceil(leftMs / 1000)} s`;
    const offer = { label: "Refresh", act: () => this.actions.refresh(seat) };
    say({ title }, { tone: "warning", about: `seat-${seat}`, offer });
  }

  #end(/** @type {number} */ seat) {
    this.store.lost(seat);
    const offer = { label: "Hold again", act: () => this.actions.hold(seat) };
    say({ title: `Your hold on seat ${seat} ran out` }, { tone: "bad", about: `seat-${seat}`, offer });
  }

  #writeCounts() {
    const counts = this.store.counts();
    LOOK_NAMES.forEach((name, look) => (byId(`count-${name}`).textContent = digits(counts[look])));
    const legend = byId("legend").querySelector("[data-state=blocked]");
    const appears = legend.hidden && counts[LOOK.blocked] > 0;
    legend.hidden = !counts[LOOK.blocked];
    if (appears) this.#drawLegend(); // what is not shown has no size to be drawn at
  }

  #drawLegend() {
    const theme = readTheme();
    LOOK_NAMES.forEach((name, look) => {
      drawSwatch(byId("legend").querySelector(`[data-state=${name}] canvas`), theme, look);
    });
  }
}
