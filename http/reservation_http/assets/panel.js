/** "Your seats": a card with a countdown for each hold, and what is reserved. */

import { byId, digits, seats, stamp } from "./dom.js";
import { duration, explainQueue } from "./words.js";

/** When a hold is about to run out: ms, and as a share of a hold's length where that is less. */
const SOON_MS = 10_000;
const SOON_SHARE = 0.25;
/** After so long a request's place in the queue is shown, ms. */
const LONG_MS = 400;

/** Most seats that one request is about. */
const MOST = 50;

/** @typedef {"hold" | "reserve" | "refresh" | "release" | "cancel" | "dismiss" | "show"} Wish */

export class Panel {
  /** @type {Map<number, any>} elements, by seat */
  #cards = new Map();
  /** Seats whose hold has run out, which the user has not noticed yet. */
  #over = new Set();
  /** Until when each hold was that has been warned about. @type {Map<number, number>} */
  #warned = new Map();
  #holds = /** @type {HTMLElement} */ (byId("holds"));
  #reservations = /** @type {HTMLElement} */ (byId("reservations"));

  /**
   * @param {import("./store.js").Store} store
   * @param {import("./layout.js").Hall} hall
   * @param {object} on
   * @param {(wish: Wish, seat: number) => void} on.wish what the user wants done to a seat
   * @param {(seat: number, leftMs: number) => void} on.soon a hold is about to run out
   * @param {(seat: number) => void} on.over it has
   * @param {() => void} on.stale what is known of the user's seats is no longer true
   */
  constructor(store, hall, on) {
    this.store = store;
    this.hall = hall;
    this.on = on;
    this.#holds.replaceChildren();
    this.#reservations.replaceChildren();
  }

  /** Shows what the store has. */
  update() {
    const { store } = this;
    for (const seat of store.holds.keys()) this.#over.delete(seat);
    const shown = [...store.holds.keys(), ...this.#over];
    for (const [seat, pending] of store.pending) {
      if (pending.doing === "hold" && !store.holds.has(seat)) shown.push(seat);
    }
    for (const [seat, card] of this.#cards) {
      if (!shown.includes(seat)) this.#remove(seat, card);
    }
    for (const seat of new Set(shown)) this.#write(seat);
    this.#writeReservations();
    const { size } = store.holds;
    const full = store.limit > 0 && size >= store.limit;
    byId("allowance").textContent = store.limit ? `${digits(size)} of ${digits(store.limit)} on hold` : "";
    byId("allowance").classList.toggle("full", full);
    byId("best-quantity").max = String(Math.min(store.limit || MOST, MOST));
    byId("holds-hint").textContent = store.holdDuration
      ? `Choose a free seat in the map. A hold keeps it for ${duration(store.holdDuration / 1000)}; reserve it before then.`
      : "Choose a free seat in the map.";
    byId("holds-empty").hidden = this.#cards.size > 0;
    const free = [...store.holds].filter(([seat, hold]) => !store.pending.has(seat) && !hold.reservingUntil);
    byId("reserve-all").hidden = free.length < 2;
    byId("reserve-all").textContent = free.length === 2 ? "Reserve both seats" : `Reserve all ${seats(free.length)}`;
  }

  /** Lets the countdowns go on. */
  tick() {
    for (const [seat, hold] of this.store.holds) {
      const leftMs = this.store.left(hold);
      this.#count(seat, leftMs);
      if (hold.reservingUntil) {
        // It is not lost while that is being decided.
        if (this.store.clock.now() < hold.reservingUntil) continue;
        hold.reservingUntil = undefined;
        this.on.stale();
      }
      const soonMs = Math.min(SOON_MS, this.store.holdDuration * SOON_SHARE);
      if (leftMs <= 0) {
        this.#over.add(seat);
        this.on.over(seat);
      } else if (leftMs <= soonMs && this.#warned.get(seat) !== hold.expiresAt) {
        this.#warned.set(seat, hold.expiresAt);
        this.on.soon(seat, leftMs);
      }
    }
  }

  /** Forgets a hold that has run out. */
  dismiss(/** @type {number} */ seat) {
    this.#over.delete(seat);
    this.update();
  }

  /** Shows a seat's card, and goes to its first button. */
  show(/** @type {number} */ seat) {
    const card = this.#cards.get(seat);
    card?.scrollIntoView({ block: "nearest" });
    card?.querySelector("button:not([hidden])").focus();
  }

  #remove(/** @type {number} */ seat, /** @type {HTMLElement} */ card) {
    const focused = card.contains(document.activeElement);
    card.remove();
    this.#cards.delete(seat);
    if (focused) byId("panel-title").focus();
  }

  #create(/** @type {number} */ seat) {
    const card = stamp("hold-card");
    card.dataset.seat = String(seat);
    card.querySelector(".seat").textContent = `Seat ${seat}`;
    card.querySelector(".place").textContent = this.hall.place(seat);
    for (const button of card.querySelectorAll("button")) {
      button.setAttribute("aria-label", `${button.textContent} seat ${seat}`);
      button.addEventListener("click", () => this.on.wish(button.dataset.action, seat));
    }
    this.#cards.set(seat, card);
    this.#holds.append(card);
    return card;
  }

  #write(/** @type {number} */ seat) {
    const card = this.#cards.get(seat) ?? this.#create(seat);
    const hold = this.store.holds.get(seat);
    const reserving = hold?.reservingUntil ? RESERVING : undefined; // by another tab, or before a reload
    const pending = this.store.pending.get(seat) ?? reserving;
    const over = !hold && !pending;
    const waits = pending && performance.now() - pending.since > LONG_MS;
    card.classList.toggle("over", over);
    card.classList.toggle("busy", pending !== undefined);
    card.querySelector(".state").textContent = over
      ? "Your hold ran out."
      : pending
        ? `${DOING[pending.doing]}${waits && pending.ahead !== undefined ? `: ${explainQueue(pending)}` : " …"}`
        : "";
    for (const button of card.querySelectorAll("button")) {
      const forEnded = button.dataset.action === "hold" || button.dataset.action === "dismiss";
      button.hidden = forEnded !== over;
      // Not `disabled`, which would take the focus from it.
      button.setAttribute("aria-disabled", String(pending !== undefined));
    }
    if (hold) return this.#count(seat, this.store.left(hold));
    card.classList.remove("soon");
    card.querySelector(".seconds").textContent = over ? "0" : "";
    card.querySelector(".left").style.strokeDashoffset = "1";
  }

  #count(/** @type {number} */ seat, /** @type {number} */ leftMs) {
    const card = this.#cards.get(seat);
    if (!card) return;
    const seconds = Math.max(0, Math.ceil(leftMs / 1000));
    const share = Math.min(1, Math.max(0, leftMs / this.store.holdDuration)) || 0;
    card.querySelector(".seconds").textContent = duration(seconds).replace("\u00a0s", "");
    card.querySelector(".left").style.strokeDashoffset = String(1 - share);
    card.classList.toggle("soon", leftMs <= Math.min(SOON_MS, this.store.holdDuration * SOON_SHARE));
  }

  #writeReservations() {
    const owned = [...this.store.owned].sort((a, b) => a - b);
    byId("reserved").hidden = owned.length === 0;
    if (this.#reservations.dataset.seats === owned.join()) return;
    this.#reservations.dataset.seats = owned.join();
    this.#reservations.replaceChildren(
      ...owned.map((seat) => {
        const item = stamp("reservation-item");
        const [show, cancel] = item.querySelectorAll("button");
        show.textContent = `Seat ${seat}`;
        show.title = this.hall.place(seat);
        show.addEventListener("click", () => this.on.wish("show", seat));
        cancel.setAttribute("aria-label", `Cancel the reservation of seat ${seat}`);
        cancel.addEventListener("click", () => this.on.wish("cancel", seat));
        return item;
      }),
    );
  }
}

/** @type {import("./store.js").Pending} */
const RESERVING = { doing: "reserve", since: 0 };
const DOING = { hold: "Asking for it", reserve: "Reserving", refresh: "Refreshing", release: "Releasing", cancel: "Cancelling" };
