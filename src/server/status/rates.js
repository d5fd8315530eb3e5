// What several answers tell together: rates are differences of two of them, within one life of the process.

import { total } from "./status-numbers.js";

export const PERIOD = 2000;
const WINDOW = 60_000;

// A client's fault, a limit that refused, no route: neither good nor bad, as in the alerts.
export const NOT_SERVABLE = /^(client|policy)_|^no_route$/;

function since(now, then) {
  if (!now || !then) return now;
  return { bounds: now.bounds, counts: now.counts.map((count, at) => count - then.counts[at]) };
}

// Counters by name, kept of each answer for as long as rates need them.
function counters(status) {
  const kept = new Map();
  const keep = (name, count) => kept.set(name, (kept.get(name) ?? 0) + count);
  for (const route of [...status.routes, ...status.other_routes]) {
    for (const [outcome, count] of Object.entries(route.calls ?? {})) {
      keep("calls", count);
      keep(NOT_SERVABLE.test(outcome) ? "not servable" : outcome === "ok" ? "ok" : "failed", count);
      keep(`route\n${route.name}`, count);
      keep(`outcome\n${route.name}\n${outcome}`, count);
    }
    for (const target of route.targets ?? []) keep(targetName(route, target), total(target.attempts));
  }
  keep("tokens", total(status.total.tokens));
  return kept;
}

export const targetName = (route, target) => `target\n${route.name}\n${target.provider}\n${target.model ?? ""}`;

let past = [];

export function remember(status) {
  // Another process, or an older answer: nothing to compare with.
  if (past.length && past.at(-1).started !== status.started_ms) past = [];
  past = past.filter((old) => status.at_ms - old.at <= WINDOW + PERIOD / 2 && old.at < status.at_ms);
  past.push({ at: status.at_ms, started: status.started_ms, counters: counters(status), latency: status.latency });
}

// By second over the last ten; null while there is nothing to compare with.
export function rate(name) {
  const now = past.at(-1);
  const then = past.find((old) => now.at - old.at <= 10_500);
  if (!then || then === now) return null;
  return ((now.counters.get(name) ?? 0) - (then.counters.get(name) ?? 0)) / ((now.at - then.at) / 1000);
}

export function grown(name) {
  return (past.at(-1).counters.get(name) ?? 0) - (past[0].counters.get(name) ?? 0);
}

export const lastMinute = (status, name) => (past.length < 2 ? null : since(status.latency[name], past[0].latency[name]));

// Counted until now, since the process started.
export const counted = (name) => past.at(-1).counters.get(name) ?? 0;
