// Cancelling a job, and failures of the engine.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { REAL_DIR } from "../data.js";
import { open } from "../page.js";
import { scenario } from "../scenario.js";

scenario("a large bundle can be cancelled, and its rows stay", async (visit) => {
  await visit.ready();
  await visit.drop([join(REAL_DIR, "miles.npz")]);
  // These spectra are at rest and get no RV.
  const has3Predictions = () => document.querySelectorAll('[data-testid="cell-teff"][data-value]').length >= 3;
  await visit.page.waitForFunction(has3Predictions);
  await visit.part("cancel").click();
  await visit.idle();
  const rows = await visit.rows();
  const predicted = rows.filter((row) => row.values.teff).length;
  console.log(`cancelled with ${predicted} of 583 predicted`);
  assert.ok(predicted >= 3 && predicted < 583);
  await visit.part("clear").click();
  await visit.sample();
}, { skip: REAL_DIR ? false : "no real spectra here" });

scenario("an engine that crashes is restarted, with a notice", async (visit) => {
  await visit.sample();
  await visit.idle();
  const [worker] = visit.page.workers();
  await worker.evaluate(() => { setTimeout(() => { throw new Error("struck by lightning"); }); });
  await visit.page.getByText(/struck by lightning/).first().waitFor();
  await visit.ready();
  await visit.part("clear").click();
  await visit.sample();
}, { expects: [/struck by lightning/] });

scenario("the page reports weights that cannot be downloaded, and still reads files", async (visit) => {
  await visit.engine("unavailable");
  assert.match(await visit.part("engine-status").innerText(), /model|weights|404/i);
  await visit.part("sample-button").click();
  await visit.part("row").first().waitFor();
}, { lose: (path) => path.startsWith("models/"), expects: [/404/] });

test("the page reports a missing engine program", async () => {
  const visit = await open({ lose: (path) => path === "engine_bg.wasm" });
  try {
    await visit.engine("stopped");
    assert.ok((await visit.part("engine-status").innerText()).length > 20);
  } finally {
    await visit.close();
  }
});
