// A text file with unknown columns: the page shows its first lines, and the user assigns the columns.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "node:test";
import { temporaryDirectory } from "../data.js";
import { LABELS } from "../page.js";
import { scenario } from "../scenario.js";

/** Writes a synthetic spectrum twice: with named columns, and with swapped columns under meaningless names. */
function writeSpectra() {
  const dir = temporaryDirectory();
  const lines = [4102.9, 4227.9, 4341.7, 4384.8, 4862.7, 5176, 5270];
  const rows = Array.from({ length: 1500 }, (_, i) => {
    const wave = 3900 + 1.2 * i;
    const depth = lines.reduce((sum, centre) => sum + 0.5 * Math.exp(-(((wave - centre) / 4) ** 2)), 0);
    return [wave.toFixed(3), (1000 * (1.2 - wave / 20000) * (1 - Math.min(depth, 0.9) + 0.01 * Math.sin(1.7 * i))).toFixed(4)];
  });
  const named = join(dir, "named.csv");
  writeFileSync(named, `wavelength_vac_aa,flux\n${rows.map((row) => row.join(",")).join("\n")}\n`);
  const unnamed = join(dir, "unnamed.csv");
  writeFileSync(unnamed, `star,p,q\n${rows.map(([wave, flux]) => `HD 1,${flux},${(wave / 10).toFixed(4)}`).join("\n")}\n`);
  return { named, unnamed };
}

describe("columns of a text file", () => {
  scenario("the user assigns columns that the page does not recognise, and the page stores the choice", async (visit) => {
    const { named, unnamed } = writeSpectra();
    await visit.ready();
    await visit.drop([named, unnamed]);
    await visit.predictions(1);
    await visit.idle();
    const skipped = visit.part("skipped");
    assert.match(await skipped.innerText(), /unnamed\.csv/);
    await skipped.getByTestId("choose-columns").click();
    const dialog = visit.part("columns-dialog");
    await dialog.getByText("HD 1").first().waitFor();
    const menu = (i) => dialog.getByTestId(`column-${i}`);
    await menu(2).selectOption("wavelength");
    await menu(1).selectOption("flux");
    await dialog.getByTestId("column-unit").selectOption("nm");
    await dialog.getByTestId("read-columns").click();
    await visit.predictions(2);
    await visit.idle();
    const rows = await visit.rows();
    const [expected, assigned] = ["named", "unnamed"].map((id) => rows.find((row) => row.id === id));
    for (const label of LABELS) {
      const { value, error } = expected.values[label];
      assert.ok(Math.abs(assigned.values[label].value - value) <= 0.02 * error, `${label}: ${assigned.values[label].value} and ${value}`);
    }
    assert.equal(await skipped.count(), 0, "the file is no longer listed as skipped");

    // The same dialogue changes the columns of a spectrum that was read already.
    await visit.part("row").filter({ hasText: "unnamed" }).first().click();
    await visit.part("detail").getByTestId("choose-columns").click();
    await dialog.getByTestId("column-unit").waitFor();
    assert.equal(await menu(2).inputValue(), "wavelength", "the assigned columns are shown");
    await dialog.getByTestId("column-unit").selectOption("Å");
    await dialog.getByTestId("read-columns").click();
    await visit.part("detail").getByText("No parameters.").waitFor();
  });

  scenario("the dialogue opens and closes by keyboard", async (visit) => {
    const { unnamed } = writeSpectra();
    assert.ok(readFileSync(unnamed).length > 0);
    await visit.ready();
    await visit.drop([unnamed]);
    await visit.part("skipped").waitFor();
    await visit.part("choose-columns").focus();
    await visit.page.keyboard.press("Enter");
    const dialog = visit.part("columns-dialog");
    await dialog.getByText("HD 1").first().waitFor();
    await visit.page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
  });
});
