/**
 * What is known of an event: every seat's status from the feed, the user's own seats from the API, and what is under way.
 * Whoever shows it listens to `change`, whose `detail` has the numbers of the seats that look different now; none: all.
 */

/** How a seat looks to this user. */
export const LOOK = /** @type {const} */ ({ free: 0, held: 1, reserved: 2, blocked: 3, mine: 4, owned: 5 });

/** @type {Record<string, number>} */
const OF_LETTER = { A: LOOK.free, H: LOOK.held, R: LOOK.reserved, B: LOOK.blocked };
/** @type {Record<string, number>} */
const OF_STATUS = { Available: LOOK.free, "On hold": LOOK.held, Reserved: LOOK.reserved, Blocked: LOOK.blocked };
/** Of a state that a later version has: whatever it is, the seat is not to be had. */
const OTHERWISE = LOOK.reserved;

/** How a look is called: for people, and as a name. */
export const LOOK_NAMES = ["free", "held", "reserved", "blocked", "mine", "owned"];
export const LOOK_WORDS = [
  ...["free", "on hold by somebody else", "reserved", "not for sale"],
  ...["on hold for you", "reserved for you"],
];

/**
 * @typedef {{expiresAt: number, reservingUntil?: number, freed?: boolean}} Hold times of the service's clock, epoch ms;
 *   `freed`: the feed has said meanwhile that the seat is free
 * @typedef {{doing: "hold" | "reserve" | "refresh" | "release" | "cancel", ahead?: number, seconds?: number, since: number}} Pending
 *   `ahead`: jobs before this one; `seconds`: how long that takes, estimated
 */

/** The service's clock, which holds are counted down against: this device's may be wrong. */
class Clock {
  #offset = -Infinity;

  /** Takes a `serverTime`. The one that took the least time to arrive is the nearest to the truth. */
  hear(/** @type {number | undefined} */ serverTime) {
    if (serverTime) this.#offset = Math.max(this.#offset, serverTime - performance.now());
  }

  /** Epoch ms. */
  now() {
    return performance.now() + (Number.isFinite(this.#offset) ? this.#offset : performance.timeOrigin);
  }
}

export class Store extends EventTarget {
  clock = new Clock();
  /** @type {Map<number, Hold>} */
  holds = new Map();
  /** @type {Set<number>} */
  owned = new Set();
  /** @type {Map<number, Pending>} */
  pending = new Map();
  /** Most seats that the user may hold, and for how long, ms; 0 until it is known. */
  limit = 0;
  holdDuration = 0;

  /** @param {import("./api.js").Event} event */
  constructor(event) {
    super();
    this.event = event;
    /** By seat number; nobody's in particular. */
    this.status = new Uint8Array(event.totalSeats + 1);
  }

  /** The id of a seat, and back. */
  id(/** @type {number} */ seat) {
    return `${this.event.id}-${seat}`;
  }

  static number(/** @type {string} */ id) {
    return Number(id.slice(id.lastIndexOf("-") + 1));
  }

  /** @returns {number} one of LOOK */
  look(/** @type {number} */ seat) {
    if (this.owned.has(seat)) return LOOK.owned;
    if (this.holds.has(seat)) return LOOK.mine;
    return this.status[seat];
  }

  /** Numbers of seats of each look. */
  counts() {
    const counts = LOOK_NAMES.map(() => 0);
    for (let seat = 1; seat <= this.event.totalSeats; seat++) counts[this.status[seat]]++;
    for (const seat of this.holds.keys()) {
      counts[this.status[seat]]--;
      counts[LOOK.mine]++;
    }
    for (const seat of this.owned) {
      counts[this.status[seat]]--;
      counts[LOOK.owned]++;
    }
    return counts;
  }

  /** Milliseconds that a hold has left. */
  left(/** @type {Hold} */ hold) {
    return hold.expiresAt - this.clock.now();
  }

  /** Takes a snapshot: all that the feed said before is void. */
  replace(/** @type {import("./api.js").Snapshot} */ snapshot) {
    this.clock.hear(snapshot.serverTime);
    for (let i = 0; i < snapshot.seats.length; i++) {
      this.status[i + 1] = OF_LETTER[snapshot.seats[i]] ?? OTHERWISE;
    }
    this.#changed();
  }

  /**
   * Takes a change from the feed.
   * @returns {boolean} whether it makes untrue what is known of the user's own seats
   */
  apply(/** @type {import("./feed.js").Change} */ { seat: id, to, cause }) {
    const seat = Store.number(id);
    const hold = this.holds.get(seat);
    if (hold && to === "Available") hold.freed = true;
    this.status[seat] = OF_STATUS[to] ?? OTHERWISE;
    this.#changed(seat);
    if (this.pending.has(seat)) return false;
    if (hold) return to !== "On hold" || cause === "refreshed";
    return this.owned.has(seat) && to !== "Reserved";
  }

  /** Takes what `GET /events/{id}/holds` says: these are the user's seats, and no others. */
  own(
    /** @type {{serverTime: number, limit: number, holdDuration: number, holds: any[], reservations: any[]}} */ mine,
  ) {
    this.clock.hear(mine.serverTime);
    this.limit = mine.limit;
    this.holdDuration = mine.holdDuration;
    const holdsBefore = this.holds;
    const before = [...this.holds.keys(), ...this.owned];
    this.holds = new Map(mine.holds.map((seat) => [Store.number(seat.id), seat]));
    this.owned = new Set(mine.reservations.map((seat) => Store.number(seat.id)));
    for (const seat of this.holds.keys()) this.status[seat] = LOOK.held;
    for (const seat of this.owned) this.status[seat] = LOOK.reserved;
    // What has run out stays until it is counted down to its end, so that the user is told.
    for (const [seat, hold] of holdsBefore) {
      const ranOut = hold.expiresAt <= mine.serverTime && !this.holds.has(seat) && !this.owned.has(seat);
      if (ranOut) this.holds.set(seat, { ...hold, reservingUntil: undefined });
    }
    this.#changed(...before, ...this.holds.keys(), ...this.owned);
  }

  /** The user holds this seat, as the service has answered. */
  held(
    /** @type {number} */ seat,
    /** @type {import("./api.js").Seat} */ { expiresAt = 0, reservingUntil, serverTime },
  ) {
    this.clock.hear(serverTime);
    this.holds.set(seat, { expiresAt, reservingUntil });
    this.status[seat] = LOOK.held;
    this.#changed(seat);
  }

  /** The user has reserved it. */
  reserved(/** @type {number} */ seat) {
    this.holds.delete(seat);
    this.owned.add(seat);
    this.status[seat] = LOOK.reserved;
    this.#changed(seat);
  }

  /** The seat is no longer the user's: given back, or the hold has run out. Who has it by now, if anybody, the feed knows. */
  lost(/** @type {number} */ seat) {
    if (!this.holds.get(seat)?.freed) this.status[seat] = LOOK.free;
    this.holds.delete(seat);
    this.owned.delete(seat);
    this.#changed(seat);
  }

  /** Something is under way for these seats, or (undefined) no more. */
  await(/** @type {number[]} */ seats, /** @type {Pending | undefined} */ pending) {
    for (const seat of seats) {
      if (pending) this.pending.set(seat, pending);
      else this.pending.delete(seat);
    }
    this.#changed(...seats);
  }

  #changed(/** @type {number[]} */ ...seats) {
    this.dispatchEvent(new CustomEvent("change", { detail: seats }));
  }
}
