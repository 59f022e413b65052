// Opening the page: it paints and takes files before the engine is there, from any path of any host.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mustBeAccessible } from "../accessible.js";
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

scenario("shows the whole card of its model, on a narrow screen and with more contrast too", async (visit) => {
  await visit.ready();
  await visit.part("model-card").locator("summary").click();
  await visit.part("open-card").click();
  const card = visit.part("whole-card");
  assert.match(await card.innerText(), /SHA-256\s+[0-9a-f]{64}/);
  assert.match(await visit.part("card-limits").innerText(), /Trained for Teff 3950 to 7550 K/);
  assert.match(await visit.part("card-within").innerText(), /Within one error, where 68 % is right: Teff \d+ % \(\d+ stars\)/);
  const first = await visit.part("calibration").locator("canvas").evaluate((canvas) => canvas.toDataURL());
  await visit.part("card-set").selectOption({ index: 1 });
  await visit.page.waitForFunction(
    (before) => document.querySelector('[data-testid="calibration"] canvas').toDataURL() !== before,
    first,
  );
  await mustBeAccessible(visit, "model card");
  for (const colorScheme of ["light", "dark"]) {
    await visit.page.emulateMedia({ contrast: "more", colorScheme });
    await mustBeAccessible(visit, `model card, more contrast, ${colorScheme}`);
  }
  await visit.page.setViewportSize({ width: 390, height: 844 });
  const { inside, box } = await card.evaluate((dialog) => ({ inside: dialog.scrollWidth, box: dialog.clientWidth }));
  assert.ok(inside <= box, `${inside} px of card in ${box} px`);
  await visit.page.keyboard.press("Escape");
  assert.equal(await card.isVisible(), false);
});
