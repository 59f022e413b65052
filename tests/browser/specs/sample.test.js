// The samples of the page.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { assertAccessible } from "../accessible.js";
import { N_TRAINING, runCli, samples } from "../data.js";
import { assertPredicted } from "../page.js";
import { scenario } from "../scenario.js";

scenario("the sample button opens a spectrum and predicts its parameters", async (visit) => {
  await visit.ready();
  const start = Date.now();
  await visit.part("sample-button").click();
  const rows = await visit.predictions(1);
  console.log(`first prediction ${Date.now() - start} ms after the press`);
  assertPredicted(rows.find((row) => row.values.teff));
  await visit.part("detail").waitFor();
  assert.match(await visit.part("processing-history").innerText(), /continuum/i, "the preprocessing steps are shown");
});

scenario("samples opened before the engine is ready are predicted later", async (visit) => {
  await visit.part("sample-button").click();
  visit.host.release();
  await visit.predictions(1);
}, { delay: (path) => path.startsWith("engine") });

scenario("Clear all removes every spectrum", async (visit) => {
  await visit.openSample();
  await visit.idle();
  await visit.part("clear").click();
  await visit.part("row").first().waitFor({ state: "detached" });
  assert.deepEqual(await visit.rows(), []);
  assert.equal(await visit.part("detail").count(), 0);
});

scenario("cleared files can be restored until other files are opened", async (visit) => {
  await visit.openSample();
  await visit.idle();
  const before = await visit.rows();
  await visit.part("clear").click();
  await visit.part("restore").waitFor();
  await visit.page.keyboard.press("Control+z");
  await visit.predictions(1);
  await visit.idle();
  assert.deepEqual((await visit.rows()).map(({ id, values }) => [id, values]), before.map(({ id, values }) => [id, values]));
  assert.equal(await visit.part("restore").count(), 0);
  await visit.part("clear").click();
  await visit.part("restore").waitFor();
  await visit.openSample();
  assert.equal(await visit.part("restore").count(), 0);
});

scenario("for a Gaia XP star the page downloads the model for Gaia XP, and names it", async (visit) => {
  await visit.ready();
  const nWeightFiles = () => visit.host.requests.filter((path) => path.endsWith(".bin")).length;
  const before = nWeightFiles();
  await visit.part("sample-gaia-xp").click();
  await visit.page.waitForFunction(() => document.querySelector('[data-testid="row"] [data-testid="cell-teff"]')?.dataset.value !== undefined);
  assert.ok(nWeightFiles() > before, "the model is downloaded now");
  const [row] = await visit.rows();
  const truth = JSON.parse(readFileSync(new URL("../../../www/samples/sets.json", import.meta.url), "utf8"))[1].truth;
  for (const label of ["teff", "logg", "feh", "alpha_fe"]) {
    const { value, error } = row.values[label];
    assert.ok(Math.abs(value - truth[label]) < 3 * error, `${label} is ${value} ± ${error}, but the true value is ${truth[label]}`);
  }
  assert.equal(row.values.rv, undefined, "no velocity from Gaia XP spectra");
  assert.match(await visit.part("detail").innerText(), /Model xp-mlp \d+[^]*real stars that were not trained on/);
  assert.doesNotMatch(await visit.part("processing-history").innerText(), /refused/);
  await assertAccessible(visit, "a Gaia XP star");
});

scenario("the joint density of a Gaia XP star is drawn as on the command line", async (visit) => {
  await visit.ready();
  await visit.part("sample-gaia-xp").click();
  await visit.page.waitForFunction(() => document.querySelector('[data-testid="row"] [data-testid="cell-teff"]')?.dataset.value !== undefined);
  await visit.part("show-posterior").click();
  await visit.part("corner").waitFor();
  await assertAccessible(visit, "a corner plot");
  const downloadEvent = visit.page.waitForEvent("download");
  await visit.part("save-draws").click();
  const onPage = readFileSync(await (await downloadEvent).path(), "utf8").trim().split("\n");
  const file = samples().find((path) => path.includes("gaia-xp")) ?? new URL("../../../www/samples/gaia-xp.csv.gz", import.meta.url).pathname;
  const onCli = runCli(["posterior", file]).trim().split("\n").map((line) => line.slice(line.indexOf(",") + 1));
  assert.equal(onPage[0], onCli[0]);
  assert.equal(onPage.length, onCli.length);
  const numbers = (line) => line.split(",").map(Number);
  const tolerance = [0.5, 1e-3, 1e-3, 1e-3];
  for (const [i, line] of onPage.entries()) {
    if (i === 0) continue;
    numbers(line).forEach((value, j) => assert.ok(Math.abs(value - numbers(onCli[i])[j]) <= tolerance[j], `draw ${i}: ${line} on the page, ${onCli[i]} on the command line`));
  }
  await visit.part("show-posterior").click();
  assert.equal(await visit.part("corner").count(), 0);
});

scenario("the sample training set is ready for fine-tuning", async (visit) => {
  await visit.ready();
  await visit.part("sample-training-set").click();
  await visit.predictions(N_TRAINING);
  await visit.idle();
  assert.match(await visit.part("finetune-target").innerText(), new RegExp(`\\[Fe/H\\] \\(${N_TRAINING} labels\\)`));
  await visit.page.waitForFunction(() => {
    const { top } = document.getElementById("finetune-title").getBoundingClientRect();
    return top >= 0 && top < innerHeight;
  });
  assert.equal(await visit.part("finetune-compare").isEnabled(), true);
});
