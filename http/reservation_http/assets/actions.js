/**
 * What a user does to seats, as a client of the API should: holds and reservations are jobs, which are followed to
 * their end; a refusal is explained; whatever the outcome, the store ends up with what the service has said last.
 */

import { Problem } from "./api.js";
import { duration, explain, explainQueue, explainWait } from "./words.js";
import { Store } from "./store.js";
import { retract, say, speak } from "./toasts.js";

/** After so long the place in the queue is shown, ms: most jobs take less. */
const LONG_MS = 1_000;

export class Actions {
  /** How many attempts have ended: what was read before one did is out of date. */
  #ended = 0;

  /**
   * @param {import("./api.js").Api} api
   * @param {import("./store.js").Store} store
   * @param {object} on
   * @param {(seat: number, text: string) => void} on.note something to be said at the seat
   * @param {(problem: Problem, acted: boolean) => void} on.unknown the service wants to know who asks; `acted`: the user
   *   has done something, and not only looked
   */
  constructor(api, store, on) {
    this.api = api;
    this.store = store;
    this.on = on;
  }

  /**
   * Reads which seats are the user's.
   * @returns {Promise<void>}
   */
  async read() {
    const ended = this.#ended;
    try {
      const mine = await this.api.get(`/events/${this.store.event.id}/holds`);
      if (ended !== this.#ended) return this.read();
      this.store.own(mine);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#refused(0, problem);
    }
  }

  /** Puts a seat on hold. */
  hold(/** @type {number} */ seat) {
    return this.#attempt([seat], "hold", async () => {
      const { seat: held } = await this.#job([seat], "/seats/hold", "hold");
      this.store.held(seat, held);
      retract(about(seat));
      this.#speakOfTime(seat);
    });
  }

  /**
   * Puts so many of the best seats on hold, all or none.
   * @param {number} quantity
   * @param {boolean} together whether they have to be next to one another
   * @returns {Promise<number[]>} which; none if it was refused
   */
  async best(quantity, together) {
    const adjacent = together ? "required" : "preferred";
    const wanted = { eventId: this.store.event.id, quantity, adjacent, ...this.api.identity.members };
    try {
      /** @type {import("./api.js").Job | import("./api.js").Queued} */
      const answer = await this.api.post("/seats/best-available", wanted, sayWait);
      const job = "jobId" in answer ? await this.api.follow(answer.statusEndpoint, () => {}) : answer;
      if (!job.result?.success) throw Problem.of(job);
      const seats = (job.result.seats ?? []).map((seat) => {
        this.store.held(Store.number(seat.id), seat);
        return Store.number(seat.id);
      });
      speak(seats.length > 1 ? `${list(seats)} are on hold for you` : `Seat ${seats[0]} is on hold for you`);
      return seats;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#refused(0, problem, false, true);
      if (MINE_IN_DOUBT.has(problem.slug)) await this.read();
      return [];
    } finally {
      this.#ended += 1;
    }
  }

  /** Turns holds into reservations, all of them or none. */
  reserve(/** @type {number[]} */ ...seats) {
    return this.#attempt(seats, "reserve", async () => {
      await this.#job(seats, "/seats/reserve", "reserve");
      for (const seat of seats) {
        this.store.reserved(seat);
        if (seats.length > 1) retract(about(seat));
      }
      say({ title: seats.length > 1 ? `${list(seats)} are yours` : `Seat ${seats[0]} is yours` }, { about: about(seats[0]) });
    });
  }

  /** Lets a hold run its full length again. */
  refresh(/** @type {number} */ seat) {
    return this.#attempt([seat], "refresh", async () => {
      this.store.held(seat, await this.#act([seat], "/seats/refresh"));
      retract(about(seat));
      this.#speakOfTime(seat);
    });
  }

  /** Gives a hold back. */
  release(/** @type {number} */ seat) {
    return this.#attempt([seat], "release", async () => {
      await this.#act([seat], "/seats/release");
      this.store.lost(seat);
      retract(about(seat));
      speak(`You have released seat ${seat}`);
    });
  }

  /** Gives a reservation back. */
  cancel(/** @type {number} */ seat) {
    return this.#attempt([seat], "cancel", async () => {
      await this.#act([seat], "/seats/cancel");
      this.store.lost(seat);
      say({ title: `Your reservation of seat ${seat} is cancelled` }, { about: about(seat) });
    });
  }

  #speakOfTime(/** @type {number} */ seat) {
    const hold = this.store.holds.get(seat);
    if (hold) speak(`Seat ${seat} is on hold for you for ${duration(Math.round(this.store.left(hold) / 1000))}`);
  }

  #act(/** @type {number[]} */ seats, /** @type {string} */ path) {
    const ids = seats.map((seat) => this.store.id(seat));
    return this.api.act(path, ids, sayWait);
  }

  /** Has a job done; returns its result. Throws a Problem if its verdict is against, or there is none. */
  async #job(/** @type {number[]} */ seats, /** @type {string} */ path, /** @type {"hold" | "reserve"} */ doing) {
    const since = performance.now();
    const show = (/** @type {{position?: number, estimatedWaitTime?: number}} */ { position, estimatedWaitTime }) =>
      this.store.await(seats, { doing, ahead: position, seconds: estimatedWaitTime, since });
    /** @type {import("./api.js").Job | import("./api.js").Queued} */
    const answer = await this.#act(seats, path);
    const job = "jobId" in answer ? await this.#follow(answer, seats, show, since) : answer;
    if (!job.result?.success) throw Problem.of(job);
    return /** @type {any} */ (job.result);
  }

  /** Follows a job that has not ended yet; once it takes long, what it waits for is shown at its first seat. */
  #follow(
    /** @type {import("./api.js").Queued} */ queued,
    /** @type {number[]} */ seats,
    /** @type {(progress: {position?: number, estimatedWaitTime?: number}) => void} */ show,
    /** @type {number} */ since,
  ) {
    show(queued);
    return this.api.follow(queued.statusEndpoint, (job) => {
      show(job);
      const pending = this.store.pending.get(seats[0]);
      if (pending && performance.now() - since > LONG_MS) this.on.note(seats[0], explainQueue(pending));
    });
  }

  /** Does something to seats while nothing else is being done to them, and explains it if that is refused. */
  async #attempt(
    /** @type {number[]} */ seats,
    /** @type {import("./store.js").Pending["doing"]} */ doing,
    /** @type {() => Promise<void>} */ act,
  ) {
    if (seats.some((seat) => this.store.pending.has(seat))) return;
    this.store.await(seats, { doing, since: performance.now() });
    try {
      await act();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#refused(seats[0], problem, seats.length > 1);
      if (MINE_IN_DOUBT.has(problem.slug)) await this.read();
    } finally {
      this.#ended += 1;
      this.store.await(seats, undefined);
    }
  }

  #refused(/** @type {number} */ seat, /** @type {Problem} */ problem, several = false, acted = seat > 0) {
    if (problem.slug === "token-missing" || problem.slug === "token-invalid") this.on.unknown(problem, acted);
    const { title, detail, seconds } = explain(problem);
    if (seat === 0) {
      if (acted || problem.status !== 401) say({ title, detail, seconds }, { tone: "bad", about: problem.slug });
      return;
    }
    // What is not about one seat is said once, however many it kept one from.
    const general = several || GENERAL.has(problem.slug);
    const heading = general
      ? title
      : /^The seat /.test(title)
        ? title.replace("The seat", `Seat ${seat}`)
        : `Seat ${seat}: ${title}`;
    say({ title: heading, detail, seconds }, { tone: "bad", about: general ? problem.slug : about(seat) });
    this.on.note(seat, title);
  }
}

/** Problems after which it has to be read which seats are the user's. */
const MINE_IN_DOUBT = new Set([
  "hold-expired",
  "limit-reached",
  "not-holder",
  "reserve-pending",
  "not-on-hold",
  "not-found",
  "not-owner",
  "not-reserved",
  "seat-held",
  "seat-reserved",
  "deadline-passed",
  "offline",
]);

/** That something is tried again by itself. */
const sayWait = (/** @type {Problem} */ problem, /** @type {number} */ waitMs) =>
  say(explainWait(problem, waitMs), { tone: "warning", about: problem.slug });
const list = (/** @type {number[]} */ seats) => `Seats ${seats.slice(0, -1).join(", ")} and ${seats.at(-1)}`;
const about = (/** @type {number} */ seat) => `seat-${seat}`;
/** Problems that are not about the seat. */
const GENERAL = new Set([
  "limit-reached",
  "sales-not-open",
  "admission-required",
  "rate-limited",
  "queue-full",
  "offline",
  "no-answer",
  "state-unavailable",
]);
