/** What is said to people: why something did not work, and what to do about it. */

import { seats } from "./dom.js";

/** What to do, by kind of problem. What happened stands in the problem itself. */
const ADVICE = /** @type {Record<string, string>} */ ({
  "seat-held": "Choose another seat, or try this one again later: the hold may run out.",
  "seat-reserved": "It is sold: choose another one.",
  "seat-blocked": "Choose another one.",
  "limit-reached": "Reserve or release one of your seats first, or wait until a hold runs out.",
  "no-seats-together": "Ask for fewer, or for seats that need not be together.",
  "too-few-seats": "Ask for fewer, or try again later: holds may run out.",
  "hold-ceiling": "Reserve the seat before your hold ends, or let somebody else have it.",
  "not-reserved": "It was cancelled already.",
  "not-owner": "It was cancelled already, and somebody else has the seat.",
  "hold-expired": "Hold the seat again, if it is still free.",
  "not-on-hold": "Your hold has run out. Hold the seat again, if it is still free.",
  "not-holder": "Your hold has ended, and somebody else has the seat. Choose another.",
  "reserve-pending": "Wait a moment: your reservation of this seat is being decided.",
  "event-closed": "What you hold you can reserve until your hold ends.",
  "sales-not-open": "The page counts down to it.",
  "admission-required": "Join it under \u201cYour seats\u201d.",
  "queue-full": "Nothing was held. Try again in a few seconds.",
  "state-unavailable": "Nothing is lost. Try again in a few seconds.",
  "deadline-passed": "Nothing was changed. Try again.",
  "seat-unknown": "The event is gone. Choose another.",
  "token-missing": "Sign in at the top of the page first.",
  "token-invalid": "Sign in with another one at the top of the page.",
  "scope-missing": "Ask for a token that allows it.",
  "user-mismatch": "Forget the token, or use your own.",
  "internal-error": "It is a defect of the service, and has been logged. Try again.",
  "no-answer": "Try again in a few seconds.",
  offline: "Check your connection. What you hold stays yours until its time is up.",
});

/** A problem in words: what happened, and what to do. */
export function explain(/** @type {import("./api.js").Problem} */ problem) {
  const { slug, title, body, retryAfter } = problem;
  if (slug === "limit-reached") {
    return { title: `You hold ${body.held} of ${body.limit} seats`, detail: ADVICE[slug] };
  }
  if (slug === "admission-required") return { title, detail: ADVICE[slug] };
  if (slug === "rate-limited")
    return { title, detail: `${problem.detail} You can go on in {countdown}.`, seconds: retryAfter };
  // What a program has to do about a missing token is nothing that a person can.
  const needless = bare(problem.detail) === bare(title) || slug === "token-missing";
  return {
    title: title.replace(/\.$/, ""),
    detail: [needless ? "" : sentence(problem.detail), ADVICE[slug]].filter(Boolean).join(" "),
  };
}

/** That something is tried again by itself. */
export function explainWait(/** @type {import("./api.js").Problem} */ problem, /** @type {number} */ waitMs) {
  return {
    title: problem.title,
    detail: `${sentence(problem.detail)} Trying again in {countdown}.`,
    seconds: Math.ceil(waitMs / 1000),
  };
}

/** Where a job is in the queue. */
export function explainQueue(/** @type {import("./store.js").Pending} */ { ahead = 0, seconds = 0 }) {
  if (ahead === 0) return "Next in the queue";
  const wait = seconds > 1 ? `, about ${duration(seconds)}` : "";
  return `${ahead.toLocaleString("en")} before you${wait}`;
}

/** A time for people: "45 s", "2 min", "3 h". */
export function duration(/** @type {number} */ seconds) {
  if (seconds < 100) return `${seconds}\u00a0s`;
  return seconds < 6000 ? `${Math.round(seconds / 60)}\u00a0min` : `${Math.round(seconds / 3600)}\u00a0h`;
}

/** What is left, to the second: "4:59", "1:00:00", "2 d 3 h". */
export function countdown(/** @type {number} */ ms) {
  const all = Math.max(0, Math.ceil(ms / 1000));
  const [days, hours, minutes, seconds] = [all / 86400, (all / 3600) % 24, (all / 60) % 60, all % 60].map(Math.floor);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  if (days) return `${days}\u00a0d ${hours}\u00a0h`;
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** A date and time where the person is: "28 November at 20:00". */
export function moment(/** @type {number} */ ms) {
  const date = new Date(ms);
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  const day = date.toLocaleDateString("en-GB", { day: "numeric", month: "long", year });
  return `${day} at ${date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}`;
}

/** How many of an event's seats are in which state. */
export function counts(
  /** @type {{free: number, held: number, reserved: number, blocked?: number}} */ { free, held, reserved, blocked = 0 },
) {
  if (free + held + blocked === 0) return `Sold out: all ${seats(reserved)} reserved`;
  return [
    `${free.toLocaleString("en")} free`,
    held && `${held.toLocaleString("en")} on hold`,
    reserved && `${reserved.toLocaleString("en")} reserved`,
    blocked && `${blocked.toLocaleString("en")} not for sale`,
  ]
    .filter(Boolean)
    .join(" · ");
}

/** A text without what differs although it says the same. */
const bare = (/** @type {string} */ text) => text.toLowerCase().replace(/^(the|this) |\.$/g, "");
const sentence = (/** @type {string} */ text) => (/[.!?]$/.test(text) || !text ? text : `${text}.`);
