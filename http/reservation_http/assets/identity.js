/**
 * Who uses this page: a random UUID that it makes once, or whom a bearer token names.
 *
 * The UUID is a credential: whoever knows it can act for the user. The token lives as long as the tab.
 */

const USER = "seats.user";
const TOKEN = "seats.token";

/** A random UUID (version 4). `crypto.randomUUID` is missing where a page is not served over TLS. */
export function randomUuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

export class Identity {
  /** The user's UUID; not used while there is a token. */
  user = recall(localStorage, USER);
  /** The bearer token; empty if there is none. */
  token = recall(sessionStorage, TOKEN);

  constructor() {
    if (!this.user) this.renew();
  }

  /** Becomes somebody else, who holds nothing. */
  renew() {
    this.user = randomUuid();
    keep(localStorage, USER, this.user);
  }

  /** Uses this token from now on; empty: none. */
  signIn(/** @type {string} */ token) {
    this.token = token;
    keep(sessionStorage, TOKEN, token);
  }

  /** Headers that say who reads. @returns {Record<string, string>} */
  get reader() {
    return this.token ? this.bearer : { "X-User-UUID": this.user };
  }

  /** The header with the token, if there is one. @returns {Record<string, string>} */
  get bearer() {
    return this.token ? { Authorization: `Bearer ${this.token}` } : {};
  }

  /** Members of a body that say who acts. A token says so itself. @returns {{UUID?: string}} */
  get members() {
    return this.token ? {} : { UUID: this.user };
  }
}

/** What was kept; empty if nothing was. A browser may forbid a page to keep anything. */
export function recall(/** @type {Storage} */ storage, /** @type {string} */ key) {
  try {
    return storage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

/** Keeps a text across a reload, where the browser lets it. */
export function keep(/** @type {Storage} */ storage, /** @type {string} */ key, /** @type {string} */ value) {
  try {
    storage.setItem(key, value);
  } catch {
    // Nothing to do: see above.
  }
}
