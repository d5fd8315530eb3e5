// Draws dashboards with their numbers, roughly as Grafana does: enough to look at what they show and how they are laid out.
// DASHBOARDS is a folder of their JSON with the answers of Prometheus in the targets; PICTURES is where pictures go.
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { inBrowser } from "./browser.mjs";

const { DASHBOARDS, PICTURES } = process.env;
const COLOURS = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#37872d", "#fade2a", "#96d98d"];
const CELL = 34;
const WIDTH = 1400;
const COLUMN = (WIDTH - 24) / 24;

const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const digits = (value) => new Intl.NumberFormat("en", { maximumSignificantDigits: 3 }).format(value);

function shown(value, unit, decimals) {
  if (!Number.isFinite(value)) return "no data";
  const exactly = (v) => (decimals === undefined ? digits(v) : v.toFixed(decimals));
  if (unit === "percentunit") return `${exactly(value * 100)} %`;
  if (unit === "currencyUSD") return `$${exactly(value)}`;
  if (unit === "reqps") return `${digits(value)} req/s`;
  if (unit === "bytes") return value >= 2 ** 30 ? `${digits(value / 2 ** 30)} GiB` : `${digits(value / 2 ** 20)} MiB`;
  if (unit === "s") {
    const size = Math.abs(value);
    if (size >= 86400) return `${digits(value / 86400)} days`;
    if (size >= 120) return `${digits(value / 60)} min`;
    if (size >= 1 || size === 0) return `${digits(value)} s`;
    return size >= 1e-3 ? `${digits(value * 1e3)} ms` : `${digits(value * 1e6)} µs`;
  }
  return exactly(value);
}

function legend(format, labels) {
  if (format === "__auto") {
    return Object.entries(labels).filter(([name]) => name !== "__name__").map(([, value]) => value).join(" ") || "value";
  }
  return format.replace(/{{\s*(\w+)\s*}}/g, (_, label) => labels[label] ?? "").trim();
}

// Every series of a panel: a name, and points of [second, value].
const series = (panel) =>
  panel.targets.flatMap((target) =>
    target.result.map((it) => ({
      name: legend(target.legendFormat, it.metric ?? {}),
      labels: it.metric ?? {},
      points: (it.values ?? [it.value]).map(([at, value]) => [at, Number(value)]).filter(([, value]) => Number.isFinite(value)),
    })),
  ).filter((it) => it.points.length);

function stat(panel, all, width, height, span) {
  const { unit, decimals, thresholds, noValue } = panel.fieldConfig.defaults;
  const value = all[0]?.points.at(-1)?.[1];
  const step = thresholds.steps.filter(({ value: from }) => from === null || value >= from).at(-1);
  const colour = { green: "#73bf69", orange: "#ff9830", red: "#f2495c" }[step?.color] ?? "#d8d9da";
  const text = value === undefined ? noValue : shown(value, unit, decimals);
  const line = all[0] ? plot([all[0]], width - 16, height * 0.35, false, span, [colour]) : "";
  return `<div class="stat" style="color:${colour}">${escape(text)}</div><div class="spark">${line}</div>`;
}

function plot(all, width, height, stacked, { from, to }, colours = COLOURS, top) {
  const sums = new Map();
  const drawn = all.map(({ points }) =>
    points.map(([at, value]) => {
      const below = stacked ? (sums.get(at) ?? 0) : 0;
      sums.set(at, below + value);
      return [at, below + value, below];
    }));
  const values = drawn.flat().map(([, value]) => value);
  const most = top ?? Math.max(...values, 0);
  const least = Math.min(...values, 0);
  const x = (at) => ((at - from) / (to - from)) * width;
  const y = (value) => height - 2 - ((value - least) / (most - least || 1)) * (height - 4);
  const lines = drawn.map((points, index) => {
    const colour = colours[index % colours.length];
    const up = points.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`);
    const down = points.map(([at, , below]) => `${x(at).toFixed(1)},${y(stacked ? below : least).toFixed(1)}`).reverse();
    return `<polygon points="${[...up, ...down].join(" ")}" fill="${colour}" opacity="${stacked ? 0.3 : 0.08}"/>` +
      `<polyline points="${up.join(" ")}" fill="none" stroke="${colour}" stroke-width="1.4"/>`;
  });
  return `<svg width="${width}" height="${height}">${lines.join("")}</svg>`;
}

function graph(panel, all, width, height, span) {
  const { unit, custom, max } = panel.fieldConfig.defaults;
  const stacked = custom.stacking.mode === "normal";
  const shownSeries = all.slice(0, 12);
  const ends = shownSeries.flatMap((it) => it.points.map(([, value]) => value));
  const sum = (at) => shownSeries.reduce((total, it) => total + (it.points.find(([t]) => t === at)?.[1] ?? 0), 0);
  const times = [...new Set(shownSeries.flatMap((it) => it.points.map(([at]) => at)))];
  const most = max ?? (stacked ? Math.max(...times.map(sum), 0) : Math.max(...ends, 0));
  const least = Math.min(...ends, 0);
  const names = shownSeries.map((it, index) =>
    `<span><i style="background:${COLOURS[index % COLOURS.length]}"></i>${escape(it.name)}</span>`);
  return `<div class="axis"><span>${escape(shown(most, unit))}</span><span>${escape(shown(least, unit))}</span></div>` +
    `<div class="plot">${plot(shownSeries, width - 92, height - 92, stacked, span, COLOURS, most)}</div>` +
    `<div class="legend">${names.join("")}</div>`;
}

function bars(panel, all) {
  const { unit } = panel.fieldConfig.defaults;
  const rows = all.map((it) => [it.name, it.points.at(-1)[1]]).sort((a, b) => b[1] - a[1]);
  const most = Math.max(...rows.map(([, value]) => value), 1e-12);
  return rows.map(([name, value], index) =>
    `<div class="bar"><span>${escape(name)}</span><b><i style="width:${(value / most) * 100}%;background:${COLOURS[index % COLOURS.length]}"></i></b>` +
    `<em>${escape(shown(value, unit))}</em></div>`).join("");
}

function table(panel, all) {
  const { unit } = panel.fieldConfig.defaults;
  const columns = Object.keys(all[0]?.labels ?? {});
  const named = panel.transformations?.[0]?.options.renameByName ?? {};
  const head = [...columns, named.Value ?? "Value"].map((name) => `<th>${escape(name)}</th>`).join("");
  const rows = all.map((it) =>
    `<tr>${columns.map((name) => `<td>${escape(it.labels[name])}</td>`).join("")}<td>${escape(shown(it.points.at(-1)[1], unit))}</td></tr>`);
  return `<table><tr>${head}</tr>${rows.join("")}</table>`;
}

const DRAW = { stat, timeseries: graph, bargauge: bars, table };

// The page of one dashboard, its height, and the panels that have nothing to show.
function page(dashboard) {
  const empty = [];
  let bottom = 0;
  const boxes = dashboard.panels.map((panel) => {
    const { x, y, w, h } = panel.gridPos;
    bottom = Math.max(bottom, y + h);
    const [width, height] = [w * COLUMN - 8, h * CELL - 8];
    const place = `left:${x * COLUMN + 12}px;top:${y * CELL + 84}px;width:${width}px;height:${height}px`;
    if (panel.type === "row") return `<div class="row" style="${place}">▾ ${escape(panel.title)}</div>`;
    const all = series(panel);
    if (!all.length) empty.push(panel.title);
    return `<div class="panel" style="${place}"><h2>${escape(panel.title)}</h2>${DRAW[panel.type](panel, all, width, height, dashboard)}</div>`;
  });
  const height = bottom * CELL + 96;
  const variables = dashboard.templating.list.slice(1).map(({ label }) => `<span>${escape(label)}: All</span>`).join("");
  const html = `<!doctype html><meta charset="utf-8"><title>${escape(dashboard.title)}</title><style>
body{margin:0;background:#111217;color:#d8d9da;font:13px "DejaVu Sans",sans-serif;position:relative;width:${WIDTH}px;height:${height}px}
header{padding:12px 16px;font-size:17px}header small{color:#9fa1a8;font-size:12px;margin-left:14px}
.vars{padding:0 16px}.vars span{background:#22252b;padding:4px 10px;margin-right:8px;border-radius:3px}
.panel,.row{position:absolute;box-sizing:border-box;overflow:hidden}.panel{background:#181b1f;border:1px solid #2a2d33;border-radius:3px;padding:8px}
.row{font-size:15px;padding:6px 4px}h2{font-size:13px;font-weight:500;margin:0 0 6px}
.stat{font-size:27px;text-align:center;padding-top:6px}.spark{position:absolute;bottom:6px;left:8px}
.axis{position:absolute;left:8px;top:34px;bottom:56px;width:74px;display:flex;flex-direction:column;justify-content:space-between;color:#9fa1a8;font-size:11px}
.plot{margin-left:78px}.legend{position:absolute;left:10px;right:8px;bottom:6px;font-size:11px;max-height:30px;overflow:hidden}
.legend span{margin-right:12px;white-space:nowrap}.legend i{display:inline-block;width:12px;height:4px;margin-right:5px;vertical-align:middle}
.bar{display:flex;align-items:center;margin:7px 0}.bar span{width:34%;overflow:hidden;white-space:nowrap}.bar b{flex:1;background:#22252b}.bar i{display:block;height:16px}.bar em{width:90px;text-align:right;font-style:normal}
table{width:100%;border-collapse:collapse;font-size:12px}th{text-align:left;color:#8ab8ff}th,td{padding:4px 8px;border-bottom:1px solid #2a2d33}
</style><header>${escape(dashboard.title)}<small>an approximation, drawn by Faregate's tests from live numbers; Grafana draws it better</small></header>
<div class="vars">${variables}</div>${boxes.join("")}`;
  return { html, height, empty };
}

const seen = { panels: 0, empty: [] };
const { complaints } = await inBrowser({ viewport: { width: WIDTH, height: 900 } }, async (tab) => {
  for (const file of readdirSync(DASHBOARDS).filter((name) => name.endsWith(".json"))) {
    const dashboard = JSON.parse(readFileSync(join(DASHBOARDS, file), "utf8"));
    const { html, height, empty } = page(dashboard);
    seen.panels += dashboard.panels.filter((panel) => panel.type !== "row").length;
    seen.empty.push(...empty.map((title) => `${dashboard.title}: ${title}`));
    await tab.setViewportSize({ width: WIDTH, height });
    await tab.setContent(html);
    await tab.screenshot({ path: join(PICTURES, `${basename(file, ".json")}.png`) });
  }
});
console.log(JSON.stringify({ ...seen, complaints }));
