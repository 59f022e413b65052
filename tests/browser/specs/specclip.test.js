// SpecCLIP models in the tab: the complete published folder predicts in addition to the shipped model, and a single
// checkpoint is recognised.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe } from "node:test";
import { fileURLToPath } from "node:url";
import { unzipSync } from "fflate";
import { runCli, samples, temporaryDirectory } from "../data.js";
import { scenario } from "../scenario.js";

const TESTS = fileURLToPath(new URL("../..", import.meta.url));

/** Unpacks the published folder, here with random weights; returns its path. */
function unpackPublishedFolder() {
  const folder = join(temporaryDirectory(), "SpecCLIP");
  for (const [name, bytes] of Object.entries(unzipSync(readFileSync(join(TESTS, "published/folder.zip"))))) {
    if (name.endsWith("/")) continue;
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
  return folder;
}

describe("SpecCLIP models", () => {
  scenario("the dropped folder predicts in addition to the shipped model, as on the command line", async (visit) => {
    const folder = unpackPublishedFolder();
    const [star] = samples();
    const cliTable = runCli(["predict", star, "--model", folder]);
    await visit.ready();
    await visit.drop([star]);
    await visit.predictions(1);
    await visit.idle();
    await visit.drop([folder]);
    const panel = visit.part("specclip");
    await panel.getByText("1 spectrum predicted").waitFor();
    const values = await visit.part("specclip-values").innerText();
    assert.match(values, /23 values/);

    // The saved file equals the output of the command line.
    const [download] = await Promise.all([
      visit.page.waitForEvent("download"),
      panel.getByTestId("save-specclip").click(),
    ]);
    const saved = readFileSync(await download.path(), "utf8");
    const cells = (text) => text.trim().split("\n").map((line) => line.split(","));
    const [pageRows, cliRows] = [cells(saved), cells(cliTable)];
    assert.deepEqual(pageRows.map((row) => row.slice(0, 2)), cliRows.map((row) => row.slice(0, 2)));
    for (const [i, row] of pageRows.entries()) {
      if (i === 0) continue;
      const scale = Math.max(1, Math.abs(Number(cliRows[i][2])));
      assert.ok(Math.abs(Number(row[2]) - Number(cliRows[i][2])) <= 0.011 * scale, `${row} and ${cliRows[i]}`);
    }

    await panel.getByTestId("remove-specclip").click();
    assert.equal(await panel.count() + (await visit.part("specclip-values").count()), 0, "the models and their values are removed");
    assert.equal((await visit.rows()).length, 1, "the spectrum and its parameters stay");
  });

  scenario("single checkpoints are listed, and damaged files with the reason", async (visit) => {
    const dir = temporaryDirectory();
    const checkpoint = readFileSync(join(TESTS, "golden/lrs_mt_tiny.ckpt"));
    cpSync(join(TESTS, "golden/lrs_mt_tiny.ckpt"), join(dir, "lrs_encoder.ckpt"));
    writeFileSync(join(dir, "cut.ckpt"), checkpoint.subarray(0, checkpoint.length / 2));
    await visit.ready();
    await visit.drop([join(dir, "lrs_encoder.ckpt"), join(dir, "cut.ckpt")]);
    const panel = visit.part("specclip");
    await panel.getByText("LRS masked transformer").waitFor();
    await panel.getByText("cut.ckpt:").waitFor();
    assert.match(await panel.innerText(), /drop the whole published folder/);
  });
});
