/** Puts the page together: which of its views is shown stands in the address, so that it can be shared and reloaded. */

import { Account } from "./account.js";
import { Api } from "./api.js";
import { byId } from "./dom.js";
import { EventList } from "./events.js";
import { Identity } from "./identity.js";
import { Sale } from "./sale.js";

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

/** Shows what the address says. */
function show() {
  const event = new URLSearchParams(location.search).get("event");
  sale?.close();
  sale = undefined;
  byId("home").hidden = event !== null;
  byId("sale").hidden = event === null;
  document.body.dataset.view = event === null ? "home" : "sale";
  if (event === null) {
    document.title = "Seats";
    list.show();
  } else {
    sale = new Sale(api, account);
    sale.open(event);
  }
}

/** Goes to an address of this page. */
function visit(/** @type {string} */ address) {
  history.pushState(null, "", address);
  show();
  byId(sale ? "event-name" : "home-title").focus();
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
