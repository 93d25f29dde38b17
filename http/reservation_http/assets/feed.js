/**
 * The live feed of an event: Server-Sent Events, and the same by long poll where those do not get through.
 *
 * Nothing is missed. Who reconnects says which change it saw last (a browser by itself: `Last-Event-ID`), and goes on
 * from there, or is told to forget what it knows and begins with a snapshot, as who comes for the first time does.
 */

import { pause } from "./dom.js";

/** Silence after which a connection is taken for dead, ms: there is a heartbeat every 10 s, and a snapshot at once. */
const SILENCE_MS = 25_000;
const FIRST_SILENCE_MS = 8_000;
/** Connections in a row that must fail before long poll is tried, and how long that is kept to, ms. */
const FAILURES = 5;
const POLL_FOR_MS = 60_000;
/** How long the service may keep a long poll, seconds. */
const WAIT_S = 20;
/** Pauses between two attempts, ms: the first and the longest. */
const AGAIN_MS = 250;
const AGAIN_MAX_MS = 10_000;

/**
 * @typedef {{sequence: number, seat: string, from: string, to: string, cause: string, time: number}} Change
 * @typedef {"connecting" | "live" | "polling" | "reconnecting"} FeedState
 */

export class Feed {
  #stopped = new AbortController();
  #failures = 0;
  /** The last change that is known; none yet: -1. */
  #sequence = -1;

  /**
   * @param {string} base address of the stream service
   * @param {string} event its id
   * @param {object} watcher
   * @param {(snapshot: import("./api.js").Snapshot) => void} watcher.onSnapshot replaces all that was known
   * @param {(change: Change) => void} watcher.onChange told in order, each once
   * @param {(state: FeedState) => void} watcher.onState
   * @param {() => Promise<import("./api.js").Snapshot>} watcher.readSnapshot from the API, for long poll
   */
  constructor(base, event, watcher) {
    this.path = `${base}/events/${event}`;
    this.watcher = watcher;
  }

  /** Watches until stopped. */
  async run() {
    this.watcher.onState("connecting");
    while (!this.#stopped.signal.aborted) {
      if (this.#failures < FAILURES) {
        await this.#stream();
      } else {
        await this.#poll();
        this.#failures = FAILURES - 1; // one more attempt to stream
      }
    }
  }

  stop() {
    this.#stopped.abort();
  }

  /** One EventSource, until it has to be given up. */
  #stream() {
    const { watcher } = this;
    const stopped = this.#stopped.signal;
    return new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
      const known = this.#sequence < 0 ? "" : `?since=${this.#sequence}`;
      const source = new EventSource(`${this.path}/stream${known}`);
      /** @type {number | undefined} */
      let watchdog;
      let heard = false;

      const giveUp = async () => {
        clearTimeout(watchdog);
        source.close();
        stopped.removeEventListener("abort", giveUp);
        if (!stopped.aborted) {
          watcher.onState("reconnecting");
          if (this.#failures < FAILURES) await pause(Math.min(AGAIN_MS * 2 ** this.#failures, AGAIN_MAX_MS));
        }
        resolve();
      };
      const alive = (silenceMs = SILENCE_MS) => {
        clearTimeout(watchdog);
        watchdog = setTimeout(giveUp, silenceMs);
      };
      const listen = (/** @type {string} */ name, /** @type {(data: any) => void} */ take) =>
        source.addEventListener(name, (event) => {
          alive();
          heard = true;
          this.#failures = 0;
          take(JSON.parse(event.data));
        });

      stopped.addEventListener("abort", giveUp);
      alive(FIRST_SILENCE_MS);
      source.addEventListener("open", () => {
        // Resumed: what was missed comes next. The first time it is live with the snapshot.
        if (this.#sequence >= 0) watcher.onState("live");
      });
      source.addEventListener("error", () => {
        this.#failures += 1;
        this.#catchUp();
        // The browser connects again once by itself. If that comes to nothing, it would wait for long.
        if (heard && source.readyState !== EventSource.CLOSED) watcher.onState("reconnecting");
        else giveUp();
        heard = false;
      });
      listen("snapshot", (snapshot) => this.#replace(snapshot, "live"));
      listen("change", (change) => this.#take(change));
      listen("reset", () => (this.#sequence = -1));
      // One that is ahead of what came says that something was lost: begin anew.
      listen("heartbeat", ({ sequence }) => {
        if (this.#sequence >= 0 && sequence > this.#sequence) giveUp();
      });
    });
  }

  /** Asks again and again for what has changed, for a while, or until that fails too. */
  async #poll() {
    const until = performance.now() + POLL_FOR_MS;
    let waitS = 0; // the first tells whether it works
    while (!this.#stopped.signal.aborted && performance.now() < until) {
      try {
        if (this.#sequence < 0) this.#replace(await this.watcher.readSnapshot(), "reconnecting");
        const answer = await this.#changes(waitS);
        waitS = WAIT_S;
        this.watcher.onState("polling");
        if (answer.reset) this.#sequence = -1;
        else for (const change of answer.changes) this.#take(change);
      } catch {
        if (this.#stopped.signal.aborted) return;
        this.watcher.onState("reconnecting");
        this.#sequence = -1; // what is known grows old: read all of it again, next time
        return pause(AGAIN_MAX_MS / 4);
      }
    }
  }

  /** Nothing is known yet, and no stream: what the API says is better than nothing. */
  async #catchUp() {
    if (this.#sequence >= 0) return;
    try {
      const snapshot = await this.watcher.readSnapshot();
      if (this.#sequence < 0) this.#replace(snapshot, "reconnecting");
    } catch {
      // The stream, or the next attempt, will tell.
    }
  }

  async #changes(/** @type {number} */ waitS) {
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(SILENCE_MS + waitS * 1000)]);
    const response = await fetch(`${this.path}/changes?since=${this.#sequence}&wait=${waitS}`, { signal });
    if (!response.ok) throw new Error(`${response.status}`);
    return response.json();
  }

  #replace(/** @type {import("./api.js").Snapshot} */ snapshot, /** @type {FeedState} */ state) {
    if (this.#stopped.signal.aborted) return;
    this.#sequence = snapshot.sequence;
    this.watcher.onSnapshot(snapshot);
    this.watcher.onState(state);
  }

  #take(/** @type {Change} */ change) {
    if (change.sequence <= this.#sequence || this.#stopped.signal.aborted) return;
    this.#sequence = change.sequence;
    this.watcher.onChange(change);
  }
}
