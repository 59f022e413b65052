// Files of every kind: a row with parameters each, the numbers of the command line, and words for what cannot be used.
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe } from "node:test";
import { REAL, fixtures, predictions, realFiles, samples, scratch } from "../data.js";
import { LABELS, mustBeAnswered } from "../page.js";
import { scenario } from "../scenario.js";

/** The smallest PNG, one transparent pixel. */
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==",
  "base64",
);

/** Drops one file on a fresh page and returns its rows when nothing runs any more, with the time it took. */
async function dropOne(visit, path) {
  await visit.ready();
  const start = Date.now();
  await visit.drop([path]);
  await visit.part("row").or(visit.part("skipped")).or(visit.part("label-tables")).first().waitFor();
  await visit.idle();
  return { rows: await visit.rows(), ms: Date.now() - start };
}

/** Fails unless the page and the command line agree to a thousandth of each label's error. */
function mustAgree(rows, records) {
  const answered = rows.filter((row) => row.values.teff);
  assert.equal(answered.length, records.filter((record) => record.teff).length, "as many answers as the command line");
  for (const row of answered) {
    const record = records.find((record) => record.id === row.id);
    assert.ok(record, `the command line answers ${row.id} too`);
    for (const label of LABELS) {
      // Gaia XP spectra tell no velocity, on either side.
      if (!row.values[label]) {
        assert.equal(record[label], "", `${row.id}: ${label} there and not here`);
        continue;
      }
      const { value, error } = row.values[label];
      const difference = Math.abs(value - Number(record[label]));
      assert.ok(difference <= 1e-3 * error, `${row.id}: ${label} is ${value} here and ${record[label]} there`);
      assert.ok(Math.abs(error - Number(record[`e_${label}`])) <= 1e-3 * error, `${row.id}: error of ${label}`);
    }
    assert.equal(record.flags !== "", row.flags !== "", `${row.id}: flagged in both or in neither`);
  }
}

describe("made files", () => {
  for (const path of [...fixtures(), ...samples()]) {
    scenario(`${basename(path)} gives what the command line gives`, async (visit) => {
      const { rows } = await dropOne(visit, path);
      mustAgree(rows, predictions([path]));
      const answered = rows.filter((row) => row.values.teff).length;
      if (rows.length > 0) assert.match(await visit.part("outcome").innerText(), new RegExp(`^${answered} with parameters`));
    });
  }

  scenario("a picture called .fits is skipped with the reason, and the others are answered", async (visit) => {
    const dir = scratch();
    writeFileSync(join(dir, "picture.fits"), PNG);
    writeFileSync(join(dir, "empty.fits"), "");
    const [good] = samples();
    await visit.ready();
    await visit.choose([join(dir, "picture.fits"), join(dir, "empty.fits"), good]);
    await visit.answers(1);
    await visit.idle();
    const skipped = await visit.part("skipped").allInnerTexts();
    const about = (name) => skipped.flatMap((text) => text.split("\n")).join(" ").includes(name);
    assert.ok(about("picture.fits") && about("empty.fits"), skipped.join("\n"));
    assert.ok(skipped.join(" ").length > "picture.fits empty.fits".length + 20, "with a reason");
  });

  scenario("a dropped folder is read with its folders", async (visit) => {
    const dir = join(scratch(), "night");
    mkdirSync(join(dir, "inner"), { recursive: true });
    const [good] = samples();
    copyFileSync(good, join(dir, basename(good)));
    copyFileSync(good, join(dir, "inner", `second-${basename(good)}`));
    await visit.ready();
    await visit.drop([dir]);
    await visit.answers(2);
  });
});

describe("real files", { skip: REAL ? false : "no real spectra here" }, () => {
  const expected = (path) => basename(path).includes("6055-56102-0008");
  for (const path of REAL ? [...realFiles("lamost"), ...realFiles("sdss")] : []) {
    const name = basename(path);
    if (name.startsWith("MRS")) continue;
    scenario(`${name} is answered as by the command line`, async (visit) => {
      const { rows, ms } = await dropOne(visit, path);
      console.log(`${name}: answered ${ms} ms after the drop${ms > 3000 ? ", OVER the 3 s that we aim at" : ""}`);
      assert.equal(rows.length, 1);
      mustAgree(rows, predictions([path]));
      if (expected(path)) {
        assert.match(rows[0].text, /QSO|not a star|not_star/i, "a quasar is called one");
      } else {
        mustBeAnswered(rows[0]);
      }
    });
  }

  scenario("LAMOST's medium resolution is refused in words", async (visit) => {
    const path = realFiles("lamost").find((path) => basename(path).startsWith("MRS"));
    const { rows } = await dropOne(visit, path);
    assert.deepEqual(rows.filter((row) => row.values.teff), [], "no parameters");
    const said = [...rows.map((row) => row.text), ...(await visit.part("skipped").allInnerTexts())].join("\n");
    assert.match(said, /medium.resolution/i);
  });

  scenario("all of them at once", async (visit) => {
    await visit.ready();
    const start = Date.now();
    const paths = [...realFiles("lamost"), ...realFiles("sdss")];
    await visit.drop(paths);
    await visit.answers(6);
    await visit.idle();
    console.log(`${paths.length} files together: done ${Date.now() - start} ms after the drop`);
  });
});
