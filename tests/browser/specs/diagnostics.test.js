// Diagnostics of a prediction: the synthetic spectrum at the predicted labels and the sensitivity, by button and key.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe } from "node:test";
import { assertAccessible } from "../accessible.js";
import { waitForChange, picture } from "../canvas.js";
import { runCli, samples } from "../data.js";
import { scenario } from "../scenario.js";

/** File names of the emulator's parts. */
const emulatorFiles = () => {
  const manifest = JSON.parse(readFileSync(new URL("../../../models/manifest.json", import.meta.url), "utf8"));
  return manifest.models.find(({ kind }) => kind === "emulator").chunks.map(({ file }) => file);
};

/** Fit of each sample from the command line, by id. */
function cliFits() {
  const lines = runCli(["predict", "--check-fit", "--format", "json", ...samples()]);
  return new Map(lines.trim().split("\n").map((line) => JSON.parse(line)).map((row) => [row.id, row]));
}

const shownId = (visit) => visit.part("detail").locator("h2").innerText();

/** Fails unless the page shows the fit that the command line computes; `fits` are its records by id. */
async function assertFit(visit, fits) {
  const id = await shownId(visit);
  await visit.page.waitForFunction(
    (rms) => document.querySelector('[data-testid="fit-line"]')?.textContent.includes(`rms difference ${rms} % of the continuum`),
    (100 * fits.get(id).fit_rms).toFixed(1),
  );
  const text = await visit.part("fit-line").innerText();
  assert.ok(text.includes(`, reduced χ² ${fits.get(id).fit_chi2.toFixed(1)}. `), `${text} ${fits.get(id).fit_chi2}`);
}

describe("diagnostics of a spectrum", () => {
  scenario("the synthetic spectrum is drawn for each selected star, and the emulator is downloaded at the first request", async (visit) => {
    await visit.ready();
    await visit.choose(samples());
    await visit.predictions(samples().length);
    await visit.idle();
    const nDownloaded = () => emulatorFiles().filter((file) => visit.host.requests.some((url) => url.endsWith(file))).length;
    assert.equal(nDownloaded(), 0, "the emulator is not downloaded before");
    assert.equal(await visit.part("plot-residual").count(), 0);
    const before = await picture(visit, "plot-normalised");
    await visit.part("show-fit").focus();
    await visit.page.keyboard.press("Space");
    await visit.part("fit-line").waitFor();
    assert.equal(nDownloaded(), emulatorFiles().length);
    await waitForChange(visit, "plot-normalised", before);
    const fits = cliFits();
    await assertFit(visit, fits);
    const first = await shownId(visit);
    await visit.part("plot-normalised").focus();
    await visit.page.keyboard.press("j");
    if ((await shownId(visit)) === first) await visit.page.keyboard.press("k");
    await visit.page.waitForFunction((id) => document.querySelector("#detail-title").textContent !== id, first);
    await assertFit(visit, fits);
    await assertAccessible(visit, "the synthetic spectrum");
    await visit.part("show-fit").uncheck();
    assert.equal(await visit.part("plot-residual").count() + (await visit.part("fit-line").count()), 0);
  });

  scenario("the sensitivity is drawn and its strongest lines are named, also on a phone", async (visit) => {
    await visit.ready();
    await visit.choose(samples().filter((path) => path.includes("halo")));
    await visit.predictions(1);
    await visit.part("sensitivity").selectOption("feh");
    await visit.part("features").waitFor();
    const lines = await visit.part("features").innerText();
    assert.match(lines, /Hβ 486\d Å/);
    assert.match(lines, /[+−]0\.00\d+ dex/);
    const before = await picture(visit, "plot-sensitivity");
    await visit.part("plot-sensitivity").focus();
    await visit.page.keyboard.press("+");
    await waitForChange(visit, "plot-sensitivity", before);
    await visit.part("sensitivity").selectOption("teff");
    await visit.page.waitForFunction(() => / K\b/.test(document.querySelector('[data-testid="features"]')?.textContent ?? ""));
    const options = await visit.part("sensitivity").locator("option").allInnerTexts();
    assert.deepEqual(options, ["not shown", "Teff", "log g", "[Fe/H]", "[α/Fe]"]);
    await assertAccessible(visit, "sensitivity");
    await visit.page.setViewportSize({ width: 390, height: 844 });
    await visit.part("show-fit").check();
    await visit.part("fit-line").waitFor();
    const { page, window } = await visit.page.evaluate(() => ({
      page: document.documentElement.scrollWidth,
      window: document.documentElement.clientWidth,
    }));
    assert.ok(page <= window, `${page} px of page in ${window} px of window`);
    await visit.part("sensitivity").selectOption("");
    assert.equal(await visit.part("plot-sensitivity").count(), 0);
  });
});
