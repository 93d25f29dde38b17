/** Puts the page together: which of its views is shown stands in the address, so that it can be shared and reloaded. */

import { Account } from "./account.js";
import { Api, Problem } from "./api.js";
import { byId } from "./dom.js";
import { EventList } from "./events.js";
import { Identity } from "./identity.js";
import { Sale } from "./sale.js";
import { explain } from "./words.js";

const identity = new Identity();
const api = new Api(identity);
const account = new Account(identity, () => show());
const list = new EventList(api, {
  created: (event) => visit(`/?event=${event.id}`),
  unknown: (problem) => {
    account.require(problem.slug === "token-invalid" ? problem.detail : "");
    account.ask();
  },
});
/** @type {Sale | undefined} */
let sale;
/** Counts views: what arrives for one that was left is of no use. */
let shown = 0;

/** Shows what the address says. */
function show() {
  const event = new URLSearchParams(location.search).get("event");
  shown += 1;
  sale?.close();
  sale = undefined;
  byId("home").hidden = event !== null;
  byId("sale").hidden = event === null;
  document.body.dataset.view = event === null ? "home" : "sale";
  document.title = "Seats";
  if (event === null) list.show();
  else open(event);
}

/**
 * Shows an event, or why not.
 * @param {string} id
 * @returns {Promise<void>}
 */
async function open(id) {
  const view = shown;
  delete byId("sale").dataset.missing;
  byId("event-name").textContent = byId("event-size").textContent = "";
  try {
    const path = `/events/${encodeURIComponent(id)}`;
    const [event, layout] = await Promise.all([api.get(path), api.get(`${path}/layout`)]);
    if (view === shown) sale = new Sale(api, account, event, layout);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (view !== shown) return;
    if (problem.slug === "token-invalid") {
      account.require(problem.detail);
      return open(id); // without it
    }
    const { title, detail } = explain(problem);
    byId("sale").dataset.missing = "";
    byId("event-name").textContent = problem.slug === "not-found" ? "No such event" : title;
    byId("veil-text").textContent = detail;
  }
}

/** Goes to an address of this page. */
function visit(/** @type {string} */ address) {
  history.pushState(null, "", address);
  show();
  byId(document.body.dataset.view === "home" ? "home-title" : "event-name").focus();
  scrollTo(0, 0);
}

addEventListener("popstate", show);
document.addEventListener("click", (event) => {
  const link = /** @type {HTMLElement} */ (event.target).closest?.("a");
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (!link || !plain || link.origin !== location.origin || link.pathname !== "/") return;
  event.preventDefault();
  visit(link.href);
});
show();
