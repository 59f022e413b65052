// A text whose columns cannot be told: the page shows its first lines, and the user says what is what.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "node:test";
import { scratch } from "../data.js";
import { LABELS } from "../page.js";
import { scenario } from "../scenario.js";

/** Writes a made star twice: as a plain CSV file, and with its columns turned round under names that say nothing. */
function stars() {
  const dir = scratch();
  const lines = [4102.9, 4227.9, 4341.7, 4384.8, 4862.7, 5176, 5270];
  const rows = Array.from({ length: 1500 }, (_, i) => {
    const wave = 3900 + 1.2 * i;
    const depth = lines.reduce((sum, centre) => sum + 0.5 * Math.exp(-(((wave - centre) / 4) ** 2)), 0);
    return [wave.toFixed(3), (1000 * (1.2 - wave / 20000) * (1 - Math.min(depth, 0.9) + 0.01 * Math.sin(1.7 * i))).toFixed(4)];
  });
  const plain = join(dir, "plain.csv");
  writeFileSync(plain, `wavelength_vac_aa,flux\n${rows.map((row) => row.join(",")).join("\n")}\n`);
  const odd = join(dir, "odd.csv");
  writeFileSync(odd, `star,p,q\n${rows.map(([wave, flux]) => `HD 1,${flux},${(wave / 10).toFixed(4)}`).join("\n")}\n`);
  return { plain, odd };
}

describe("the columns of a text", () => {
  scenario("can be pointed out when the file cannot be read without, and are remembered", async (visit) => {
    const { plain, odd } = stars();
    await visit.ready();
    await visit.drop([plain, odd]);
    await visit.answers(1);
    await visit.idle();
    const skipped = visit.part("skipped");
    assert.match(await skipped.innerText(), /odd\.csv/);
    await skipped.getByTestId("choose-columns").click();
    const dialog = visit.part("columns-dialog");
    await dialog.getByText("HD 1").first().waitFor();
    const menu = (i) => dialog.getByTestId(`column-${i}`);
    await menu(2).selectOption("wavelength");
    await menu(1).selectOption("flux");
    await dialog.getByTestId("column-unit").selectOption("nm");
    await dialog.getByTestId("read-columns").click();
    await visit.answers(2);
    await visit.idle();
    const rows = await visit.rows();
    const [a, b] = ["plain", "odd"].map((id) => rows.find((row) => row.id === id));
    for (const label of LABELS) {
      const { value, error } = a.values[label];
      assert.ok(Math.abs(b.values[label].value - value) <= 0.02 * error, `${label}: ${b.values[label].value} and ${value}`);
    }
    assert.equal(await skipped.count(), 0, "it is not listed as unused any more");

    // The same menu corrects a spectrum that was read.
    await visit.part("row").filter({ hasText: "odd" }).first().click();
    await visit.part("detail").getByTestId("choose-columns").click();
    await dialog.getByTestId("column-unit").waitFor();
    assert.equal(await menu(2).inputValue(), "wavelength", "what was said is shown");
    await dialog.getByTestId("column-unit").selectOption("Å");
    await dialog.getByTestId("read-columns").click();
    await visit.part("detail").getByText("No parameters.").waitFor();
  });

  scenario("are asked about by keyboard alone", async (visit) => {
    const { odd } = stars();
    assert.ok(readFileSync(odd).length > 0);
    await visit.ready();
    await visit.drop([odd]);
    await visit.part("skipped").waitFor();
    await visit.part("choose-columns").focus();
    await visit.page.keyboard.press("Enter");
    const dialog = visit.part("columns-dialog");
    await dialog.getByText("HD 1").first().waitFor();
    await visit.page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
  });
});
