/**
 * The API over HTTP: who asks, problems, requests that are sent again, jobs.
 *
 * @typedef {{id: string, name: string, totalSeats: number, createdAt: number, opensAt?: number,
 *   closesAt?: number, waitingRoom?: {admitPerMinute: number, admissionTtl: number}}} Event
 * @typedef {{name: string, rank: number, rows: {name: string, first: number, seats: number}[]}} Section
 * @typedef {{event: string, totalSeats: number, given: boolean, sections: Section[]}} Layout
 * @typedef {Event & {free: number, held: number, reserved: number, blocked?: number}} EventWithCounts
 * @typedef {{id: string, status: string, expiresAt?: number, reservingUntil?: number, serverTime?: number}} Seat
 * @typedef {{id: string, status: string, deadline: number, position?: number, estimatedWaitTime?: number,
 *   result?: {success: boolean, message: string, error?: string, seat?: Seat, seats?: Seat[]}}} Job
 * @typedef {{message: string, jobId: string, position: number, estimatedWaitTime: number, statusEndpoint: string}} Queued
 * @typedef {{event: string, sequence: number, serverTime: number, seats: string}} Snapshot
 */

import { pause } from "./dom.js";
import { randomUuid } from "./identity.js";

/** How long an answer is waited for, ms. */
const TIMEOUT_MS = 15_000;
/** Pauses before a request is sent again whose answer did not come, ms. */
const AGAIN_MS = [500, 1_500, 3_000];
/** How long a request that begins a job may wait for its end, and each look at it, seconds: then its place is shown. */
const WAIT_S = 1;
const LOOK_S = 2;
/** Times from one look at a job to the next, where it is not kept waiting: the first, the longest, ms, and how they grow. */
const LOOK_MS = 80;
const LOOK_MAX_MS = 3_000;
const LOOK_GROWTH = 1.6;

/** An answer that is no success (RFC 9457), or none at all. */
export class Problem extends Error {
  /**
   * @param {string} slug its kind: the end of `type`; `offline` if there was no answer
   * @param {{title?: string, detail?: string, status?: number, retryable?: boolean, [member: string]: any}} body
   * @param {number} retryAfter seconds after which it may be tried again; 0 if it is not said
   */
  constructor(slug, body, retryAfter = 0) {
    super(body.detail);
    this.slug = slug;
    this.title = body.title ?? "That did not work";
    this.detail = body.detail ?? "";
    this.status = body.status ?? 0;
    this.body = body;
    this.retryAfter = retryAfter;
  }

  /** Whether it passes by itself, so that the same request may be sent again, with its key. */
  get passes() {
    return this.slug === "offline" || this.status >= 502 || this.slug === "idempotency-key-in-use";
  }

  /** A verdict against, or none, as a job has it. */
  static of(/** @type {Job} */ job) {
    const { message, error, ...members } = job.result ?? { message: "The job has ended without a result." };
    return new Problem(error ?? "internal-error", { title: message, detail: message, ...members });
  }

  static async read(/** @type {Response} */ response) {
    const retryAfter = Number(response.headers.get("Retry-After")) || 0;
    try {
      const body = await response.json();
      return new Problem(String(body.type).replace(/^.*\//, ""), body, retryAfter);
    } catch {
      // Not ours: a proxy in between.
      const { status } = response;
      return new Problem(
        "no-answer",
        { status, title: "No answer", detail: `Something in between answered ${status}.` },
        retryAfter,
      );
    }
  }
}

const offline = () =>
  new Problem("offline", { title: "The service cannot be reached", detail: "No answer came from the service." });

export class Api {
  /** What a waiting room has let the user in with; empty if there is none. */
  admission = "";

  /** @param {import("./identity.js").Identity} identity who asks */
  constructor(identity) {
    this.identity = identity;
  }

  /**
   * Reads. Throws a Problem.
   * @param {string} path
   * @returns {Promise<any>}
   */
  get(path) {
    return this.#send(path, { headers: this.identity.reader });
  }

  /**
   * Has something done, once: where no answer comes, or one that it may be tried again, the same request is sent with the
   * same key, so that it is never done twice. Throws a Problem.
   * @param {string} path
   * @param {object} body
   * @param {(problem: Problem, waitMs: number) => void} [onWait] told before each new attempt
   * @returns {Promise<any>} null if the answer has no content
   */
  async post(path, body, onWait) {
    const key = `"${randomUuid()}"`;
    const admission = this.admission && { Admission: this.admission };
    const own = { "Content-Type": "application/json", "Idempotency-Key": key, Prefer: `wait=${WAIT_S}` };
    const headers = { ...this.identity.bearer, ...own, ...admission };
    const request = { method: "POST", headers, body: JSON.stringify(body) };
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#send(path, request);
      } catch (problem) {
        if (!(problem instanceof Problem) || !problem.passes || attempt === AGAIN_MS.length) throw problem;
        const waitMs = Math.max(problem.retryAfter * 1000, AGAIN_MS[attempt]);
        onWait?.(problem, waitMs);
        await pause(waitMs);
      }
    }
  }

  /** Has something done to seats by the user, to all of them or to none. See `post`. */
  act(/** @type {string} */ path, /** @type {string[]} */ seats, /** @type {any} */ onWait = undefined) {
    const which = seats.length > 1 ? { ids: seats } : { id: seats[0] };
    return this.post(path, { ...which, ...this.identity.members }, onWait);
  }

  /**
   * Follows a job to its end: each look waits for that; where too many wait already, the next is a while later. Throws a
   * Problem when nobody knows the job any more.
   * @param {string} endpoint where it is read
   * @param {(job: Job) => void} onProgress told while it has not ended
   * @returns {Promise<Job>} completed or failed
   */
  async follow(endpoint, onProgress) {
    for (let waitMs = LOOK_MS; ; waitMs = Math.min(waitMs * LOOK_GROWTH, LOOK_MAX_MS)) {
      let retryAfter = 0;
      const since = performance.now();
      try {
        const job = await this.get(`${endpoint}?wait=${LOOK_S}`);
        if (job.status === "completed" || job.status === "failed") return job;
        onProgress(job);
      } catch (problem) {
        if (!(problem instanceof Problem) || !(problem.passes || problem.slug === "rate-limited")) throw problem;
        retryAfter = problem.retryAfter;
      }
      await pause(Math.max(waitMs - (performance.now() - since), retryAfter * 1000, 0));
    }
  }

  /**
   * Sends a request once; says what was answered, and after how many seconds to ask again. Throws a Problem.
   * @param {string} path
   * @param {RequestInit} request
   * @returns {Promise<{body: any, retryAfter: number}>}
   */
  async ask(path, request) {
    let response;
    try {
      response = await fetch(path, { ...request, signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (response.ok) {
        const body = response.status === 204 ? null : await response.json();
        return { body, retryAfter: Number(response.headers.get("Retry-After")) || 0 };
      }
    } catch {
      throw offline();
    }
    throw await Problem.read(response);
  }

  async #send(/** @type {string} */ path, /** @type {RequestInit} */ request) {
    return (await this.ask(path, request)).body;
  }
}
