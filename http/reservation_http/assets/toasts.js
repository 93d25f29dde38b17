/** Messages that come and go, in a region that a screen reader reads out. */

import { byId, stamp } from "./dom.js";

/** How long one stays, ms: as long as it takes to read, and at least so long. */
const LEAST_MS = 5_000;
const FOR_EACH_CHARACTER_MS = 60;
const MOST = 3;

/**
 * Says something.
 * @param {{title: string, detail?: string, seconds?: number}} message `{countdown}` in `detail` counts `seconds` down
 * @param {object} [options]
 * @param {"good" | "bad" | "warning"} [options.tone]
 * @param {string} [options.about] what it is about: it takes the place of what was said about that
 * @param {{label: string, act: () => void}} [options.offer] a button
 */
export function say({ title, detail = "", seconds = 0 }, { tone = "good", about = "", offer } = {}) {
  const region = byId("toasts");
  const toast = stamp("toast");
  toast.dataset.tone = tone;
  toast.dataset.about = about;
  toast.querySelector(".toast-title").textContent = title;
  const text = toast.querySelector(".toast-detail");
  text.hidden = !detail;

  const until = performance.now() + seconds * 1000;
  const write = () => {
    const left = Math.max(0, Math.ceil((until - performance.now()) / 1000));
    text.textContent = detail.replace("{countdown}", left === 1 ? "1 second" : `${left} seconds`);
    if (seconds && left === 0) close();
  };
  const close = () => {
    clearInterval(counting);
    clearTimeout(closing);
    toast.remove();
  };
  let closing = 0;
  const stay = () => {
    clearTimeout(closing);
    const ms = Math.max(LEAST_MS, (title.length + detail.length) * FOR_EACH_CHARACTER_MS, seconds * 1000);
    closing = setTimeout(close, ms);
  };
  write();
  // What counts is shown, but not read out each second.
  const counting = seconds ? setInterval(write, 1000) : 0;
  if (seconds) text.setAttribute("aria-live", "off");

  toast.querySelector(".close").addEventListener("click", close);
  toast.addEventListener("pointerenter", () => clearTimeout(closing));
  toast.addEventListener("pointerleave", stay);
  if (offer) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button";
    button.textContent = offer.label;
    button.addEventListener("click", () => {
      close();
      offer.act();
    });
    toast.querySelector(".toast-text").after(button);
  }
  if (about) retract(about);
  region.append(toast);
  while (region.children.length > MOST) region.firstElementChild?.remove();
  stay();
}

/** Tells who does not see it what has happened. */
export function speak(/** @type {string} */ text) {
  byId("spoken").textContent = text;
}

/** Takes back what was said about something. */
export function retract(/** @type {string} */ about) {
  for (const toast of byId("toasts").querySelectorAll(`[data-about="${CSS.escape(about)}"]`)) toast.remove();
}
