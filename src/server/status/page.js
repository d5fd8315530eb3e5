// Shows one Faregate live: asks admin/status every two seconds. Everything that comes from there becomes text, never
// markup. Rates are differences of two answers; what is unknown says so.

import {
  UNKNOWN, clock, dollars, duration, known, perSecond, percents, plural, quantile, share, signed, span, total, whole,
} from "./status-numbers.js";
import { NOT_SERVABLE, PERIOD, counted, grown, lastMinute, rate, remember, targetName } from "./status-rates.js";

const PATIENCE = 5000;
const MOST_ROWS = 500;
const SPARK_POINTS = 90;

const $ = (id) => document.getElementById(id);

// ---- the page; elements are kept and only what changed is written, so that focus and selection stay

function put(element, text, className) {
  const shown = text === UNKNOWN ? "unknown" : String(text);
  if (element.textContent !== shown) element.textContent = shown;
  const named = text === UNKNOWN ? "unknown" : (className ?? "");
  if (element.className !== named) element.className = named;
  return element;
}

function child(parent, at, tag) {
  const there = parent.children[at];
  if (there?.localName === tag) return there;
  const made = document.createElement(tag);
  there ? parent.replaceChild(made, there) : parent.append(made);
  return made;
}

function cut(parent, length) {
  while (parent.children.length > length) parent.lastElementChild.remove();
}

// A column is [heading, left-aligned]; a row is { cells } or { group: [lead, rest] }. Roles are written out because
// narrow screens lay the rows out as blocks.
function fill(table, columns, rows) {
  table.setAttribute("role", "table");
  const head = child(table, 0, "thead");
  head.setAttribute("role", "rowgroup");
  const heading = child(head, 0, "tr");
  heading.setAttribute("role", "row");
  columns.forEach(([text, left], at) => {
    const th = put(child(heading, at, "th"), text, left ? "left" : "");
    th.setAttribute("role", "columnheader");
    th.scope = "col";
  });
  const body = child(table, 1, "tbody");
  body.setAttribute("role", "rowgroup");
  rows.forEach((row, at) => fillRow(child(body, at, "tr"), columns, row));
  cut(body, rows.length);
}

function fillRow(tr, columns, row) {
  tr.setAttribute("role", "row");
  const named = row.group ? "group" : row.sum ? "sum" : "";
  if (tr.className !== named) tr.replaceChildren();
  tr.className = named;
  if (row.group) {
    const th = child(tr, 0, "th");
    th.setAttribute("role", "rowheader");
    th.colSpan = columns.length;
    put(child(th, 0, "span"), row.group[0], "lead");
    put(child(th, 1, "span"), row.group[1]);
    return;
  }
  row.cells.forEach((cell, at) => {
    const [text, className] = Array.isArray(cell) ? cell : [cell];
    const element = child(tr, at, at === 0 ? "th" : "td");
    element.setAttribute("role", at === 0 ? "rowheader" : "cell");
    if (at === 0) element.scope = "row";
    else element.dataset.label = columns[at][0];
    element.classList.toggle("left", Boolean(columns[at][1]));
    put(child(element, 0, "span"), text, className);
  });
}

function tile(at, name, value, more) {
  const box = child($("tiles"), at, "div");
  put(child(box, 0, "dt"), name);
  put(child(child(box, 1, "dd"), 0, "span"), value, "value");
  if (value === UNKNOWN) box.children[1].firstChild.className = "value unknown";
  put(child(box, 2, "dd"), more, "more");
  return box;
}

const spark = [];

function drawSpark(box, value) {
  if (!known(value)) return;
  spark.push(value);
  if (spark.length > SPARK_POINTS) spark.shift();
  if (!box.querySelector("svg")) box.append($("spark").content.cloneNode(true));
  const most = Math.max(...spark, 0.001);
  const points = spark.map((v, at) => `${SPARK_POINTS - spark.length + at + 0.5},${19 - (v / most) * 18}`);
  box.querySelector("polyline").setAttribute("points", points.join(" "));
}

function health(it, now) {
  if (it.state === "up") return ["● up", "pill good"];
  if (it.state === "probing") return ["◐ probing", "pill warn"];
  return [`▲ out, ${span(Math.max(0, it.until * 1000 - now))} left`, "pill bad"];
}

function showTiles(status) {
  const calls = counted("calls");
  const pace = rate("calls");
  drawSpark(tile(0, "Calls", perSecond(pace), `${whole.format(calls)} since start`), pace);
  const minute = grown("ok") + grown("failed");
  const [good, bad] = ["ok", "failed"].map(counted);
  const [well, when] = minute > 0 ? [share(grown("ok"), minute), "in the last minute"] : [share(good, good + bad), "since start"];
  tile(1, "Ended well", well, `of what could be served, ${when}`);
  const dialects = Object.entries(status.in_flight.by_dialect).filter(([, count]) => count > 0);
  const flights = dialects.map(([name, count]) => `${name} ${whole.format(count)}`).join(", ");
  tile(2, "In flight", whole.format(status.in_flight.calls), flights || "no call at this moment");
  let at = 3;
  for (const [title, name] of [["Time to first token", "ttft"], ["Overhead before sending", "overhead_request"]]) {
    const fresh = lastMinute(status, name);
    const useFresh = known(quantile(0.5, fresh));
    const times = useFresh ? fresh : status.latency[name];
    const [half, most] = [duration(quantile(0.5, times)), duration(quantile(0.99, times))];
    const when = useFresh ? "in the last minute" : "since start";
    tile(at++, title, half, most === UNKNOWN ? "p50, nothing measured yet" : `p50; p99 ${most} ${when}`);
  }
  const tokens = rate("tokens");
  const all = Object.keys(status.total.tokens).length ? whole.format(total(status.total.tokens)) : "unknown";
  tile(5, "Tokens", perSecond(tokens), `${all} since start`);
  const direct = known(status.total.list_usd) ? `list $${status.total.list_usd}` : "list unknown";
  tile(6, "Billed", dollars(status.total.billed_usd), direct);
  const unpriced = plural(status.total.unpriced, "call", "calls");
  tile(7, "Markup", known(status.total.markup) ? signed.format(status.total.markup) : UNKNOWN, `over list; ${unpriced} unpriced`);
}

function showRoutes(status) {
  const rows = [];
  const configured = status.routes.some((route) => !route.implicit);
  const shown = status.routes.filter((route) => !route.implicit || !configured || route.calls);
  for (const route of shown) {
    const calls = total(route.calls);
    const facts = [plural(calls, "call", "calls")];
    if (calls > 0) facts.push(`${percents.format((route.calls.ok ?? 0) / calls)} ok`);
    const pace = rate(`route\n${route.name}`);
    if (known(pace)) facts.push(perSecond(pace));
    facts.push(plural(route.fallbacks, "fallback", "fallbacks"));
    if (route.strategy !== "fallback") facts.push(route.strategy);
    rows.push({ group: [route.name, ` · ${facts.join(" · ")}`] });
    for (const target of route.targets) {
      const tries = total(target.attempts);
      rows.push({
        cells: [
          `${target.provider} / ${target.model ?? "any model"}`,
          health(target.health, status.at_ms),
          whole.format(tries),
          share(target.attempts.ok ?? 0, tries),
          perSecond(rate(targetName(route, target))),
          duration(quantile(0.5, target.ttft)),
          duration(quantile(0.99, target.ttft)),
          `${whole.format(target.connections.open)} (${whole.format(target.connections.idle)} idle)`,
        ],
      });
    }
  }
  const columns = [["Target", true], ["Health", true], ["Tries"], ["Ok"], ["Tries/s"], ["TTFT p50"], ["TTFT p99"], ["Connections"]];
  fill($("routes"), columns, rows.slice(0, MOST_ROWS));
  const hidden = status.routes.length - shown.length;
  const notes = ["Health and tries belong to provider and model, and are the same in every route. TTFT since start."];
  if (hidden) notes.push(`${plural(hidden, "implicit route", "implicit routes")} without calls not shown.`);
  if (rows.length > MOST_ROWS) notes.push(`${whole.format(rows.length - MOST_ROWS)} more rows: see admin/status.`);
  put($("routes-note"), notes.join(" "), "note");
}

function showOutcomes(status) {
  const rows = [];
  for (const route of [...status.routes, ...status.other_routes]) {
    const all = total(route.calls);
    const outcomes = Object.entries(route.calls ?? {}).sort((a, b) => b[1] - a[1]);
    for (const [outcome, count] of outcomes) {
      const kind = outcome === "ok" ? "good" : NOT_SERVABLE.test(outcome) ? "warn" : "bad";
      const name = route.name === "none" ? "no route" : route.name;
      const pace = perSecond(rate(`outcome\n${route.name}\n${outcome}`));
      rows.push({ cells: [name, [outcome, `pill ${kind}`], whole.format(count), share(count, all), pace] });
    }
  }
  if (!rows.length) rows.push({ group: ["No call has ended yet.", ""] });
  fill($("outcomes"), [["Route", true], ["Outcome", true], ["Calls"], ["Share"], ["Calls/s"]], rows.slice(0, MOST_ROWS));
}

function showLatency(status) {
  const names = [
    ["Time to first token (streams)", "ttft"],
    ["Whole call", "duration"],
    ["Inside Faregate, before the request is sent", "overhead_request"],
    ["Inside Faregate, while the answer passes", "overhead_response"],
  ];
  const rows = names.map(([title, name]) => {
    const all = status.latency[name];
    const minute = lastMinute(status, name);
    const cells = [minute, all].flatMap((times) => [0.5, 0.99].map((q) => duration(quantile(q, times))));
    return { cells: [title, ...cells, all ? whole.format(total(all.counts)) : "none"] };
  });
  const columns = [["What", true], ["p50, last minute"], ["p99, last minute"], ["p50, since start"], ["p99, since start"], ["Measured"]];
  fill($("latency"), columns, rows);
}

function moneyRow(name, it, sum) {
  const tokens = Object.entries(it.tokens).map(([kind, count]) => `${kind} ${whole.format(count)}`).join(" · ");
  const missing = it.usage_unknown ? ` · ${plural(it.usage_unknown, "call", "calls")} of unknown usage` : "";
  return {
    sum,
    cells: [
      name,
      tokens ? tokens + missing : UNKNOWN,
      dollars(it.list_usd),
      dollars(it.billed_usd),
      dollars(it.effective_usd),
      known(it.markup) ? signed.format(it.markup) : UNKNOWN,
      whole.format(it.unpriced),
    ],
  };
}

function showMoney(status) {
  const rows = status.models.map((it) => moneyRow(`${it.provider} / ${it.model}`, it, false));
  if (rows.length > 1) rows.unshift(moneyRow("All together", status.total, true));
  if (!rows.length) rows.push({ group: ["No call has been answered yet.", ""] });
  const columns = [["Provider / model", true], ["Tokens", true], ["List"], ["Billed"], ["Effective"], ["Markup"], ["Unpriced calls"]];
  fill($("money"), columns, rows.slice(0, MOST_ROWS));
}

function showTable(status) {
  const { hash, generation, source, last_reload: last } = status.table;
  const ago = `${clock(last.at_ms)}, ${span(status.at_ms - last.at_ms)} ago`;
  const facts = [
    ["Hash", hash, "mono"],
    ["Generation", whole.format(generation), ""],
    ["Source", source, "mono"],
    ["Last reload", `${last.errors.length ? "refused" : "taken"} at ${ago}`, last.errors.length ? "bad" : ""],
    ["Last reload's errors", last.errors.length ? last.errors.join("\n") : "none", last.errors.length ? "mono" : ""],
  ];
  facts.forEach(([name, text, className], at) => {
    const box = child($("table"), at, "div");
    put(child(box, 0, "dt"), name);
    put(child(child(box, 1, "dd"), 0, "span"), text, className);
  });
}

let lastHealth = new Map();

function showNotices(status) {
  const notices = [];
  if (status.stopping) notices.push(["warn", "This process is stopping: it finishes the calls in flight and takes no more."]);
  const { errors } = status.table.last_reload;
  if (errors.length) {
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more, below)` : "";
    notices.push(["bad", `The last configuration was refused; the table in use stays. ${errors[0]}${more}`]);
  }
  const now = new Map();
  for (const target of status.routes.flatMap((route) => route.targets)) {
    now.set(`${target.provider} / ${target.model ?? "any model"}`, target.health.state);
  }
  const out = [...now].filter(([, state]) => state === "ejected").map(([name]) => name);
  if (out.length) {
    const names = out.slice(0, 5).join(", ") + (out.length > 5 ? ` and ${out.length - 5} more` : "");
    notices.push(["bad", `Taken out of service for failures: ${names}.`]);
  }
  notices.forEach(([kind, text], at) => put(child($("notices"), at, "p"), text, `notice ${kind}`));
  cut($("notices"), notices.length);
  const words = { up: "is up", probing: "is being probed", ejected: "was taken out of service" };
  const news = [...now].filter(([name, state]) => lastHealth.has(name) && lastHealth.get(name) !== state);
  if (news.length) put($("news"), news.slice(0, 3).map(([name, state]) => `${name} ${words[state]}.`).join(" "), "unseen");
  lastHealth = now;
  document.title = out.length || errors.length ? "▲ Faregate" : "Faregate";
}

function show(status) {
  remember(status);
  const commit = status.commit === "unknown" ? "" : ` (${status.commit})`;
  put($("build"), `${status.version}${commit}, up ${span(status.at_ms - status.started_ms)}`);
  showNotices(status);
  showTiles(status);
  showRoutes(status);
  showOutcomes(status);
  showLatency(status);
  showMoney(status);
  showTable(status);
}

// ---- asking, again and again

let paused = false;
let answered = null;
let failure = null;
let waiting = null;

function state() {
  const age = answered === null ? null : Date.now() - answered;
  const of = answered === null ? "" : `; numbers of ${clock(answered)}`;
  if (paused) return ["paused", `Paused${of}`];
  if (failure) return ["lost", `Connection lost${of}`];
  if (age === null) return ["loading", "Loading"];
  return age > 3 * PERIOD ? ["stale", `Stale${of}`] : ["live", "Live"];
}

function showState() {
  const [name, text] = state();
  const element = $("state");
  if (element.dataset.state !== name) element.dataset.state = name;
  if (element.textContent !== text) element.textContent = text;
}

async function ask() {
  clearTimeout(waiting);
  try {
    const answer = await fetch("admin/status", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    show(await answer.json());
    answered = Date.now();
    failure = null;
  } catch (error) {
    failure = error;
  }
  showState();
  if (!paused) waiting = setTimeout(ask, PERIOD);
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  if (paused) clearTimeout(waiting);
  else ask();
  showState();
});
setInterval(showState, 1000);
ask();
