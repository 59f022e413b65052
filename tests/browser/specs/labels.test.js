// A label table dropped with the spectra: values appear next to the predictions, and rows without spectrum are listed.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe } from "node:test";
import { cliPredictions, samples, temporaryDirectory } from "../data.js";
import { scenario } from "../scenario.js";

describe("a label table", () => {
  scenario("matches rows to spectra, and lists unmatched rows", async (visit) => {
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
    assert.match(comparison, /catalogue 5000 ± 100/);
    const shown = Number(comparison.match(/Δ (\S+),/)[1].replace("−", "-"));
    assert.ok(Math.abs(shown - (Number(teff) - 5000)) <= 10, `${comparison} for ${teff} ± ${e_teff}`);
    assert.equal(await visit.part("catalogue-feh").count(), 0, "an empty cell gives no value");

    const tables = visit.part("label-tables");
    assert.match(await tables.innerText(), /labels\.csv 3 rows with Teff, \[Fe\/H\]: 2 spectra with a row\./);
    await tables.getByText("1 row matches no spectrum").click();
    assert.match(await tables.innerText(), /nobody/);

    await visit.part("clear").click();
    assert.equal(await tables.count(), 0, "cleared with the spectra");
  });

  scenario("without spectra asks for spectra", async (visit) => {
    const table = join(temporaryDirectory(), "labels.csv");
    writeFileSync(table, "source_id,teff\n5937083312263887616,5000\n");
    await visit.ready();
    await visit.drop([table]);
    const tables = visit.part("label-tables");
    await tables.waitFor();
    assert.match(await tables.innerText(), /0 spectra with a row.*Drop the spectra/s);
    await tables.getByText("1 row matches no spectrum").click();
    assert.match(await tables.innerText(), /5937083312263887616/);
  });
});
