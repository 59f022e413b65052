// The first thing that many will do: press the sample button.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mustBeAccessible } from "../accessible.js";
import { LESSON } from "../data.js";
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

scenario("what was cleared can be brought back, until something else is opened", async (visit) => {
  await visit.sample();
  await visit.idle();
  const before = await visit.rows();
  await visit.part("clear").click();
  await visit.part("restore").waitFor();
  await visit.page.keyboard.press("Control+z");
  await visit.answers(1);
  await visit.idle();
  assert.deepEqual((await visit.rows()).map(({ id, values }) => [id, values]), before.map(({ id, values }) => [id, values]));
  assert.equal(await visit.part("restore").count(), 0);
  await visit.part("clear").click();
  await visit.part("restore").waitFor();
  await visit.sample();
  assert.equal(await visit.part("restore").count(), 0);
});

scenario("a Gaia XP star is answered by a model that is fetched for it, and the row says by which", async (visit) => {
  await visit.ready();
  const chunks = () => visit.host.requests.filter((path) => path.endsWith(".bin")).length;
  const before = chunks();
  await visit.part("sample-gaia-xp").click();
  await visit.page.waitForFunction(() => document.querySelector('[data-testid="row"] [data-testid="cell-teff"]')?.dataset.value !== undefined);
  assert.ok(chunks() > before, "nothing of it was fetched before");
  const [row] = await visit.rows();
  const made = JSON.parse(readFileSync(new URL("../../../www/samples/sets.json", import.meta.url), "utf8"))[1].truth;
  for (const label of ["teff", "logg", "feh", "alpha_fe"]) {
    const { value, error } = row.values[label];
    assert.ok(Math.abs(value - made[label]) < 3 * error, `${label} is ${value} ± ${error}, made with ${made[label]}`);
  }
  assert.equal(row.values.rv, undefined, "such spectra tell no velocity");
  assert.match(await visit.part("detail").innerText(), /By lrs-xp-pr \d+[^]*simulated/);
  assert.doesNotMatch(await visit.part("ledger").innerText(), /refused/);
  await mustBeAccessible(visit, "a Gaia XP star");
});

scenario("a lesson is opened ready to be learned", async (visit) => {
  await visit.ready();
  await visit.part("sample-lesson").click();
  await visit.answers(LESSON);
  await visit.idle();
  assert.match(await visit.part("teach-target").innerText(), new RegExp(`\\[Fe/H\\] \\(${LESSON} labels\\)`));
  await visit.page.waitForFunction(() => {
    const { top } = document.getElementById("teach-title").getBoundingClientRect();
    return top >= 0 && top < innerHeight;
  });
  assert.equal(await visit.part("teach-compare").isEnabled(), true);
});
