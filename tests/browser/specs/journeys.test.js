// Five users on their first visit, from opening the page to the result. Times are printed, not asserted. The sixth
// user, without a connection, is in offline.test.js.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertAccessible } from "../accessible.js";
import { N_TRAINING, samples, temporaryDirectory } from "../data.js";
import { writeBundle } from "../made.js";
import { assertPredicted, openPage } from "../page.js";
import { scenario } from "../scenario.js";

/** Returns a function that prints the time since the page was opened. */
async function startClock(visit) {
  const start = await visit.page.evaluate(() => performance.timeOrigin);
  return (user, event) => console.log(`${user}: ${event} ${((Date.now() - start) / 1000).toFixed(1)} s after opening the page`);
}

/** Runs `startDownload` and returns the text of the downloaded file. */
async function downloadText(visit, startDownload) {
  const download = visit.page.waitForEvent("download");
  await startDownload();
  return readFileSync(await (await download).path(), "utf8");
}

scenario("first visit: the parameters of one LAMOST file", async (visit) => {
  const printTime = await startClock(visit);
  // Drops the file at once: the engine need not be ready.
  await visit.drop([samples()[0]]);
  const [row] = await visit.predictions(1);
  assertPredicted(row);
  await visit.part("parameter-teff").waitFor();
  printTime("a LAMOST file", "its parameters on the page");
});

const MANY = 2000;
scenario("first visit: 2000 spectra and a label table, to the accuracy of the model and the saved table", async (visit) => {
  const dir = temporaryDirectory();
  const [spectra, labels] = [join(dir, "night.npz"), join(dir, "labels.csv")];
  writeBundle(spectra, MANY);
  writeFileSync(labels, `id,feh\n${Array.from({ length: MANY }, (_, i) => `star-${i},${(-2 + (i % 40) / 20).toFixed(2)}`).join("\n")}\n`);
  const printTime = await startClock(visit);
  await visit.drop([spectra, labels]);
  await visit.part("row").first().waitFor();
  printTime("2000 spectra", "first row");
  await visit.page.waitForFunction(() => !document.querySelector('[data-testid="progress"]'), null, { timeout: 300_000 });
  await visit.page.getByText(`${MANY} spectra`, { exact: true }).waitFor();
  printTime("2000 spectra", "all predicted");
  assert.match(await visit.part("finetune-target").innerText(), /\[Fe\/H\] \(2,?000 labels\)/);
  await visit.compareStrategies(["zero-shot"]);
  printTime("2000 spectra", "the accuracy of the model for their labels");
  const table = await downloadText(visit, () => visit.part("save-csv").click());
  assert.equal(table.trim().split("\n").length, MANY + 1);
  printTime("2000 spectra", "the table saved");
}, { timeoutFactor: 3 });

scenario("first visit by a link: the results of another user", async (visit) => {
  await visit.ready();
  await visit.choose(samples());
  await visit.predictions(3);
  await visit.idle();
  await visit.part("export").click();
  await visit.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await visit.part("copy-link").click();
  await visit.page.getByText("Link copied").waitFor();
  const address = await visit.page.evaluate(() => navigator.clipboard.readText());
  const other = await openPage({ query: `#${address.split("#")[1]}` });
  try {
    const printTime = await startClock(other);
    const rows = await other.predictions(3);
    assert.deepEqual(rows.map(({ id }) => id).toSorted(), (await visit.rows()).map(({ id }) => id).toSorted());
    printTime("a link", "the results in the link");
    await assertAccessible(other, "results of a link");
    other.assertNoProblems();
  } finally {
    await other.close();
  }
});

scenario("first visit on a phone: samples predicted, plotted and saved as a table", async (visit) => {
  const printTime = await startClock(visit);
  await visit.part("sample-lamost").tap();
  await visit.predictions(3);
  await visit.idle();
  await visit.part("row").nth(1).tap();
  await visit.part("plot-raw").waitFor();
  await visit.part("plot-raw").scrollIntoViewIfNeeded();
  const { page, window } = await visit.page.evaluate(() => ({
    page: document.documentElement.scrollWidth, window: document.documentElement.clientWidth,
  }));
  assert.ok(page <= window, `${page} px of page in ${window} px of window`);
  await visit.part("export").tap();
  const table = await downloadText(visit, () => visit.part("table-csv").tap());
  assert.equal(table.trim().split("\n").length, 4);
  printTime("a phone", "a table of the samples saved");
  await assertAccessible(visit, "the export dialogue on a phone");
}, { viewport: { width: 390, height: 844 }, touch: true });

scenario("first visit by keyboard only: from the sample training set to a fine-tuned model and its table", async (visit) => {
  const { page } = visit;
  const printTime = await startClock(visit);
  /** Presses Tab until the element with this test id has the focus. */
  const tabTo = async (id, maxPresses = 400) => {
    for (let i = 0; i < maxPresses; i += 1) {
      if (await page.evaluate((testId) => document.activeElement?.dataset.testid === testId, id)) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`${id} is not reached by ${maxPresses} presses of Tab`);
  };
  const press = async (id, key = "Enter") => {
    await tabTo(id);
    await page.keyboard.press(key);
  };
  await press("sample-training-set");
  await visit.predictions(N_TRAINING);
  await visit.idle();

  // Table and spectrum.
  await tabTo("row");
  await page.keyboard.press("ArrowDown");
  const secondId = await page.evaluate(() => document.activeElement.dataset.id);
  await page.getByRole("heading", { name: secondId, exact: true }).waitFor();
  await page.keyboard.press("m");
  printTime("keyboard", "a star selected");

  // Similar spectra.
  await press("find-similar");
  await visit.part("neighbour").first().waitFor();
  printTime("keyboard", "similar spectra found");

  // Fine-tune.
  for (const name of ["zero-shot", "linear", "gp", "residual", "lora", "full", "scratch"]) {
    await tabTo(`strategy-${name}`);
    const isChecked = await page.evaluate(() => document.activeElement.checked);
    if (isChecked !== ["zero-shot", "gp"].includes(name)) await page.keyboard.press("Space");
  }
  await press("finetune-compare");
  await visit.part("finetune-scores").waitFor();
  await page.waitForFunction(() => document.querySelector('[data-testid="finetune-progress"]').dataset.phase === "idle");
  await press("finetune-apply");
  await visit.part("adapter").waitFor();
  printTime("keyboard", "a model fine-tuned and active");

  // Export.
  await press("export");
  await tabTo("table-csv");
  const table = await downloadText(visit, () => page.keyboard.press("Enter"));
  assert.equal(table.trim().split("\n").length, N_TRAINING + 1);
  printTime("keyboard", "the table saved");
}, { timeoutFactor: 3 });
