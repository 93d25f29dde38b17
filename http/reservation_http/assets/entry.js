/**
 * The way in: until sales open, and through the event's waiting room if it has one. Who has joined goes on by itself: the
 * ticket is looked at as often as the service says, and its admission goes with each hold.
 *
 * @typedef {{ticket: string, status: "early" | "waiting" | "admitted", place?: number, admittedAt?: number,
 *   estimatedWaitTime: number, admission?: string, admissionExpiresAt?: number, serverTime: number,
 *   statusEndpoint: string}} Ticket
 */

import { Problem } from "./api.js";
import { byId, digits } from "./dom.js";
import { keep, recall } from "./identity.js";
import { retract, say } from "./toasts.js";
import { countdown, duration, explain, moment } from "./words.js";

/** How long until the next look where the last was not answered, ms, at least. */
const AGAIN_MS = 2_000;

export class Entry {
  /** @type {Ticket | undefined} */
  #ticket;
  /** Whether sales were not open yet when this was shown last, and whether they had ended. */
  #early;
  #ended;
  #next = 0;
  #closed = new AbortController();
  #joining = false;

  /**
   * @param {import("./api.js").Api} api
   * @param {import("./api.js").Event} event
   * @param {{now(): number, hear(serverTime: number | undefined): void}} clock the service's
   * @param {(problem: Problem) => void} onUnknown the service wants to know who asks
   */
  constructor(api, event, clock, onUnknown) {
    this.api = api;
    this.event = event;
    this.clock = clock;
    this.onUnknown = onUnknown;
    this.#early = this.#left > 0;
    this.#ended = this.#over;
    const { signal } = this.#closed;
    byId("entry-join").addEventListener("click", () => this.#join(), { signal });
    const known = this.#known;
    if (known && !this.#ended) this.#look(known);
    this.tick();
  }

  close() {
    this.#closed.abort();
    clearTimeout(this.#next);
    this.api.admission = "";
  }

  /** Lets the countdowns go on. */
  tick() {
    if (this.#early && this.#left <= 0) {
      this.#early = false;
      if (!this.event.waitingRoom) say({ title: "Sales are open" }, { about: "entry" });
    }
    if (this.#over !== this.#ended) {
      this.#ended = this.#over;
      clearTimeout(this.#next);
      if (this.#ended) say({ title: "Sales have ended", detail: KEEP }, { about: "entry" });
    }
    const { admission, admissionExpiresAt = 0 } = this.#ticket ?? {};
    if (admission && admissionExpiresAt <= this.clock.now()) {
      this.#forget();
      say({ title: "Your time to hold seats is over", detail: "What you hold is yours until it runs out." }, BAD);
    }
    this.#write();
  }

  /** Milliseconds until sales open. */
  get #left() {
    return (this.event.opensAt ?? 0) - this.clock.now();
  }

  /** Whether they have ended. */
  get #over() {
    return (this.event.closesAt ?? Infinity) <= this.clock.now();
  }

  // --- The ticket ------------------------------------------------------------------------------

  async #join() {
    if (this.#joining) return;
    this.#joining = true;
    retract("entry");
    const { bearer, members } = this.api.identity;
    const headers = { ...bearer, "Content-Type": "application/json" };
    const request = { method: "POST", headers, body: JSON.stringify(members) };
    await this.#ask(`/events/${this.event.id}/queue`, request);
    this.#joining = false;
    this.#write();
  }

  #look(/** @type {string} */ endpoint) {
    return this.#ask(endpoint, { headers: this.api.identity.reader });
  }

  async #ask(/** @type {string} */ path, /** @type {RequestInit} */ request) {
    try {
      const { body, retryAfter } = await this.api.ask(path, request);
      if (!this.#closed.signal.aborted) this.#take(body, retryAfter);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (!this.#closed.signal.aborted) this.#refused(problem);
    }
  }

  #take(/** @type {Ticket} */ ticket, /** @type {number} */ retryAfter) {
    this.clock.hear(ticket.serverTime);
    const entered = ticket.status === "admitted" && this.#ticket?.status !== "admitted";
    this.#ticket = ticket;
    this.#known = ticket.statusEndpoint;
    this.api.admission = ticket.admission ?? "";
    if (entered) say({ title: "You are in", detail: "Choose your seats in the map." }, { about: "entry" });
    if (ticket.status !== "admitted") this.#again(retryAfter * 1000);
    this.tick();
  }

  #again(/** @type {number} */ waitMs) {
    clearTimeout(this.#next);
    this.#next = setTimeout(() => this.#known && this.#look(this.#known), waitMs);
  }

  #refused(/** @type {Problem} */ problem) {
    if (problem.status === 401) this.onUnknown(problem);
    if (this.#known && (problem.passes || problem.slug === "rate-limited")) {
      this.#again(Math.max(AGAIN_MS, problem.retryAfter * 1000));
    } else if (this.#known && problem.slug === "not-found") {
      // Nobody looked at it for an hour after its turn, or the admission is over.
      this.#forget();
      this.tick();
    } else {
      say(explain(problem), BAD);
    }
  }

  #forget() {
    this.#ticket = undefined;
    this.#known = "";
    this.api.admission = "";
  }

  /** Where the ticket of whoever this is is read, across a reload; empty if there is none. */
  get #known() {
    const [user, endpoint = ""] = recall(sessionStorage, this.#key).split(" ");
    return user === this.#user ? endpoint : "";
  }

  set #known(/** @type {string} */ endpoint) {
    keep(sessionStorage, this.#key, endpoint && `${this.#user} ${endpoint}`);
  }

  get #key() {
    return `seats.ticket.${this.event.id}`;
  }

  get #user() {
    return this.api.identity.members.UUID ?? "token";
  }

  // --- What is shown ---------------------------------------------------------------------------

  #write() {
    const { title, big = "", unit = "", about, join = false, open = false } = this.#words();
    byId("entry").hidden = !title;
    byId("panel").classList.toggle("closed", title !== "" && !open);
    byId("entry").classList.toggle("in", open);
    set("entry-title", title);
    set("entry-big", big);
    set("entry-unit", unit);
    set("entry-about", about);
    byId("entry-big").hidden = !big;
    byId("entry-unit").hidden = !unit;
    byId("entry-join").hidden = !join;
    byId("entry-join").setAttribute("aria-disabled", String(this.#joining));
  }

  /** @returns {{title: string, big?: string, unit?: string, about: string, join?: boolean, open?: boolean}} */
  #words() {
    const { waitingRoom: room, opensAt = 0, closesAt = 0 } = this.event;
    if (this.#ended) return { title: "Sales have ended", about: `On ${moment(closesAt)}. ${KEEP}` };
    const opening = { big: countdown(this.#left), about: `On ${moment(opensAt)}.` };
    if (!room) return this.#early ? { title: "Sales open in", ...opening } : { title: "", about: "" };
    const ticket = this.#ticket;
    if (!ticket) {
      const rate = `${digits(room.admitPerMinute)} a minute are let in`;
      if (!this.#early) return { title: "Waiting room", about: `${rate}, in the order in which they join.`, join: true };
      const shuffled = "Join before then, and you get a random place: it makes no difference when.";
      return { title: "Sales open in", big: opening.big, about: `${opening.about} ${shuffled}`, join: true };
    }
    if (ticket.status === "admitted") {
      const left = countdown((ticket.admissionExpiresAt ?? 0) - this.clock.now());
      return { title: "You are in", big: left, unit: "left to hold seats", about: "", open: true };
    }
    const title = "You are in the waiting room";
    if (ticket.status === "early") {
      if (!this.#early) return { title, about: `Sales are open. Your place is being drawn. ${STAY}` };
      return { title, big: opening.big, unit: "until sales open", about: `Then everybody gets a random place. ${STAY}` };
    }
    const wait = duration(Math.max(1, Math.ceil(((ticket.admittedAt ?? 0) - this.clock.now()) / 1000)));
    if (!ticket.place) return { title, big: "Next", unit: `in about ${wait}`, about: STAY };
    return { title, big: digits(ticket.place), unit: `before you, about ${wait}`, about: STAY };
  }
}

const KEEP = "What you hold you can reserve until your hold ends.";
const STAY = "Keep this page open: it goes on by itself.";
/** @type {{tone: "bad", about: string}} */
const BAD = { tone: "bad", about: "entry" };

/** Writes a text, if it is another: what is read out is read out once. */
function set(/** @type {string} */ id, /** @type {string} */ text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}
