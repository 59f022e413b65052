// Opening the page: it paints and takes files before the engine is there, from any path of any host.
import assert from "node:assert/strict";
import { test } from "node:test";
import { open } from "../page.js";
import { scenario } from "../scenario.js";

const isEngine = (path) => path.startsWith("engine") || path.startsWith("models/");

test("paints before the engine has arrived, and says when it has", async () => {
  const visit = await open({ hold: isEngine });
  try {
    const paint = await visit.page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
    const usable = await visit.page.evaluate(() => performance.now());
    console.log(`first paint after ${paint.toFixed(0)} ms, usable within ${usable.toFixed(0)} ms, the engine not yet there`);
    assert.equal(await visit.part("engine-status").getAttribute("data-state"), "starting");
    assert.ok(await visit.part("sample-button").isVisible());
    const released = Date.now();
    visit.host.release();
    await visit.ready();
    console.log(`engine ready ${Date.now() - released} ms after its files were let through`);
    assert.match(await visit.part("engine-status").innerText(), /CPU|GPU/, "says where it computes");
    visit.mustBeQuiet();
  } finally {
    await visit.close();
  }
});

scenario("works below a path of a static host", async (visit) => {
  await visit.sample();
  for (const path of visit.host.requests) assert.ok(path.startsWith("/some/where/"), path);
}, { below: "/some/where/" });

scenario("sends nothing but its own GET requests", async (visit) => {
  const methods = new Set();
  visit.page.context().on("request", (request) => methods.add(request.method()));
  await visit.sample();
  assert.deepEqual([...methods].filter((method) => method !== "GET"), []);
});

scenario("forbids scripts and connections that the build did not put there, in the engine too", async (visit) => {
  await visit.ready();
  const inline = await visit.page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.head.append(script);
    return window.ran === true;
  });
  assert.equal(inline, false, "an inline script does not run");
  // An address on this very machine: only the policy keeps the page from it.
  const elsewhere = new URL(process.env.SPECOLA_URL).href;
  for (const place of [visit.page, visit.page.workers()[0]]) {
    const refused = await place.evaluate(async (url) => {
      const violation = new Promise((resolve) => {
        self.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective), { once: true });
      });
      await fetch(url).catch(() => {});
      return Promise.race([violation, new Promise((resolve) => { setTimeout(resolve, 5000, "nothing"); })]);
    }, elsewhere);
    assert.equal(refused, "connect-src");
  }
  visit.strangers = visit.strangers.filter((url) => url !== elsewhere);
}, { expects: [/Content Security Policy/, /ERR_BLOCKED_BY_CSP|csp/, /Refused to connect/, /Fetch API cannot load/] });
