// The status page of a real Faregate under real traffic, in a real browser. Prints what it saw, as JSON, on its last line.
// STATUS_PICTURES names a folder for pictures of it.
import assert from "node:assert/strict";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { inBrowser } from "./browser.mjs";

const { FAREGATE_URL: api, FAREGATE_ADMIN: admin, FAREGATE_CONFIG: file, STATUS_PICTURES: pictures } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

async function call(model, stream = true) {
  const body = JSON.stringify({ model, stream, messages: [{ role: "user", content: "Hello there" }] });
  const answer = await fetch(`${api}/v1/chat/completions`, { method: "POST", body, headers: { "content-type": "application/json" } });
  await answer.arrayBuffer();
}

// Until the page shows it; what is asked for is re-read at each look.
async function shows(page, what, condition, argument) {
  await page.waitForFunction(condition, argument, { polling: 100 }).catch((error) => assert.fail(`${what}: ${error.message}`));
}

const rows = (page, table) =>
  page.$$eval(`#${table} tbody tr`, (all) => all.map((tr) => [...tr.children].map((cell) => cell.textContent.trim())));

async function accessible(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  assert.deepEqual(violations.map((it) => `${name}: ${it.id}: ${it.nodes.map((node) => node.html).join(" ")}`), []);
}

// Axe is put in from outside, which the page's own policy rightly forbids.
const options = (colorScheme, width, height = 900) => ({ colorScheme, viewport: { width, height }, bypassCSP: true });
const seen = {};

for (let i = 0; i < 8; i++) await call("chat");
await call("odd", false);
await call("nobody", false);

// With the policy in force: content, live update, a refused reload, a lost connection.
const main = await inBrowser({ ...options("light", 1280), bypassCSP: false }, async (page, context) => {
  const outside = [];
  page.on("request", (request) => new URL(request.url()).origin === admin || outside.push(request.url()));
  let attacked = false;
  page.on("dialog", (dialog) => { attacked = true; dialog.dismiss(); });
  await page.goto(`${admin}/`);
  await shows(page, "live", () => document.getElementById("state").dataset.state === "live");
  seen.routes = await rows(page, "routes");
  seen.outcomes = await rows(page, "outcomes");
  seen.money = await rows(page, "money");
  seen.latency = await rows(page, "latency");
  seen.notices = await page.$$eval("#notices p", (all) => all.map((p) => p.textContent));
  seen.title = await page.title();
  seen.markup = await page.$$eval("main img, main script, main b", (all) => all.length);

  // It goes on by itself, and keeps the elements that somebody may have selected.
  const kept = await page.$("#outcomes tbody tr");
  const before = seen.outcomes.find(([route, outcome]) => route === "chat" && outcome === "ok")[2];
  await call("chat");
  await shows(page, "one more call", (old) =>
    [...document.querySelectorAll("#outcomes tbody tr")].some(
      (tr) => tr.textContent.startsWith("chat") && tr.children[2].textContent === String(Number(old) + 1)), before);
  assert.ok(await kept.evaluate((tr) => tr.isConnected), "rows are kept");
  await shows(page, "a rate", () => /^[\d.]+\/s$/.test(document.querySelector("#tiles .value").textContent));

  // Pause, by keyboard.
  await page.focus("#pause");
  await page.keyboard.press("Enter");
  await shows(page, "paused", () => document.getElementById("state").dataset.state === "paused");
  assert.equal(await page.getAttribute("#pause", "aria-pressed"), "true");
  await page.keyboard.press("Enter");
  await shows(page, "live again", () => document.getElementById("state").dataset.state === "live");

  // A configuration that is refused.
  const good = readFileSync(file, "utf8");
  writeFileSync(`${file}.new`, good.replace("routes:", "ruotes:"));
  renameSync(`${file}.new`, file);
  await shows(page, "the refusal", () => document.getElementById("notices").textContent.includes("ruotes"));
  assert.match(await page.textContent("#table"), /refused at/);
  if (pictures) await page.screenshot({ path: `${pictures}/refused.png` });
  writeFileSync(`${file}.new`, good);
  renameSync(`${file}.new`, file);
  await shows(page, "the next table", () => !document.getElementById("notices").textContent.includes("ruotes"));

  // The network goes, and comes back.
  await context.setOffline(true);
  await shows(page, "lost", () => /^Connection lost; numbers of \d\d:\d\d:\d\d$/.test(document.getElementById("state").textContent));
  assert.ok((await rows(page, "routes")).length, "the last numbers stay");
  await context.setOffline(false);
  await shows(page, "back", () => document.getElementById("state").dataset.state === "live");
  assert.deepEqual(outside, []);
  assert.equal(attacked, false);
});
// The browser itself says that it was offline; nothing else may stand in the console.
seen.complaints = main.complaints.filter((line) => !line.includes("ERR_INTERNET_DISCONNECTED"));

// An answer that does not come makes it stale, then lost.
const slow = await inBrowser(options("light", 1280), async (page) => {
  await page.goto(`${admin}/`);
  await shows(page, "live", () => document.getElementById("state").dataset.state === "live");
  await page.route("**/admin/status", () => {});
  await shows(page, "stale or lost", () => ["stale", "lost"].includes(document.getElementById("state").dataset.state));
});
seen.complaints.push(...slow.complaints);

for (const [name, scheme, width] of [["light", "light", 1280], ["dark", "dark", 1280], ["narrow", "dark", 360]]) {
  const { complaints } = await inBrowser(options(scheme, width), async (page) => {
    await page.goto(`${admin}/`);
    await shows(page, "live", () => document.getElementById("state").dataset.state === "live");
    const [wide, ground] = await page.evaluate(() => [
      document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor,
    ]);
    assert.ok(wide <= width, `${name}: ${wide} wide on a screen of ${width}`);
    const light = ground.match(/\d+/g).slice(0, 3).every((part) => Number(part) > 128);
    assert.equal(light, scheme === "light", `${name}: ${ground}`);
    await accessible(page, name);
    if (pictures) await page.screenshot({ path: `${pictures}/${name}.png` });
  });
  seen.complaints.push(...complaints);
}

console.log(JSON.stringify(seen));
