// Published networks in the tab: the whole folder answers beside the shipped model, a checkpoint alone is recognised.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe } from "node:test";
import { fileURLToPath } from "node:url";
import { unzipSync } from "fflate";
import { printed, samples, scratch } from "../data.js";
import { scenario } from "../scenario.js";

const TESTS = fileURLToPath(new URL("../..", import.meta.url));

/** The published folder with random weights, unpacked. */
function publishedFolder() {
  const folder = join(scratch(), "SpecCLIP");
  for (const [name, bytes] of Object.entries(unzipSync(readFileSync(join(TESTS, "published/folder.zip"))))) {
    if (name.endsWith("/")) continue;
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
  return folder;
}

describe("published networks", () => {
  scenario("answer beside the shipped model once their folder is dropped", async (visit) => {
    const folder = publishedFolder();
    const [star] = samples();
    const native = printed(["predict", star, "--model", folder]);
    await visit.ready();
    await visit.drop([star]);
    await visit.answers(1);
    await visit.idle();
    await visit.drop([folder]);
    const panel = visit.part("networks");
    await panel.getByText("1 spectrum answered").waitFor();
    const shown = await visit.part("measured").innerText();
    assert.match(shown, /23 values/);

    // What is saved is what the command line prints.
    const [download] = await Promise.all([
      visit.page.waitForEvent("download"),
      panel.getByTestId("save-catalogue").click(),
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

    await panel.getByTestId("forget-networks").click();
    assert.equal(await panel.count() + (await visit.part("measured").count()), 0, "removed, with its values");
    assert.equal((await visit.rows()).length, 1, "the spectrum and its parameters stay");
  });

  scenario("of one checkpoint are named with their size, and damaged ones with the reason", async (visit) => {
    const dir = scratch();
    const whole = readFileSync(join(TESTS, "golden/lrs_mt_tiny.ckpt"));
    cpSync(join(TESTS, "golden/lrs_mt_tiny.ckpt"), join(dir, "lrs_encoder.ckpt"));
    writeFileSync(join(dir, "cut.ckpt"), whole.subarray(0, whole.length / 2));
    await visit.ready();
    await visit.drop([join(dir, "lrs_encoder.ckpt"), join(dir, "cut.ckpt")]);
    const panel = visit.part("networks");
    await panel.getByText("LRS masked transformer").waitFor();
    await panel.getByText("cut.ckpt:").waitFor();
    assert.match(await panel.innerText(), /drop the whole published folder/);
  });
});
