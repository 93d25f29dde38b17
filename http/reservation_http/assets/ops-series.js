/**
 * Readings of /ops/figures, and what is made of each two of them. The service counts up; a rate is what came between
 * two readings, by the service's own clock. Where a sample is drawn is a matter of this one's.
 */

/** How much is kept, and over how long a rate is taken: processes tell their counts once a second, each at its own. */
const KEPT_MS = 600_000;
const OVER_MS = 10_000;
/** Readings further apart than this have something unknown between them. */
export const GAP_MS = 7_000;
/** A clock that was put back by more than this begins anew. */
const PUT_BACK_MS = 30_000;

const GROUPS = {
  "held": "held",
  "held-already": "held",
  "reserved": "reserved",
  "reserved-already": "reserved",
  "deadline-passed": "failed",
  "internal-error": "failed",
};

/** How many seconds a share of the jobs took at most, as Prometheus has it: evenly spread within a bucket. */
export function quantile(share, buckets, all) {
  if (!all) return null;
  const rank = share * all;
  let [lower, below] = [0, 0];
  for (const [le, count] of buckets) {
    if (count >= rank) return count === below ? le : lower + ((le - lower) * (rank - below)) / (count - below);
    [lower, below] = [le, count];
  }
  return lower;
}

/** The counts of a reading, or null if they could not be read. */
function countsOf(figures) {
  if (!figures.jobs || !figures.durations) return null;
  const jobs = {held: 0, reserved: 0, refused: 0, failed: 0};
  for (const {outcome, count} of figures.jobs) jobs[GROUPS[outcome] ?? "refused"] += count;
  const buckets = new Map();
  let all = 0;
  for (const duration of figures.durations) {
    all += duration.count;
    for (const {le, count} of duration.buckets) buckets.set(le, (buckets.get(le) ?? 0) + count);
  }
  return {time: figures.time, jobs, buckets, all, expired: figures.expired};
}

/** What a second had between two counts. Null if the later one begins anew. */
function between(before, after) {
  const seconds = (after.time - before.time) / 1000;
  const jobs = {};
  for (const [name, count] of Object.entries(after.jobs)) jobs[name] = (count - before.jobs[name]) / seconds;
  const expired = (after.expired - before.expired) / seconds;
  if (Object.values(jobs).some((n) => n < 0) || expired < 0) return null;
  const buckets = [...after.buckets].map(([le, count]) => [le, count - (before.buckets.get(le) ?? 0)]);
  const all = after.all - before.all;
  const percentiles = {};
  for (const [name, share] of [["p50", 0.5], ["p95", 0.95], ["p99", 0.99]]) percentiles[name] = quantile(share, buckets, all);
  return {...jobs, ended: all / seconds, expired, ...percentiles};
}

const NO_RATES = {held: null, reserved: null, refused: null, failed: null, ended: null, expired: null, p50: null, p95: null, p99: null};

export class Series {
  /** What was found, the oldest first: a time `at` by this machine's clock, and figures, null where not known. */
  samples = [];
  /** The last reading as it came, and when. */
  figures = null;
  at = -Infinity;
  #counts = [];

  /** Takes a reading. One that is no newer than the last, as another process may have kept it, is left out. */
  add(figures, at) {
    const counts = countsOf(figures);
    const last = this.#counts.at(-1);
    if (counts && last && counts.time <= last.time) {
      if (last.time - counts.time < PUT_BACK_MS) return;
      this.#counts = [];
    }
    let rates = null;
    if (counts) {
      // From the last one before the span at the earliest: after a break, that is the whole of it.
      while (this.#counts.length > 1 && this.#counts[1].time <= counts.time - OVER_MS) this.#counts.shift();
      if (this.#counts.length) rates = between(this.#counts[0], counts);
      if (this.#counts.length && !rates) this.#counts = [];
      this.#counts.push(counts);
    }
    this.figures = figures;
    this.at = at;
    this.samples.push({
      at,
      waiting: figures.queue.messages ?? null,
      lag: figures.queue.lagSeconds ?? null,
      workers: figures.workers ?? null,
      sweepers: figures.sweepers ?? null,
      open: figures.openJobs ?? null,
      oldest: figures.oldestJobSeconds ?? null,
      holds: figures.holds ?? null,
      ...(rates ?? NO_RATES),
    });
    while (this.samples[0].at < at - KEPT_MS - GAP_MS) this.samples.shift();
  }
}
