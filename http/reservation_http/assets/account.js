/** Who the user is, to see and to change: a UUID of this page's own, or a bearer token where the service asks for one. */

import { byId } from "./dom.js";
import { retract, say } from "./toasts.js";

export class Account {
  /** Whether the service has asked for a token. */
  #asked = false;

  /**
   * @param {import("./identity.js").Identity} identity
   * @param {() => void} onChange somebody else from now on
   */
  constructor(identity, onChange) {
    this.identity = identity;
    this.onChange = onChange;
    byId("identity-new").addEventListener("click", () => {
      const signedOut = identity.token !== "";
      if (signedOut) identity.signIn("");
      else identity.renew();
      this.#change(signedOut ? "You are signed out" : "You are somebody else now, who holds nothing");
    });
    byId("identity-copy").addEventListener("click", async () => {
      await navigator.clipboard?.writeText(identity.user);
      byId("identity-copy").textContent = "Copied";
    });
    byId("sign-in").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      const token = byId("token")
        .value.trim()
        .replace(/^bearer\s+/i, "");
      if (!token) return byId("token").focus();
      byId("token").value = "";
      identity.signIn(token);
      this.#change("Your token says who you are now");
    });
    byId("panel-sign-in").addEventListener("click", () => this.ask());
    this.#write();
  }

  /** The service wants to know who asks, and does not: `why` if a token was refused, which is said where the next is entered. */
  require(why = "") {
    this.#asked = true;
    if (why) {
      this.identity.signIn("");
      byId("token-error").textContent = why;
      retract("identity");
    }
    this.#write();
    if (why) this.ask();
  }

  /** Shows where to enter a token. */
  ask() {
    byId("identity").showPopover();
    byId("token").focus();
  }

  #change(/** @type {string} */ title) {
    byId("identity").hidePopover();
    byId("token-error").textContent = "";
    this.#write();
    this.onChange();
    say({ title }, { about: "identity" });
  }

  #write() {
    const { token, user } = this.identity;
    const stranger = this.#asked && !token;
    const shown = token ? subject(token) : user;
    byId("who").hidden = false;
    byId("who-label").textContent = stranger ? "Sign in" : "You are";
    byId("who-short").textContent = stranger ? "" : `${shown.slice(0, 4)}…`;
    byId("identity-about").textContent = stranger
      ? "This service wants to know who you are before it holds seats. A token is kept until you close this tab."
      : token
        ? "A bearer token says who you are. It is kept until you close this tab."
        : "A random UUID, made by this page and kept in this browser. Whoever knows it can act for you.";
    byId("identity-user").textContent = shown;
    byId("identity-user").hidden = stranger;
    byId("identity-actions").hidden = stranger;
    byId("identity-copy").hidden = token !== "";
    byId("identity-copy").textContent = "Copy";
    byId("identity-new").textContent = token ? "Forget the token" : "New identity";
    byId("sign-in").hidden = !stranger;
    byId("panel-sign-in").hidden = !stranger;
  }
}

/** Whom a token names, as far as one can tell without checking it. */
function subject(/** @type {string} */ token) {
  try {
    return String(JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).sub);
  } catch {
    return "token";
  }
}
