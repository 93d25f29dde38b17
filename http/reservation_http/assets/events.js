/** The first view: all events, and a new one. */

import { Problem } from "./api.js";
import { byId, seats, stamp } from "./dom.js";
import { counts, explain, moment } from "./words.js";

const PAGE = 20;

export class EventList {
  #next = "";

  /**
   * @param {import("./api.js").Api} api
   * @param {object} on
   * @param {(event: import("./api.js").Event) => void} on.created
   * @param {(problem: Problem) => void} on.unknown the service wants to know who asks
   */
  constructor(api, on) {
    this.api = api;
    this.on = on;
    byId("events-more").addEventListener("click", () => this.#read());
    byId("create-jump").addEventListener("click", () => byId("create-name").focus());
    byId("create").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      this.#create();
    });
    for (const preset of byId("create").querySelectorAll(".presets button")) {
      preset.addEventListener("click", () => {
        byId("create-seats").value = preset.value;
        byId("create-seats").dispatchEvent(new Event("input"));
      });
    }
    byId("create-seats").addEventListener("input", () => this.#markPreset());
    this.#markPreset();
  }

  /** Shows the newest events. */
  show() {
    this.#next = "";
    this.#complain([]);
    this.#read();
  }

  /** @returns {Promise<void>} */
  async #read() {
    const list = byId("events");
    const cursor = this.#next;
    list.setAttribute("aria-busy", "true");
    this.#note("");
    try {
      const { events, nextCursor = "" } = await this.api.get(`/events?limit=${PAGE}${cursor && `&cursor=${cursor}`}`);
      if (!cursor) list.replaceChildren();
      list.append(...events.map(item));
      this.#next = nextCursor;
      byId("events-more").hidden = !nextCursor;
      if (!list.children.length) this.#note("No events yet. Create the first one: it takes a second.");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.slug === "token-invalid") {
        this.on.unknown(problem);
        return this.#read(); // without it
      }
      this.#note(inOne(problem));
    } finally {
      list.setAttribute("aria-busy", "false");
    }
  }

  #note(/** @type {string} */ text) {
    byId("events-note").textContent = text;
    byId("events-note").hidden = !text;
  }

  async #create() {
    const button = byId("create-submit");
    if (button.getAttribute("aria-disabled") === "true") return;
    this.#complain([]);
    button.setAttribute("aria-disabled", "true");
    // What is no number is sent as it is: what may be sent is for the service to say.
    const entered = byId("create-seats").value;
    const totalSeats = entered === "" ? undefined : Number(entered);
    try {
      const created = await this.api.post("/events/create", { name: byId("create-name").value, totalSeats });
      byId("create").reset();
      this.#markPreset();
      this.on.created(created);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#complain(problem.body.errors ?? [{ field: "", message: inOne(problem) }]);
      if (problem.status === 401) this.on.unknown(problem);
    } finally {
      button.removeAttribute("aria-disabled");
    }
  }

  /** Says what is wrong at the field that it is about. */
  #complain(/** @type {{field: string, message: string}[]} */ errors) {
    let first;
    const fields = { name: "create-name", totalSeats: "create-seats" };
    for (const [field, id] of Object.entries(fields)) {
      const message = errors
        .filter((error) => error.field === field)
        .map((error) => error.message)
        .join(" ");
      byId(`${id}-error`).textContent = message;
      byId(id).setAttribute("aria-invalid", String(message !== ""));
      if (message) first ??= byId(id);
    }
    byId("create-error").textContent = errors
      .filter(({ field }) => !(field in fields))
      .map(({ message }) => message)
      .join(" ");
    first?.focus();
  }

  #markPreset() {
    for (const preset of byId("create").querySelectorAll(".presets button")) {
      preset.setAttribute("aria-pressed", String(preset.value === byId("create-seats").value));
    }
  }
}

/** An event of the list: its name, its seats, and how many of them are free. */
function item(/** @type {import("./api.js").EventWithCounts} */ event) {
  const element = stamp("event-item");
  const { id, name, totalSeats, held, reserved, blocked = 0, opensAt = 0, closesAt = Infinity } = event;
  // By this device's clock, which is good enough for a date.
  const opening = opensAt > Date.now() ? ` · sales open on ${moment(opensAt)}` : "";
  const closing = closesAt <= Date.now() ? " · sales have ended" : opening;
  element.querySelector("a").href = `/?event=${id}`;
  element.querySelector(".event-title").textContent = name;
  element.querySelector(".event-seats").textContent = seats(totalSeats) + closing;
  element.querySelector(".event-counts").textContent = counts(event);
  const share = (/** @type {number} */ n) => String((100 * n) / totalSeats);
  const bar = (/** @type {string} */ part) => element.querySelector(`rect.${part}`);
  bar("reserved").setAttribute("width", share(reserved));
  bar("held").setAttribute("x", share(reserved));
  bar("held").setAttribute("width", share(held));
  bar("blocked").setAttribute("x", share(totalSeats - blocked));
  bar("blocked").setAttribute("width", share(blocked));
  return element;
}

/** A problem in one text. */
function inOne(/** @type {Problem} */ problem) {
  const { title, detail, seconds = 0 } = explain(problem);
  return `${title}. ${detail}`.replace("{countdown}", `${seconds} s`);
}
