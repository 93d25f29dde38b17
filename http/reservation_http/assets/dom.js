/** What every module needs of the document. */

/**
 * The element with this id, which the page has.
 * @param {string} id
 * @returns {any}
 */
export const byId = (id) => document.getElementById(id);

/**
 * A new element, as a template has it.
 * @param {string} id of the template
 * @returns {any}
 */
export const stamp = (id) => byId(id).content.firstElementChild.cloneNode(true);

/** A whole number for people: 10,000. */
export const digits = new Intl.NumberFormat("en").format;

/** "1 seat", "2 seats". */
export const seats = (/** @type {number} */ n) => `${digits(n)} ${n === 1 ? "seat" : "seats"}`;

/** Resolves after so many milliseconds. */
export const pause = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Whether the person wants as little movement as possible. */
export const calm = matchMedia("(prefers-reduced-motion: reduce)");
