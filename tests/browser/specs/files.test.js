// Files of every format: the page gives the values of the command line, and a reason for each skipped file.
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe } from "node:test";
import { CASES_DIR, REAL_DIR, awkwardCases, fixtures, cliPredictions, realFiles, samples, temporaryDirectory } from "../data.js";
import { LABELS, assertPredicted } from "../page.js";
import { scenario } from "../scenario.js";

/** The smallest PNG, one transparent pixel. */
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==",
  "base64",
);

/** Drops one file on a fresh page. Returns its rows when all jobs have ended, and the time in ms. */
async function dropOne(visit, path) {
  await visit.ready();
  const start = Date.now();
  await visit.drop([path]);
  await visit.part("row").or(visit.part("skipped")).or(visit.part("label-tables")).first().waitFor();
  await visit.idle();
  return { rows: await visit.rows(), ms: Date.now() - start };
}

/** Fails unless the page and the command line agree to a thousandth of each label's error. */
function assertEqualToCli(rows, records) {
  const predicted = rows.filter((row) => row.values.teff);
  assert.equal(predicted.length, records.filter((record) => record.teff).length, "as many predictions as the command line");
  // Visits of one star share their id; both lists have them in the order of the file.
  const left = records.filter((record) => record.teff);
  for (const row of predicted) {
    const index = left.findIndex(({ id }) => id === row.id);
    assert.ok(index >= 0, `the command line predicts ${row.id} too`);
    const [record] = left.splice(index, 1);
    for (const label of LABELS) {
      // Neither predicts a velocity for Gaia XP spectra.
      if (!row.values[label]) {
        assert.equal(record[label], "", `${row.id}: ${label} on the command line and not on the page`);
        continue;
      }
      const { value, error } = row.values[label];
      const difference = Math.abs(value - Number(record[label]));
      assert.ok(difference <= 1e-3 * error, `${row.id}: ${label} is ${value} on the page and ${record[label]} on the command line`);
      assert.ok(Math.abs(error - Number(record[`e_${label}`])) <= 1e-3 * error, `${row.id}: error of ${label}`);
    }
    assert.equal(record.flags !== "", row.flags !== "", `${row.id}: flagged on the page and on the command line, or on neither`);
  }
}

describe("synthetic files", () => {
  for (const path of [...fixtures(), ...samples()]) {
    scenario(`${basename(path)} gives the values of the command line`, async (visit) => {
      const { rows } = await dropOne(visit, path);
      assertEqualToCli(rows, cliPredictions([path]));
      const nPredicted = rows.filter((row) => row.values.teff).length;
      if (rows.length > 0) assert.match(await visit.part("outcome").innerText(), new RegExp(`^${nPredicted} with parameters`));
    });
  }

  scenario("a picture named .fits is skipped with a reason, and the spectrum next to it gets parameters", async (visit) => {
    const dir = temporaryDirectory();
    writeFileSync(join(dir, "picture.fits"), PNG);
    writeFileSync(join(dir, "empty.fits"), "");
    const [good] = samples();
    await visit.ready();
    await visit.choose([join(dir, "picture.fits"), join(dir, "empty.fits"), good]);
    await visit.predictions(1);
    await visit.idle();
    const skipped = await visit.part("skipped").allInnerTexts();
    const isListed = (name) => skipped.flatMap((text) => text.split("\n")).join(" ").includes(name);
    assert.ok(isListed("picture.fits") && isListed("empty.fits"), skipped.join("\n"));
    assert.ok(skipped.join(" ").length > "picture.fits empty.fits".length + 20, "with a reason");
  });

  scenario("a dropped folder is read with its subfolders", async (visit) => {
    const dir = join(temporaryDirectory(), "night");
    mkdirSync(join(dir, "inner"), { recursive: true });
    const [good] = samples();
    copyFileSync(good, join(dir, basename(good)));
    copyFileSync(good, join(dir, "inner", `second-${basename(good)}`));
    await visit.ready();
    await visit.drop([dir]);
    await visit.predictions(2);
  });
});

describe("awkward files", { skip: CASES_DIR ? false : "there is no folder of awkward inputs" }, () => {
  for (const { name, paths, refused } of CASES_DIR ? awkwardCases() : []) {
    scenario(`${name}: the page says what the command line says`, async (visit) => {
      await visit.ready();
      await visit.drop(paths);
      await visit.part("row").or(visit.part("skipped")).or(visit.part("label-tables")).first().waitFor();
      await visit.idle();
      const records = cliPredictions(paths);
      const predicted = records.filter((record) => record.teff).length;
      if (records.length > 0) assert.match(await visit.part("outcome").innerText(), new RegExp(`^${predicted} with parameters`));
      // The table of a long list has only the rows in sight.
      const rows = await visit.rows();
      const inSight = records.filter(({ id }) => rows.some((row) => row.id === id));
      assertEqualToCli(rows, inSight);
      const skipped = (await visit.part("skipped").allInnerTexts()).join("\n");
      for (const file of refused) assert.ok(skipped.includes(basename(file)), `${file} is named: ${skipped}`);
    });
  }
});

describe("real files", { skip: REAL_DIR ? false : "SPECOLA_REAL is not set" }, () => {
  const isQuasar = (path) => basename(path).includes("6055-56102-0008");
  for (const path of REAL_DIR ? [...realFiles("lamost"), ...realFiles("sdss")] : []) {
    const name = basename(path);
    if (name.startsWith("MRS")) continue;
    scenario(`${name} gives the values of the command line`, async (visit) => {
      const { rows, ms } = await dropOne(visit, path);
      console.log(`${name}: predicted ${ms} ms after the drop${ms > 3000 ? ", OVER the goal of 3 s" : ""}`);
      assert.equal(rows.length, 1);
      assertEqualToCli(rows, cliPredictions([path]));
      if (isQuasar(path)) {
        assert.match(rows[0].text, /QSO|not a star|not_star/i, "a quasar is flagged");
      } else {
        assertPredicted(rows[0]);
      }
    });
  }

  scenario("a LAMOST medium-resolution spectrum is skipped with a reason", async (visit) => {
    const path = realFiles("lamost").find((file) => basename(file).startsWith("MRS"));
    const { rows } = await dropOne(visit, path);
    assert.deepEqual(rows.filter((row) => row.values.teff), [], "no parameters");
    const text = [...rows.map((row) => row.text), ...(await visit.part("skipped").allInnerTexts())].join("\n");
    assert.match(text, /medium.resolution/i);
  });

  scenario("all files dropped together get parameters", async (visit) => {
    await visit.ready();
    const start = Date.now();
    const paths = [...realFiles("lamost"), ...realFiles("sdss")];
    await visit.drop(paths);
    await visit.predictions(6);
    await visit.idle();
    console.log(`${paths.length} files together: predicted ${Date.now() - start} ms after the drop`);
  });
});
