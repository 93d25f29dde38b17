/** The operations page: asks for figures every two seconds while it is seen, and shows the last ten minutes of them. */

import {Chart, spark, swatch} from "/assets/ops-chart.js";
import {Series} from "/assets/ops-series.js";
import {ago, clock, count, duration, level, parts, plural, rate, UNKNOWN} from "/assets/ops-text.js";

const EVERY_MS = 2_000;
/** How long an answer may take, and from when on figures are called old. */
const PATIENCE_MS = 5_000;
const OLD_MS = 7_000;
/** Failed jobs that are shown before somebody asks for all. */
const FAILED_FIRST = 8;
const TOKEN = "ops-token";

const $ = (id) => document.getElementById(id);
const fromTemplate = (id) => $(id).content.firstElementChild.cloneNode(true);

/** Writes only what differs, so that nothing is read out, or laid out, for nothing. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// --- What is shown --------------------------------------------------------------------------------

/** Each: its value and unit, what is said below, and whose course is drawn. */
const TILES = [
  {
    title: "Queue",
    key: "waiting",
    value: (s) => [count(s.waiting), s.waiting === 1 ? "message" : "messages"],
    // How long they wait, workers say, when they take one.
    sub: (s) => (s.workers == null ? "Wait not known" : !s.workers ? "Nobody takes them" : s.lag ? `Each waits ${duration(s.lag)}` : "No wait"),
  },
  {
    title: "Jobs ended",
    key: "ended",
    value: (s) => [rate(s.ended), "a second"],
    sub: (s) => (s.open == null ? "Open jobs not known" : s.open ? `${plural(s.open, "job")} open, oldest ${duration(s.oldest)}` : "No job is open"),
  },
  {
    title: "Time to result",
    key: "p95",
    value: (s) => [...parts(s.p95), ""],
    sub: (s) => (s.ended === 0 ? "No job ended" : s.p50 == null ? "Not known yet" : `p95 · half within ${duration(s.p50)}`),
  },
  {
    title: "Workers",
    key: "workers",
    value: (s) => [count(s.workers), "alive"],
    sub: (s) => (s.sweepers == null ? "Sweepers not known" : plural(s.sweepers, "sweeper")),
  },
  {
    title: "Seats on hold",
    key: "holds",
    value: (s) => [count(s.holds), s.holds === 1 ? "seat" : "seats"],
    sub: (s) => (s.holds == null ? "Not known" : "Of all events"),
  },
  {
    title: "Holds expired",
    key: "expired",
    value: (s) => [rate(s.expired), "a second"],
    sub: (s, figures) => (figures.expired == null ? "Not known" : `${count(figures.expired)} in all`),
  },
];

const OUTCOMES = [
  {key: "reserved", label: "Reserved", style: "reserved"},
  {key: "held", label: "Held", style: "held"},
  {key: "refused", label: "Refused", style: "refused", hatched: true},
  {key: "failed", label: "Failed", style: "failed", hatched: true},
];
const CHARTS = [
  {title: "Jobs ended", unit: "a second, by outcome", series: OUTCOMES, stacked: true, value: rate, tick: level},
  {
    title: "From acceptance to result",
    unit: "log scale",
    series: [
      {key: "p50", label: "p50", style: "a"},
      {key: "p95", label: "p95", style: "a dashed"},
      {key: "p99", label: "p99", style: "a dotted"},
    ],
    log: true,
    value: duration,
    tick: duration,
    empty: "No job has ended in this time.",
  },
  {title: "Queue", unit: "messages that wait", series: [{key: "waiting", label: "Messages", style: "a"}], filled: true, steps: true, whole: true, value: count, tick: count},
  {title: "Seats on hold", unit: "now", series: [{key: "holds", label: "Seats", style: "a"}], filled: true, whole: true, value: count, tick: count},
  {
    title: "Processes",
    unit: "alive",
    series: [
      {key: "workers", label: "Workers", style: "a"},
      {key: "sweepers", label: "Sweepers", style: "b dashed"},
    ],
    steps: true,
    whole: true,
    value: count,
    tick: count,
  },
  {title: "Holds expired", unit: "seats a second", series: [{key: "expired", label: "Seats", style: "a"}], filled: true, value: rate, tick: level},
];
const REASONS = {
  "deadline-passed": "No worker carried it out in time.",
  "internal-error": "A mistake of ours; the worker's log has it.",
};
const TYPES = {HOLD_SEAT: "Hold", RESERVE_SEAT: "Reserve"};

/** What the service may say of itself: the shape beside it, its name, and what that means. */
const MARKS = {
  ready: "M6.5 12.5l3.8 3.8 7.2-8.3",
  degraded: "M12 7v6M12 16.6v.2",
  unavailable: "M8 8l8 8M16 8l-8 8",
  asking: "M7 12h.2M12 12h.2M17 12h.2",
};

function stateOf(health, series) {
  if (!health) {
    const since = series.figures ? ` What is shown is of ${clock(series.at)}.` : "";
    return ["unavailable", "Cannot be reached", `Nothing answers at this address; asked again every two seconds.${since}`];
  }
  if (health.status === "ready") return ["ready", "Ready", "State and queue answer, workers and sweepers are alive."];
  if (health.status === "stopping") return ["degraded", "Stopping", "The process that answered is about to stop; others go on."];
  if (health.status === "unavailable") return ["unavailable", "Unavailable", "The state's Redis does not answer. Requests about seats are answered 503 until it does."];
  const missing = [
    health.broker === "down" && "The queue does not answer: jobs are accepted, and wait.",
    !health.workers && "No worker is alive: jobs are accepted, and wait.",
    !health.sweepers && "No sweeper is alive: what got lost is not sent again.",
    health.rateLimits === "down" && "Requests cannot be counted: all are let through.",
  ].filter(Boolean);
  return ["degraded", "Degraded", missing.join(" ") || "A node of the cluster does not answer."];
}

// --- The page -------------------------------------------------------------------------------------

const series = new Series();
let health = null;
let asked = false;
let spanMs = 120_000;
/** What the reader points at: a time, null for now. */
let pointed = null;
let failure = "";

const tiles = TILES.map((about) => {
  const root = fromTemplate("tile");
  write(root.querySelector("h3"), about.title);
  $("tiles").append(root);
  return {about, root, value: root.querySelector("b"), unit: root.querySelector(".unit"), sub: root.querySelector(".sub"), spark: root.querySelector(".spark")};
});

const charts = CHARTS.map((about, number) => {
  const root = fromTemplate("chart");
  const heading = root.querySelector("h3");
  const plot = root.querySelector(".plot");
  heading.id = `chart-${number}`;
  root.setAttribute("aria-labelledby", heading.id);
  write(heading, about.title);
  write(root.querySelector(".about"), about.unit);
  plot.setAttribute("aria-label", `${about.title}, ${about.unit}: course`);
  // As they lie on each other, the topmost first.
  const legend = (about.stacked ? about.series.toReversed() : about.series).map((one) => {
    const item = document.createElement("li");
    const value = document.createElement("b");
    item.append(swatch(one, about.stacked), one.label, value);
    root.querySelector(".legend").append(item);
    return {...one, value};
  });
  $("charts").append(root);
  const chart = new Chart(plot, about, (at) => {
    pointed = at;
    showPointed();
  });
  plot.addEventListener("keydown", (event) => step(event));
  plot.addEventListener("blur", () => {
    pointed = null;
    showPointed();
  });
  return {about, chart, legend, plot, at: root.querySelector(".at"), empty: root.querySelector(".empty")};
});

/** Moves what is pointed at from sample to sample. */
function step(event) {
  const seen = series.samples.filter((s) => s.at >= Date.now() - spanMs);
  const now = seen.indexOf(pointedSample());
  const by = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10}[event.key];
  const to = {Home: 0, End: seen.length - 1, Escape: -1}[event.key] ?? (by && Math.min(Math.max(now + by, 0), seen.length - 1));
  if (to === undefined || !seen.length) return;
  event.preventDefault();
  // The last one is now, and moves on with it.
  pointed = to < 0 || to === seen.length - 1 ? null : seen[to].at;
  showPointed();
}

function pointedSample() {
  if (pointed == null) return series.samples.at(-1);
  let best = null;
  for (const sample of series.samples) if (!best || Math.abs(sample.at - pointed) < Math.abs(best.at - pointed)) best = sample;
  return best;
}

function showPointed() {
  const sample = pointedSample();
  if (!sample) return;
  for (const {about, chart, legend, plot, at} of charts) {
    chart.point(pointed == null ? null : sample);
    write(at, pointed == null ? "" : clock(sample.at));
    for (const {key, value} of legend) write(value, about.value(sample[key]));
    const said = legend.map(({key, label}) => `${label} ${sample[key] == null ? "not known" : about.value(sample[key])}`).join(", ");
    plot.setAttribute("aria-valuemin", Math.round((Date.now() - spanMs) / 1000));
    plot.setAttribute("aria-valuemax", Math.round(Date.now() / 1000));
    plot.setAttribute("aria-valuenow", Math.round(sample.at / 1000));
    plot.setAttribute("aria-valuetext", `${pointed == null ? "Now" : clock(sample.at)}: ${said}`);
  }
}

function showState() {
  const [state, name, text] = asked ? stateOf(health, series) : ["asking", "Asking", "What the service says of itself comes in a moment."];
  $("state").dataset.state = state;
  $("state-mark").setAttribute("d", MARKS[state]);
  write($("state-name"), name);
  write($("state-text"), text);
  document.title = asked ? `${name} · Operations` : "Operations";
  const old = series.figures && Date.now() - series.at > OLD_MS;
  $("figures").classList.toggle("old", Boolean(old));
  const age = !series.figures ? "" : old ? `Figures are old: of ${clock(series.at)}` : `Figures of ${clock(series.at)}`;
  write($("age"), failure && old ? `${age}. ${failure}` : age);
}

function show() {
  showState();
  const now = Date.now();
  const last = series.samples.at(-1);
  if (!last) return;
  $("figures").hidden = false;
  for (const {about, value, unit, sub, spark: root} of tiles) {
    const [number, of, plain] = about.value(last);
    write(value, number);
    write(unit, number === UNKNOWN ? "" : (plain ?? of) || of);
    write(sub, about.sub(last, series.figures));
    spark(root, series.samples, about.key, now - spanMs, now);
  }
  for (const {about, chart, plot, empty} of charts) {
    chart.draw(series.samples, now - spanMs, now);
    const known = series.samples.some((s) => s.at >= now - spanMs && about.series.some(({key}) => s[key] != null));
    empty.hidden = known;
    plot.classList.toggle("blank", !known);
    write(empty, known ? "" : series.samples.length < 2 ? "Two readings make a rate. A moment." : about.empty ?? "Not known in this time.");
  }
  showPointed();
  showFailed();
}

let shownFailed = "";
let allFailed = false;

$("failed-all").addEventListener("click", () => {
  allFailed = true;
  showFailed();
});

function showFailed() {
  const {failed, time} = series.figures;
  $("failed").hidden = !failed?.length;
  $("failed-none").hidden = Boolean(failed?.length);
  write($("failed-none"), failed ? "No job has failed." : "Not known: the state's Redis does not answer.");
  const body = $("failed").tBodies[0];
  const listed = (failed ?? []).slice(0, allFailed ? Infinity : FAILED_FIRST);
  const key = JSON.stringify(listed);
  if (key !== shownFailed) {
    shownFailed = key;
    body.replaceChildren(...listed.map(row));
  }
  $("failed-all").hidden = listed.length === (failed ?? []).length;
  write($("failed-all"), `Show all ${failed?.length}`);
  for (const element of body.querySelectorAll("time")) write(element, ago(time - Number(element.dataset.at)));
}

function row({job, type, error, time}) {
  const root = fromTemplate("failure");
  const when = root.querySelector("time");
  when.dateTime = new Date(time).toISOString();
  when.dataset.at = time;
  when.title = new Date(time).toLocaleString("en-GB");
  write(root.querySelector(".type"), TYPES[type] ?? type);
  write(root.querySelector(".job"), job);
  const reason = root.querySelector(".reason");
  reason.href = `/problems/${encodeURIComponent(error)}`;
  write(reason, error);
  write(root.querySelector(".why"), REASONS[error] ?? "");
  const command = `reservation jobs retry ${job}`;
  write(root.querySelector(".command"), command);
  const copy = root.querySelector("button");
  copy.setAttribute("aria-label", `Copy the command that repeats ${job}`);
  copy.hidden = !navigator.clipboard;  // a page over plain HTTP from elsewhere has none
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(command).then(() => write(copy, "Copied"), () => write(copy, "Not copied"));
    setTimeout(() => write(copy, "Copy"), 2_000);
  });
  return root;
}

// --- Asking ---------------------------------------------------------------------------------------

const needsToken = document.querySelector('meta[name="auth"]').content === "jwt";
let token = needsToken ? sessionStorage.getItem(TOKEN) ?? "" : "";
let notBefore = 0;

async function ask(path, headers = {}) {
  return fetch(path, {headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS)});
}

async function askHealth() {
  try {
    const found = await (await ask("/health/ready")).json();
    health = found.status && found.state ? found : null;
  } catch {
    health = null;
  }
  asked = true;
}

async function askFigures() {
  if ((needsToken && !token) || Date.now() < notBefore) return;
  failure = "";
  try {
    const answer = await ask("/ops/figures", token ? {Authorization: `Bearer ${token}`} : {});
    if (answer.ok) {
      series.add(await answer.json(), Date.now());
      accepted();
      return;
    }
    const problem = await answer.json().catch(() => ({}));
    failure = problem.detail ?? `The service answered ${answer.status}.`;
    if (answer.status === 401 || answer.status === 403) return refused(failure);
    notBefore = Date.now() + 1000 * Number(answer.headers.get("Retry-After") ?? 0);
  } catch {
    failure = "The service does not answer.";
  }
}

function accepted() {
  if (!token) return;
  sessionStorage.setItem(TOKEN, token);
  $("sign-in").hidden = true;
  $("forget").hidden = false;
}

/** Asks for another token, and shows nothing of before: it may have been another's to see. */
function refused(why) {
  sessionStorage.removeItem(TOKEN);
  token = "";
  signIn(why);
}

function signIn(why = "") {
  $("figures").hidden = true;
  $("forget").hidden = true;
  series.samples.length = 0;
  series.figures = null;
  const was = $("sign-in").hidden;
  $("sign-in").hidden = false;
  write($("token-error"), why);
  $("token").setAttribute("aria-invalid", String(Boolean(why)));
  if (was || why) $("token").focus();
}

$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  if (!token) return signIn("Paste a token first.");
  $("token").value = "";
  round();
});
$("forget").addEventListener("click", () => {
  sessionStorage.removeItem(TOKEN);
  token = "";
  signIn();
});

let timer = 0;
let asking = false;

/** Asks once, shows what came, and comes again. */
async function round() {
  clearTimeout(timer);
  if (document.hidden) return;
  if (!asking) {
    asking = true;
    const began = performance.now();
    await Promise.all([askHealth(), askFigures()]);
    asking = false;
    show();
    timer = setTimeout(round, Math.max(0, EVERY_MS - (performance.now() - began)));
  }
}

document.addEventListener("visibilitychange", () => round());
for (const radio of document.querySelectorAll('input[name="span"]')) {
  radio.addEventListener("change", () => {
    spanMs = Number(radio.value) * 60_000;
    show();
  });
}
new ResizeObserver(() => show()).observe($("charts"));
if (needsToken && !token) signIn();
round();
