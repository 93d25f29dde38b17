/** The second view: one event, its map, the user's seats, and the feed that keeps them true. */

import { Actions } from "./actions.js";
import { Problem } from "./api.js";
import { byId, digits, seats } from "./dom.js";
import { Feed } from "./feed.js";
import { Hall } from "./layout.js";
import { SeatMap } from "./map.js";
import { Panel } from "./panel.js";
import { drawSwatch, readTheme } from "./sprites.js";
import { LOOK, LOOK_NAMES, Store } from "./store.js";
import { explain } from "./words.js";
import { say } from "./toasts.js";

/** How often the countdowns go on, ms. */
const TICK_MS = 200;
/** After a change that contradicts what is known of the user's seats they are read again; not for each of several, ms. */
const READ_MS = 300;

const STREAM = /** @type {HTMLMetaElement} */ (document.querySelector('meta[name="stream"]')).content;

const CONNECTION = {
  connecting: ["Connecting", "The feed of changes is being opened."],
  live: ["Live", "Changes appear as they happen."],
  polling: ["Polling", "The live feed does not get through. Changes are asked for instead."],
  reconnecting: ["Reconnecting", "The feed is interrupted. What has changed meanwhile will be made up for."],
};

export class Sale {
  #closed = new AbortController();
  /** @type {Feed | undefined} */
  #feed;
  /** @type {SeatMap | undefined} */
  #map;
  #reading = 0;
  #writing = 0;

  /**
   * @param {import("./api.js").Api} api
   * @param {import("./account.js").Account} account
   */
  constructor(api, account) {
    this.api = api;
    this.account = account;
  }

  /**
   * Shows an event until closed.
   * @param {string} id
   * @returns {Promise<void>}
   */
  async open(id) {
    this.#show("connecting");
    delete byId("sale").dataset.missing;
    byId("event-name").textContent = byId("event-size").textContent = "";
    try {
      const event = await this.api.get(`/events/${encodeURIComponent(id)}`);
      if (!this.#closed.signal.aborted) this.#start(event);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (this.#closed.signal.aborted) return;
      if (problem.slug === "token-invalid") {
        this.account.require(problem.detail);
        return this.open(id); // without it
      }
      const { title, detail } = explain(problem);
      byId("event-name").textContent = problem.slug === "not-found" ? "No such event" : title;
      byId("event-size").textContent = "";
      byId("sale").dataset.missing = "";
      byId("veil-text").textContent = detail;
    }
  }

  close() {
    this.#closed.abort();
    this.#feed?.stop();
    this.#map?.close();
    clearTimeout(this.#reading);
    cancelAnimationFrame(this.#writing);
  }

  #start(/** @type {import("./api.js").Event} */ event) {
    const { signal } = this.#closed;
    const store = new Store(event);
    const hall = new Hall(event.totalSeats);
    const actions = new Actions(this.api, store, {
      note: (seat, text) => map.note(seat, text),
      unknown: (problem, acted) => {
        this.account.require(problem.slug === "token-invalid" ? problem.detail : "");
        if (acted) this.account.ask();
      },
    });
    const map = new SeatMap(store, hall, {
      choose: (seat) => this.#choose(store, actions, panel, map, seat),
      key: (seat, key, event) => this.#press(store, actions, map, seat, key, event),
    });
    const panel = new Panel(store, hall, {
      wish: (wish, seat) => {
        if (wish === "show") map.go(seat, { closely: true });
        else if (wish === "dismiss") panel.dismiss(seat);
        else actions[wish](seat);
      },
      soon: (seat, leftMs) => {
        const title = `Your hold on seat ${seat} runs out in ${Math.ceil(leftMs / 1000)} s`;
        const offer = { label: "Refresh", act: () => actions.refresh(seat) };
        say({ title }, { tone: "warning", about: `seat-${seat}`, offer });
      },
      over: (seat) => {
        store.lost(seat);
        const offer = { label: "Hold again", act: () => actions.hold(seat) };
        say({ title: `Your hold on seat ${seat} ran out` }, { tone: "bad", about: `seat-${seat}`, offer });
      },
      stale: () => this.#readSoon(actions),
    });
    this.#map = map;

    byId("event-name").textContent = event.name;
    byId("event-size").textContent = seats(event.totalSeats);
    document.title = `${event.name} · Seats`;
    this.#drawLegend();

    store.addEventListener("change", (/** @type {any} */ { detail: changed }) => {
      map.update(changed);
      // Once a frame, however many change in it.
      this.#writing ||= requestAnimationFrame(() => {
        this.#writing = 0;
        this.#writeCounts(store.counts());
        panel.update();
      });
    });
    const ticking = setInterval(() => {
      panel.tick();
      if (store.holds.size) map.request();
    }, TICK_MS);
    signal.addEventListener("abort", () => clearInterval(ticking));
    // Another tab may have been at work meanwhile.
    document.addEventListener("visibilitychange", () => document.hidden || this.#readSoon(actions), { signal });
    byId("reserve-all").addEventListener(
      "click",
      () => [...store.holds.keys()].forEach((seat) => actions.reserve(seat)),
      { signal },
    );
    byId("goto").addEventListener("submit", (/** @type {SubmitEvent} */ submit) => this.#goTo(submit, map, event.totalSeats), {
      signal,
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#drawLegend(), { signal });

    actions.read();
    panel.update();
    this.#feed = new Feed(STREAM, event.id, {
      onSnapshot: (snapshot) => {
        const start = performance.now();
        store.replace(snapshot);
        map.painted().then(() => {
          performance.measure("seats:draw", { start, end: performance.now(), detail: { seats: event.totalSeats } });
        });
      },
      onChange: (change) => {
        const seat = Store.number(change.seat);
        if (store.apply(change)) this.#readSoon(actions);
        if (store.look(seat) < LOOK.mine && change.cause !== "refreshed") map.pulse(seat);
      },
      onState: (state) => this.#show(state),
      readSnapshot: () => this.api.get(`/events/${event.id}/seats`),
    });
    this.#feed.run();
  }

  #choose(
    /** @type {Store} */ store,
    /** @type {Actions} */ actions,
    /** @type {Panel} */ panel,
    /** @type {SeatMap} */ map,
    /** @type {number} */ seat,
  ) {
    const look = store.look(seat);
    if (look === LOOK.mine) panel.show(seat);
    else if (look === LOOK.owned) tell(map, seat, `You have reserved seat ${seat}`);
    // One that is on hold is asked for all the same: its hold may have run out, and the service says why not.
    else actions.hold(seat);
  }

  #press(
    /** @type {Store} */ store,
    /** @type {Actions} */ actions,
    /** @type {SeatMap} */ map,
    /** @type {number} */ seat,
    /** @type {string} */ key,
    /** @type {KeyboardEvent} */ event,
  ) {
    if (key === "?") return byId("keys").showModal();
    const wish = KEYS[key];
    if (!wish) return;
    event.preventDefault();
    if (store.holds.has(seat)) actions[wish](seat);
    else if (!store.pending.has(seat)) tell(map, seat, `You do not hold seat ${seat}`);
  }

  #goTo(/** @type {SubmitEvent} */ submit, /** @type {SeatMap} */ map, /** @type {number} */ total) {
    submit.preventDefault();
    const input = byId("goto-seat");
    const seat = Number(input.value);
    const found = Number.isInteger(seat) && seat >= 1 && seat <= total;
    input.setAttribute("aria-invalid", String(!found));
    if (!found) return say({ title: `Seats go from 1 to ${digits(total)}` }, { tone: "bad", about: "goto" });
    input.value = "";
    map.go(seat, { closely: true });
    byId("grid").focus();
  }

  /** Reads which seats are the user's, soon. */
  #readSoon(/** @type {Actions} */ actions) {
    clearTimeout(this.#reading);
    this.#reading = setTimeout(() => actions.read(), READ_MS);
  }

  #show(/** @type {import("./feed.js").FeedState} */ state) {
    const pill = byId("connection");
    if (pill.dataset.state === state) return;
    [pill.textContent, pill.title] = CONNECTION[state];
    pill.dataset.state = state;
  }

  #writeCounts(/** @type {number[]} */ counts) {
    LOOK_NAMES.forEach((name, look) => (byId(`count-${name}`).textContent = digits(counts[look])));
  }

  #drawLegend() {
    const theme = readTheme();
    LOOK_NAMES.forEach((name, look) => {
      drawSwatch(byId("legend").querySelector(`[data-state=${name}] canvas`), theme, look);
    });
  }
}

/** Says something both at a seat and to a screen reader. */
function tell(/** @type {SeatMap} */ map, /** @type {number} */ seat, /** @type {string} */ title) {
  map.note(seat, title);
  say({ title }, { about: `seat-${seat}` });
}

const KEYS = /** @type {Record<string, "refresh" | "release" | "reserve">} */ ({
  r: "refresh",
  R: "refresh",
  Delete: "release",
  Backspace: "release",
  Enter: "reserve", // with Shift; without, it holds
});
