// The first thing that many will do: press the sample button.
import assert from "node:assert/strict";
import { mustBeAnswered } from "../page.js";
import { scenario } from "../scenario.js";

scenario("the sample button fills a row with parameters", async (visit) => {
  await visit.ready();
  const start = Date.now();
  await visit.part("sample-button").click();
  const rows = await visit.answers(1);
  console.log(`first answer ${Date.now() - start} ms after the press`);
  mustBeAnswered(rows.find((row) => row.values.teff));
  await visit.part("detail").waitFor();
  assert.match(await visit.part("ledger").innerText(), /continuum/i, "the ledger says what was done");
});

scenario("samples asked for before the engine is there are answered when it is", async (visit) => {
  await visit.part("sample-button").click();
  visit.host.release();
  await visit.answers(1);
}, { hold: (path) => path.startsWith("engine") });

scenario("clearing forgets every spectrum", async (visit) => {
  await visit.sample();
  await visit.idle();
  await visit.part("clear").click();
  await visit.part("row").first().waitFor({ state: "detached" });
  assert.deepEqual(await visit.rows(), []);
  assert.equal(await visit.part("detail").count(), 0);
});
