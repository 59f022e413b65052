// Long jobs can be stopped, and an engine that fails says so.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { REAL } from "../data.js";
import { open } from "../page.js";
import { scenario } from "../scenario.js";

scenario("a big bundle can be stopped in the middle, and what was found stays", async (visit) => {
  await visit.ready();
  await visit.drop([join(REAL, "miles.npz")]);
  // At rest, so that none has an RV.
  const answered3 = () => document.querySelectorAll('[data-testid="cell-teff"][data-value]').length >= 3;
  await visit.page.waitForFunction(answered3);
  await visit.part("cancel").click();
  await visit.idle();
  const rows = await visit.rows();
  const answered = rows.filter((row) => row.values.teff).length;
  console.log(`stopped with ${answered} of 583 answered`);
  assert.ok(answered >= 3 && answered < 583);
  await visit.part("clear").click();
  await visit.sample();
}, { skip: REAL ? false : "no real spectra here" });

scenario("an engine that dies is started again, and the page says so", async (visit) => {
  await visit.sample();
  await visit.idle();
  const [worker] = visit.page.workers();
  await worker.evaluate(() => { setTimeout(() => { throw new Error("struck by lightning"); }); });
  await visit.page.getByText(/struck by lightning/).first().waitFor();
  await visit.ready();
  await visit.part("clear").click();
  await visit.sample();
}, { expects: [/struck by lightning/] });

scenario("weights that cannot be fetched are told, and files are still read", async (visit) => {
  await visit.engine("unavailable");
  assert.match(await visit.part("engine-status").innerText(), /model|weights|404/i);
  await visit.part("sample-button").click();
  await visit.part("row").first().waitFor();
}, { lose: (path) => path.startsWith("models/"), expects: [/404/] });

test("an engine whose program is missing is told in words", async () => {
  const visit = await open({ lose: (path) => path === "engine_bg.wasm" });
  try {
    await visit.engine("stopped");
    assert.ok((await visit.part("engine-status").innerText()).length > 20);
  } finally {
    await visit.close();
  }
});
