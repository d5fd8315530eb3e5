// Numbers as people read them. What is unknown says so.

export const UNKNOWN = Symbol("unknown");

export const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
export const percents = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 2 });
export const signed = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 2, signDisplay: "exceptZero" });

export const known = (value) => value !== null && value !== undefined;
export const dollars = (text) => (known(text) ? `$${text}` : UNKNOWN);
export const perSecond = (rate) => (known(rate) ? `${digits.format(rate)}/s` : UNKNOWN);
export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
export const total = (counts) => Object.values(counts ?? {}).reduce((sum, count) => sum + count, 0);
export const share = (part, of) => (of > 0 ? percents.format(part / of) : UNKNOWN);
export const plural = (count, one, many) => `${whole.format(count)} ${count === 1 ? one : many}`;

export function duration(seconds) {
  if (!known(seconds)) return UNKNOWN;
  if (seconds.over) return `> ${duration(seconds.over)}`;
  if (seconds < 0.001) return `${digits.format(seconds * 1e6)} µs`;
  if (seconds < 1) return `${digits.format(seconds * 1e3)} ms`;
  return `${digits.format(seconds)} s`;
}

export function span(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.max(0, Math.floor(ms / 1000))} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

// The quantile of a histogram as Prometheus reckons it; where it lies beyond the last bound, only that is known.
export function quantile(q, times) {
  const all = times ? times.counts.reduce((sum, count) => sum + count, 0) : 0;
  if (all === 0) return null;
  let below = 0;
  for (const [at, count] of times.counts.entries()) {
    if (count > 0 && below + count >= q * all) {
      if (at >= times.bounds.length) return { over: times.bounds.at(-1) };
      const from = at > 0 ? times.bounds[at - 1] : 0;
      return from + (times.bounds[at] - from) * ((q * all - below) / count);
    }
    below += count;
  }
  return { over: times.bounds.at(-1) };
}
