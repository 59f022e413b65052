// Five people who see the page for the first time, each from landing to success. Times are told, not judged. The sixth,
// who is offline, is in offline.test.js.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mustBeAccessible } from "../accessible.js";
import { LESSON, samples, scratch } from "../data.js";
import { bundle } from "../made.js";
import { mustBeAnswered, open } from "../page.js";
import { scenario } from "../scenario.js";

/** A clock from the landing on. */
async function clock(visit) {
  const landed = await visit.page.evaluate(() => performance.timeOrigin);
  return (who, what) => console.log(`${who}: ${what} ${((Date.now() - landed) / 1000).toFixed(1)} s after landing`);
}

/** The file that comes when something is done. */
async function downloaded(visit, act) {
  const coming = visit.page.waitForEvent("download");
  await act();
  return readFileSync(await (await coming).path(), "utf8");
}

scenario("a LAMOST file and one minute", async (visit) => {
  const told = await clock(visit);
  // At once: the engine need not be there.
  await visit.drop([samples()[0]]);
  const [row] = await visit.answers(1);
  mustBeAnswered(row);
  await visit.part("parameter-teff").waitFor();
  told("a LAMOST file", "its parameters on the page");
});

const MANY = 2000;
scenario("2,000 spectra and a label table", async (visit) => {
  const dir = scratch();
  const [spectra, labels] = [join(dir, "night.npz"), join(dir, "labels.csv")];
  bundle(spectra, MANY);
  writeFileSync(labels, `id,feh\n${Array.from({ length: MANY }, (_, i) => `star-${i},${(-2 + (i % 40) / 20).toFixed(2)}`).join("\n")}\n`);
  const told = await clock(visit);
  await visit.drop([spectra, labels]);
  await visit.part("row").first().waitFor();
  told("2,000 spectra", "first row");
  await visit.page.waitForFunction(() => !document.querySelector('[data-testid="progress"]'), null, { timeout: 300_000 });
  await visit.page.getByText(`${MANY} spectra`, { exact: true }).waitFor();
  told("2,000 spectra", "all answered");
  assert.match(await visit.part("teach-target").innerText(), /\[Fe\/H\] \(2,?000 labels\)/);
  await visit.learn(["zero-shot"]);
  told("2,000 spectra", "what the model is worth for them, by their own labels,");
  const table = await downloaded(visit, () => visit.part("save-csv").click());
  assert.equal(table.trim().split("\n").length, MANY + 1);
  told("2,000 spectra", "the table saved");
}, { patience: 3 });

scenario("only a received link", async (visit) => {
  await visit.ready();
  await visit.choose(samples());
  await visit.answers(3);
  await visit.idle();
  await visit.part("take-away").click();
  await visit.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await visit.part("copy-link").click();
  await visit.page.getByText("Link copied").waitFor();
  const address = await visit.page.evaluate(() => navigator.clipboard.readText());
  const other = await open({ query: `#${address.split("#")[1]}` });
  try {
    const told = await clock(other);
    const rows = await other.answers(3);
    assert.deepEqual(rows.map(({ id }) => id).toSorted(), (await visit.rows()).map(({ id }) => id).toSorted());
    told("a link", "the results of somebody else");
    await mustBeAccessible(other, "results of a link");
    other.mustBeQuiet();
  } finally {
    await other.close();
  }
});

scenario("a phone", async (visit) => {
  const told = await clock(visit);
  await visit.part("sample-lamost").tap();
  await visit.answers(3);
  await visit.idle();
  await visit.part("row").nth(1).tap();
  await visit.part("plot-raw").waitFor();
  await visit.part("plot-raw").scrollIntoViewIfNeeded();
  const { page, window } = await visit.page.evaluate(() => ({
    page: document.documentElement.scrollWidth, window: document.documentElement.clientWidth,
  }));
  assert.ok(page <= window, `${page} px of page in ${window} px of window`);
  await visit.part("take-away").tap();
  const table = await downloaded(visit, () => visit.part("table-csv").tap());
  assert.equal(table.trim().split("\n").length, 4);
  told("a phone", "a table of the samples saved");
  await mustBeAccessible(visit, "the dialogue on a phone");
}, { viewport: { width: 390, height: 844 }, touch: true });

scenario("keys only, from a sample to a taught model and its table", async (visit) => {
  const { page } = visit;
  const told = await clock(visit);
  /** Goes forward, key by key, until this part has the keyboard. */
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
  await press("sample-lesson");
  await visit.answers(LESSON);
  await visit.idle();

  // Table and spectrum.
  await reach("row");
  await page.keyboard.press("ArrowDown");
  const second = await page.evaluate(() => document.activeElement.dataset.id);
  await page.getByRole("heading", { name: second, exact: true }).waitFor();
  await page.keyboard.press("m");
  told("keys only", "a star looked at");

  // Compare.
  await press("find-likes");
  await visit.part("neighbour").first().waitFor();
  told("keys only", "stars like it found");

  // Teach.
  for (const name of ["zero-shot", "residual", "lora", "full", "scratch"]) {
    await reach(`strategy-${name}`);
    const is = await page.evaluate(() => document.activeElement.checked);
    if (is !== ["zero-shot", "residual"].includes(name)) await page.keyboard.press("Space");
  }
  await press("teach-compare");
  await visit.part("teach-scores").waitFor();
  await page.waitForFunction(() => document.querySelector('[data-testid="teach-progress"]').dataset.phase === "idle");
  await press("teach-adopt");
  await visit.part("adapter").waitFor();
  told("keys only", "a model taught and in use");

  // Take away.
  await press("take-away");
  await reach("table-csv");
  const table = await downloaded(visit, () => page.keyboard.press("Enter"));
  assert.equal(table.trim().split("\n").length, LESSON + 1);
  told("keys only", "the table saved");
}, { patience: 3 });
