// Ten thousand spectra: the page stays responsive, and what is sought is found among them.
import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zipSync } from "fflate";
import { samples, scratch } from "../data.js";
import { PIXELS, bundle, flux, wavelength } from "../made.js";
import { scenario } from "../scenario.js";

const COUNT = 10_000;

function archive(path) {
  const files = {};
  const waves = Array.from({ length: PIXELS }, (_, k) => wavelength(k).toFixed(3));
  for (let i = 0; i < COUNT; i += 1) {
    const rows = Array.from(flux(i), (f, k) => `${waves[k]},${f.toFixed(2)}`);
    files[`night/${String(i).padStart(5, "0")}.csv`] = Buffer.from(`wavelength_vac_aa,flux\n${rows.join("\n")}\n`);
  }
  writeFileSync(path, zipSync(files, { level: 1 }));
}

/** Watches the main thread for tasks that a person would feel: they are told, not judged, since machines differ. */
async function watchTasks(visit) {
  await visit.page.evaluate(() => {
    self.longest = { duration: 0, startTime: 0 };
    new PerformanceObserver((list) => {
      for (const task of list.getEntries()) if (task.duration > self.longest.duration) self.longest = task;
    }).observe({ entryTypes: ["longtask"] });
  });
}

for (const [what, make] of [["an npz bundle", bundle], ["a zip of CSV files", archive]]) {
  scenario(`${COUNT} spectra in ${what} leave the page responsive`, async (visit) => {
    const path = join(scratch(), make === bundle ? "bundle.npz" : "archive.zip");
    make(path, COUNT);
    await visit.ready();
    await watchTasks(visit);
    const begun = Date.now();
    const startTime = await visit.page.evaluate(() => performance.now());
    await visit.choose([path]);
    await visit.part("row").first().waitFor();
    const first = Date.now() - begun;
    // Sorting and filtering work while answers come in.
    await visit.page.getByRole("button", { name: "Spectrum", exact: true }).click();
    await visit.part("filter-text").fill("42");
    await visit.part("filter-count").waitFor();
    await visit.part("filter-reset").click();
    const patience = { timeout: 600_000 };
    await visit.page.waitForFunction(() => !document.querySelector('[data-testid="progress"]'), null, patience);
    await visit.page.getByText(`${COUNT} spectra`, { exact: true }).waitFor();
    const all = Date.now() - begun;
    const inDocument = await visit.part("row").count();
    assert.ok(inDocument < 400, `${inDocument} of ${COUNT} rows are in the document`);
    const { longest, heap } = await visit.page.evaluate(() => ({
      longest: { duration: self.longest.duration, startTime: self.longest.startTime }, heap: performance.memory.usedJSHeapSize,
    }));
    const memory = await visit.page.workers()[0].evaluate(() => self.engine.memory.buffer.byteLength);
    const mb = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;
    console.log(`${COUNT} spectra in ${what} (${mb(statSync(path).size)}): first row after ${first} ms, all answered after `
      + `${(all / 1000).toFixed(1)} s; longest main-thread task ${longest.duration.toFixed(0)} ms`
      + ` (${((longest.startTime - startTime) / 1000).toFixed(1)} s after the drop); page ${mb(heap)}, engine ${mb(memory)}`);
  }, { patience: 3 });
}

scenario("the table is sorted, filtered and ticked, and exports what is left", async (visit) => {
  await visit.ready();
  await visit.choose(samples());
  await visit.answers(3);
  await visit.idle();
  const teffs = async () => (await visit.rows()).map((row) => row.values.teff.value);
  const sortTeff = visit.page.getByRole("columnheader").filter({ hasText: "Teff" }).getByRole("button");

  const found = await teffs();
  await sortTeff.click();
  assert.deepEqual(await teffs(), [...found].sort((a, b) => b - a));
  await sortTeff.click();
  assert.deepEqual(await teffs(), [...found].sort((a, b) => a - b));
  await sortTeff.click();
  assert.deepEqual(await teffs(), found);

  const limit = found.toSorted((a, b) => a - b)[1];
  await visit.part("filter-text").fill(`teff>=${limit}`);
  await visit.page.getByText("2 of 3 spectra").waitFor();
  assert.deepEqual((await teffs()).toSorted(), found.filter((teff) => teff >= limit).toSorted());
  await visit.part("filter-text").fill("no such star");
  await visit.page.getByText("0 of 3 spectra").waitFor();
  await visit.part("filter-reset").click();

  await visit.part("tick").nth(1).click();
  const [download] = await Promise.all([visit.page.waitForEvent("download"), visit.part("save-csv").click()]);
  const lines = readFileSync(await download.path(), "utf8").trim().split("\n");
  assert.equal(lines.length, 2, "the head and the one that is ticked");
  assert.ok(lines[1].includes((await visit.rows())[1].id));
});
