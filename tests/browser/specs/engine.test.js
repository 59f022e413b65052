// Cancelling a job, and failures of the engine.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { REAL_DIR } from "../data.js";
import { openPage } from "../page.js";
import { scenario } from "../scenario.js";

scenario("a job of many spectra can be cancelled, and its predictions stay", async (visit) => {
  await visit.ready();
  await visit.drop([join(REAL_DIR, "miles.npz")]);
  // These spectra are in the rest frame and get no RV, so `predictions` does not count them.
  const has3Predictions = () => document.querySelectorAll('[data-testid="cell-teff"][data-value]').length >= 3;
  await visit.page.waitForFunction(has3Predictions);
  await visit.part("cancel").click();
  await visit.idle();
  const rows = await visit.rows();
  const predicted = rows.filter((row) => row.values.teff).length;
  console.log(`cancelled with ${predicted} of 583 predicted`);
  assert.ok(predicted >= 3 && predicted < 583);
  await visit.part("clear").click();
  await visit.openSample();
}, { skip: REAL_DIR ? false : "SPECOLA_REAL is not set" });

scenario("the page restarts an engine that crashes, and reports it", async (visit) => {
  await visit.openSample();
  await visit.idle();
  const [worker] = visit.page.workers();
  await worker.evaluate(() => { setTimeout(() => { throw new Error("struck by lightning"); }); });
  await visit.page.getByText(/struck by lightning/).first().waitFor();
  await visit.ready();
  await visit.part("clear").click();
  await visit.openSample();
}, { allowedMessages: [/struck by lightning/] });

scenario("the page reports weights that cannot be downloaded, and still reads files", async (visit) => {
  await visit.waitForEngine("unavailable");
  assert.match(await visit.part("engine-status").innerText(), /model|weights|404/i);
  await visit.part("sample-button").click();
  await visit.part("row").first().waitFor();
}, { omit: (path) => path.startsWith("models/"), allowedMessages: [/404/] });

test("the page reports a missing engine program", async () => {
  const visit = await openPage({ omit: (path) => path === "engine_bg.wasm" });
  try {
    await visit.waitForEngine("stopped");
    assert.ok((await visit.part("engine-status").innerText()).length > 20);
  } finally {
    await visit.close();
  }
});
