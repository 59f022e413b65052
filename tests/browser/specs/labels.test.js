// A table of labels beside the spectra: each value under the parameter it belongs to, and what fits nothing is listed.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe } from "node:test";
import { predictions, samples, scratch } from "../data.js";
import { scenario } from "../scenario.js";

describe("a table of labels", () => {
  scenario("gives each spectrum its row, and lists the rest", async (visit) => {
    const [first, second] = samples();
    const [{ id, teff, e_teff }] = predictions([first]);
    const table = join(scratch(), "labels.csv");
    writeFileSync(table, `id,TEFF,teff_err,[Fe/H]\n${id},5000,100,\n${basename(second)},6000,,-0.5\nnobody,1,,\n`);
    await visit.ready();
    await visit.drop([first, table, second]);
    await visit.answers(2);
    await visit.idle();

    await visit.part("row").filter({ hasText: id }).first().click();
    const beside = await visit.part("catalogue-teff").innerText();
    assert.match(beside, /catalogue 5000 ± 100/);
    const shown = Number(beside.match(/Δ (\S+),/)[1].replace("−", "-"));
    assert.ok(Math.abs(shown - (Number(teff) - 5000)) <= 10, `${beside} for ${teff} ± ${e_teff}`);
    assert.equal(await visit.part("catalogue-feh").count(), 0, "an empty cell says nothing");

    const tables = visit.part("label-tables");
    assert.match(await tables.innerText(), /labels\.csv 3 rows with Teff, \[Fe\/H\]: 2 spectra have a row\./);
    await tables.getByText("1 row names no spectrum here").click();
    assert.match(await tables.innerText(), /nobody/);

    await visit.part("clear").click();
    assert.equal(await tables.count(), 0, "cleared with the spectra");
  });

  scenario("alone says what to do with it", async (visit) => {
    const table = join(scratch(), "labels.csv");
    writeFileSync(table, "source_id,teff\n5937083312263887616,5000\n");
    await visit.ready();
    await visit.drop([table]);
    const tables = visit.part("label-tables");
    await tables.waitFor();
    assert.match(await tables.innerText(), /0 spectra have a row.*drop the spectra/s);
    await tables.getByText("1 row names no spectrum here").click();
    assert.match(await tables.innerText(), /5937083312263887616/);
  });
});
