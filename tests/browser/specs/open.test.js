// Opening the page: it paints and accepts files before the engine has loaded, below any path of the host.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible } from "../accessible.js";
import { openPage } from "../page.js";
import { scenario } from "../scenario.js";

const isEngine = (path) => path.startsWith("engine") || path.startsWith("models/");

test("the page paints before the engine has loaded, and shows when the engine is ready", async () => {
  const visit = await openPage({ delay: isEngine });
  try {
    const paint = await visit.page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
    const usable = await visit.page.evaluate(() => performance.now());
    console.log(`first paint after ${paint.toFixed(0)} ms, usable within ${usable.toFixed(0)} ms, engine still loading`);
    assert.equal(await visit.part("engine-status").getAttribute("data-state"), "starting");
    assert.ok(await visit.part("sample-button").isVisible());
    const start = Date.now();
    visit.host.release();
    await visit.ready();
    console.log(`engine ready ${Date.now() - start} ms after its files were released`);
    assert.match(await visit.part("engine-status").innerText(), /CPU|GPU/, "the status shows whether CPU or GPU computes");
    visit.assertNoProblems();
  } finally {
    await visit.close();
  }
});

scenario("the page works in a subdirectory of a static host", async (visit) => {
  await visit.openSample();
  for (const path of visit.host.requests) assert.ok(path.startsWith("/some/where/"), path);
}, { basePath: "/some/where/" });

scenario("the page sends only GET requests", async (visit) => {
  const methods = new Set();
  visit.page.context().on("request", (request) => methods.add(request.method()));
  await visit.openSample();
  assert.deepEqual([...methods].filter((method) => method !== "GET"), []);
});

scenario("the Content Security Policy blocks inline scripts, and connections of page and worker to other addresses", async (visit) => {
  await visit.ready();
  const inline = await visit.page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.head.append(script);
    return window.ran === true;
  });
  assert.equal(inline, false, "an inline script does not run");
  // An address on this computer: only the policy blocks a connection to it.
  const otherOrigin = new URL(process.env.SPECOLA_URL).href;
  for (const scope of [visit.page, visit.page.workers()[0]]) {
    const directive = await scope.evaluate(async (url) => {
      const violation = new Promise((resolve) => {
        self.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective), { once: true });
      });
      await fetch(url).catch(() => {});
      return Promise.race([violation, new Promise((resolve) => { setTimeout(resolve, 5000, "nothing"); })]);
    }, otherOrigin);
    assert.equal(directive, "connect-src");
  }
  visit.foreignRequests = visit.foreignRequests.filter((url) => url !== otherOrigin);
}, { allowedMessages: [/Content Security Policy/, /ERR_BLOCKED_BY_CSP|csp/, /Refused to connect/, /Fetch API cannot load/] });

scenario("the model card is shown, also on a narrow screen and with high contrast", async (visit) => {
  await visit.ready();
  await visit.part("model-card").locator("summary").click();
  await visit.part("open-card").click();
  const card = visit.part("card-dialog");
  assert.match(await card.innerText(), /SHA-256\s+[0-9a-f]{64}/);
  assert.match(await visit.part("card-limits").innerText(), /Trained for Teff 3950 to 10000\sK/);
  assert.match(await visit.part("card-within").innerText(), /Within 1\sσ \(expected 68\s%\): Teff \d+\s% \(\d+ stars\)/);
  const firstPlot = await visit.part("calibration").locator("canvas").evaluate((canvas) => canvas.toDataURL());
  await visit.part("card-set").selectOption({ index: 1 });
  await visit.page.waitForFunction(
    (before) => document.querySelector('[data-testid="calibration"] canvas').toDataURL() !== before,
    firstPlot,
  );
  await assertAccessible(visit, "model card");
  for (const colorScheme of ["light", "dark"]) {
    await visit.page.emulateMedia({ contrast: "more", colorScheme });
    await assertAccessible(visit, `model card, more contrast, ${colorScheme}`);
  }
  await visit.page.setViewportSize({ width: 390, height: 844 });
  const { content, dialog } = await card.evaluate((element) => ({ content: element.scrollWidth, dialog: element.clientWidth }));
  assert.ok(content <= dialog, `${content} px of content in a dialogue of ${dialog} px`);
  await visit.page.keyboard.press("Escape");
  assert.equal(await card.isVisible(), false);
});
