// Five first visits to the page, each from opening it to the result. Times are printed, not asserted. The sixth visit,
// without a connection, is in offline.test.js.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertAccessible } from "../accessible.js";
import { N_TRAINING, samples, temporaryDirectory } from "../data.js";
import { bundle } from "../made.js";
import { assertPredicted, open } from "../page.js";
import { scenario } from "../scenario.js";

/** Returns a function that prints the time since the page was opened. */
async function clock(visit) {
  const landed = await visit.page.evaluate(() => performance.timeOrigin);
  return (who, what) => console.log(`${who}: ${what} ${((Date.now() - landed) / 1000).toFixed(1)} s after landing`);
}

/** Runs `act` and returns the text of the downloaded file. */
async function downloaded(visit, act) {
  const coming = visit.page.waitForEvent("download");
  await act();
  return readFileSync(await (await coming).path(), "utf8");
}

scenario("a LAMOST file and one minute", async (visit) => {
  const printTime = await clock(visit);
  // At once: the engine need not be ready.
  await visit.drop([samples()[0]]);
  const [row] = await visit.predictions(1);
  assertPredicted(row);
  await visit.part("parameter-teff").waitFor();
  printTime("a LAMOST file", "its parameters on the page");
});

const MANY = 2000;
scenario("2,000 spectra and a label table", async (visit) => {
  const dir = temporaryDirectory();
  const [spectra, labels] = [join(dir, "night.npz"), join(dir, "labels.csv")];
  bundle(spectra, MANY);
  writeFileSync(labels, `id,feh\n${Array.from({ length: MANY }, (_, i) => `star-${i},${(-2 + (i % 40) / 20).toFixed(2)}`).join("\n")}\n`);
  const printTime = await clock(visit);
  await visit.drop([spectra, labels]);
  await visit.part("row").first().waitFor();
  printTime("2,000 spectra", "first row");
  await visit.page.waitForFunction(() => !document.querySelector('[data-testid="progress"]'), null, { timeout: 300_000 });
  await visit.page.getByText(`${MANY} spectra`, { exact: true }).waitFor();
  printTime("2,000 spectra", "all predicted");
  assert.match(await visit.part("finetune-target").innerText(), /\[Fe\/H\] \(2,?000 labels\)/);
  await visit.finetune(["zero-shot"]);
  printTime("2,000 spectra", "the accuracy of the model for their labels");
  const table = await downloaded(visit, () => visit.part("save-csv").click());
  assert.equal(table.trim().split("\n").length, MANY + 1);
  printTime("2,000 spectra", "the table saved");
}, { timeoutFactor: 3 });

scenario("a received link", async (visit) => {
  await visit.ready();
  await visit.choose(samples());
  await visit.predictions(3);
  await visit.idle();
  await visit.part("export").click();
  await visit.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await visit.part("copy-link").click();
  await visit.page.getByText("Link copied").waitFor();
  const address = await visit.page.evaluate(() => navigator.clipboard.readText());
  const other = await open({ query: `#${address.split("#")[1]}` });
  try {
    const printTime = await clock(other);
    const rows = await other.predictions(3);
    assert.deepEqual(rows.map(({ id }) => id).toSorted(), (await visit.rows()).map(({ id }) => id).toSorted());
    printTime("a link", "the results in the link");
    await assertAccessible(other, "results of a link");
    other.assertNoProblems();
  } finally {
    await other.close();
  }
});

scenario("a phone", async (visit) => {
  const printTime = await clock(visit);
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
  const table = await downloaded(visit, () => visit.part("table-csv").tap());
  assert.equal(table.trim().split("\n").length, 4);
  printTime("a phone", "a table of the samples saved");
  await assertAccessible(visit, "the dialogue on a phone");
}, { viewport: { width: 390, height: 844 }, touch: true });

scenario("keyboard only, from a sample to a fine-tuned model and its table", async (visit) => {
  const { page } = visit;
  const printTime = await clock(visit);
  /** Presses Tab until this element has the focus. */
  const reach = async (id, most = 400) => {
    for (let i = 0; i < most; i += 1) {
      if (await page.evaluate((id) => document.activeElement?.dataset.testid === id, id)) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`${id} is not reached by ${most} presses of Tab`);
  };
  const press = async (id, key = "Enter") => {
    await reach(id);
    await page.keyboard.press(key);
  };
  await press("sample-training-set");
  await visit.predictions(N_TRAINING);
  await visit.idle();

  // Table and spectrum.
  await reach("row");
  await page.keyboard.press("ArrowDown");
  const second = await page.evaluate(() => document.activeElement.dataset.id);
  await page.getByRole("heading", { name: second, exact: true }).waitFor();
  await page.keyboard.press("m");
  printTime("keys only", "a star selected");

  // Similar spectra.
  await press("find-similar");
  await visit.part("neighbour").first().waitFor();
  printTime("keys only", "similar spectra found");

  // Fine-tune.
  for (const name of ["zero-shot", "residual", "lora", "full", "scratch"]) {
    await reach(`strategy-${name}`);
    const is = await page.evaluate(() => document.activeElement.checked);
    if (is !== ["zero-shot", "residual"].includes(name)) await page.keyboard.press("Space");
  }
  await press("finetune-compare");
  await visit.part("finetune-scores").waitFor();
  await page.waitForFunction(() => document.querySelector('[data-testid="finetune-progress"]').dataset.phase === "idle");
  await press("finetune-apply");
  await visit.part("adapter").waitFor();
  printTime("keys only", "a model fine-tuned and active");

  // Export.
  await press("export");
  await reach("table-csv");
  const table = await downloaded(visit, () => page.keyboard.press("Enter"));
  assert.equal(table.trim().split("\n").length, N_TRAINING + 1);
  printTime("keys only", "the table saved");
}, { timeoutFactor: 3 });
