/** Figures in words. */

const whole = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
const tenths = new Intl.NumberFormat("en", {maximumFractionDigits: 1, minimumFractionDigits: 1});
const fine = new Intl.NumberFormat("en", {maximumFractionDigits: 2});
const short = new Intl.NumberFormat("en", {maximumFractionDigits: 1});

/** What stands for a figure that is not known. */
export const UNKNOWN = "–";

export const count = (n) => (n == null ? UNKNOWN : whole.format(n));

export const rate = (n) => (n == null ? UNKNOWN : n === 0 || n >= 100 ? whole.format(n) : tenths.format(n));

/** A value of an axis. */
export const level = (n) => fine.format(n);

/** Seconds, as [number, unit]. */
export function parts(seconds) {
  if (seconds == null) return [UNKNOWN, ""];
  if (seconds < 0.01) return [short.format(seconds * 1e3), "ms"];
  if (seconds < 0.9995) return [whole.format(seconds * 1e3), "ms"];
  if (seconds < 100) return [short.format(seconds), "s"];
  return [whole.format(seconds / 60), "min"];
}

export const duration = (seconds) => parts(seconds).join("\u00a0").trim();

export const clock = (ms, {seconds = true} = {}) =>
  new Date(ms).toLocaleTimeString("en-GB", {hour: "2-digit", minute: "2-digit", ...(seconds && {second: "2-digit"})});

/** How long ago, roughly. */
export function ago(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 2) return "just now";
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
