// SpecCLIP models in the tab: the whole folder predicts in addition to the shipped model; a single checkpoint is recognised.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe } from "node:test";
import { fileURLToPath } from "node:url";
import { unzipSync } from "fflate";
import { runCli, samples, temporaryDirectory } from "../data.js";
import { scenario } from "../scenario.js";

const TESTS = fileURLToPath(new URL("../..", import.meta.url));

/** The published folder with random weights, unpacked. */
function publishedFolder() {
  const folder = join(temporaryDirectory(), "SpecCLIP");
  for (const [name, bytes] of Object.entries(unzipSync(readFileSync(join(TESTS, "published/folder.zip"))))) {
    if (name.endsWith("/")) continue;
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
  return folder;
}

describe("SpecCLIP models", () => {
  scenario("predict in addition to the shipped model after their folder is dropped", async (visit) => {
    const folder = publishedFolder();
    const [star] = samples();
    const native = runCli(["predict", star, "--model", folder]);
    await visit.ready();
    await visit.drop([star]);
    await visit.predictions(1);
    await visit.idle();
    await visit.drop([folder]);
    const panel = visit.part("specclip");
    await panel.getByText("1 spectrum predicted").waitFor();
    const shown = await visit.part("specclip-values").innerText();
    assert.match(shown, /23 values/);

    // The saved file equals the output of the command line.
    const [download] = await Promise.all([
      visit.page.waitForEvent("download"),
      panel.getByTestId("save-specclip").click(),
    ]);
    const saved = readFileSync(await download.path(), "utf8");
    const cells = (text) => text.trim().split("\n").map((line) => line.split(","));
    const [here, there] = [cells(saved), cells(native)];
    assert.deepEqual(here.map((row) => row.slice(0, 2)), there.map((row) => row.slice(0, 2)));
    for (const [i, row] of here.entries()) {
      if (i === 0) continue;
      const size = Math.max(1, Math.abs(Number(there[i][2])));
      assert.ok(Math.abs(Number(row[2]) - Number(there[i][2])) <= 0.011 * size, `${row} and ${there[i]}`);
    }

    await panel.getByTestId("remove-specclip").click();
    assert.equal(await panel.count() + (await visit.part("specclip-values").count()), 0, "removed, with its values");
    assert.equal((await visit.rows()).length, 1, "the spectrum and its parameters stay");
  });

  scenario("in single checkpoints are listed with their size, damaged ones with the reason", async (visit) => {
    const dir = temporaryDirectory();
    const whole = readFileSync(join(TESTS, "golden/lrs_mt_tiny.ckpt"));
    cpSync(join(TESTS, "golden/lrs_mt_tiny.ckpt"), join(dir, "lrs_encoder.ckpt"));
    writeFileSync(join(dir, "cut.ckpt"), whole.subarray(0, whole.length / 2));
    await visit.ready();
    await visit.drop([join(dir, "lrs_encoder.ckpt"), join(dir, "cut.ckpt")]);
    const panel = visit.part("specclip");
    await panel.getByText("LRS masked transformer").waitFor();
    await panel.getByText("cut.ckpt:").waitFor();
    assert.match(await panel.innerText(), /drop the whole published folder/);
  });
});
