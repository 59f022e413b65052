// A label table dropped with the spectra: its values appear next to the predictions, and the page lists rows without
// spectrum.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe } from "node:test";
import { cliPredictions, samples, temporaryDirectory } from "../data.js";
import { scenario } from "../scenario.js";

describe("a label table", () => {
  scenario("rows are matched to spectra, and rows without spectrum are listed", async (visit) => {
    const [first, second] = samples();
    const [{ id, teff, e_teff }] = cliPredictions([first]);
    const table = join(temporaryDirectory(), "labels.csv");
    writeFileSync(table, `id,TEFF,teff_err,[Fe/H]\n${id},5000,100,\n${basename(second)},6000,,-0.5\nnobody,1,,\n`);
    await visit.ready();
    await visit.drop([first, table, second]);
    await visit.predictions(2);
    await visit.idle();

    await visit.part("row").filter({ hasText: id }).first().click();
    const comparison = await visit.part("catalogue-teff").innerText();
    assert.match(comparison, /your table 5000 ± 100/);
    const shownDifference = Number(comparison.match(/Δ (\S+),/)[1].replace("−", "-"));
    assert.ok(Math.abs(shownDifference - (Number(teff) - 5000)) <= 10, `${comparison} for ${teff} ± ${e_teff}`);
    assert.equal(await visit.part("catalogue-feh").count(), 0, "an empty cell gives no value");

    const tables = visit.part("label-tables");
    assert.match(await tables.innerText(), /labels\.csv 3 rows with Teff, \[Fe\/H\]: 2 spectra matched\./);
    await tables.getByText("1 row matches no spectrum").click();
    assert.match(await tables.innerText(), /nobody/);

    await visit.part("clear").click();
    assert.equal(await tables.count(), 0, "the table is cleared with the spectra");
  });

  scenario("the page asks for spectra when only a label table is open", async (visit) => {
    const table = join(temporaryDirectory(), "labels.csv");
    writeFileSync(table, "source_id,teff\n5937083312263887616,5000\n");
    await visit.ready();
    await visit.drop([table]);
    const tables = visit.part("label-tables");
    await tables.waitFor();
    assert.match(await tables.innerText(), /0 spectra matched.*Drop the spectra/s);
    await tables.getByText("1 row matches no spectrum").click();
    assert.match(await tables.innerText(), /5937083312263887616/);
  });
});
