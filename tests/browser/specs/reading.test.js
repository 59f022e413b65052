// Reading a spectrum: the model spectrum of its answer and what that rests on, by button and key.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe } from "node:test";
import { mustBeAccessible } from "../accessible.js";
import { changed, picture } from "../canvas.js";
import { printed, samples } from "../data.js";
import { scenario } from "../scenario.js";

/** The parts that the emulator comes in. */
const emulator = () => {
  const manifest = JSON.parse(readFileSync(new URL("../../../models/manifest.json", import.meta.url), "utf8"));
  return manifest.models.find(({ kind }) => kind === "emulator").chunks.map(({ file }) => file);
};

/** What the command line says of the fit of each sample, by id. */
function fits() {
  const lines = printed(["predict", "--fit", "--format", "json", ...samples()]);
  return new Map(lines.trim().split("\n").map((line) => JSON.parse(line)).map((row) => [row.id, row]));
}

const shownId = (visit) => visit.part("detail").locator("h2").innerText();

/** Checks the words about the fit against the command line's numbers. */
async function mustFitAsPrinted(visit, native) {
  const id = await shownId(visit);
  await visit.page.waitForFunction(
    (rms) => document.querySelector('[data-testid="fit-line"]')?.textContent.includes(`by ${rms} % of the continuum`),
    (100 * native.get(id).fit_rms).toFixed(1),
  );
  const words = await visit.part("fit-line").innerText();
  assert.ok(words.includes(`reduced χ² ${native.get(id).fit_chi2.toFixed(1)} over`), `${words} ${native.get(id).fit_chi2}`);
}

describe("reading a spectrum", () => {
  scenario("draws the model spectrum of the answer, fetched when it is asked for, from star to star", async (visit) => {
    await visit.ready();
    await visit.choose(samples());
    await visit.answers(samples().length);
    await visit.idle();
    const fetched = () => emulator().filter((file) => visit.host.requests.some((url) => url.endsWith(file))).length;
    assert.equal(fetched(), 0, "nobody has asked for it");
    assert.equal(await visit.part("plot-residual").count(), 0);
    const before = await picture(visit, "plot-model");
    await visit.part("show-fit").focus();
    await visit.page.keyboard.press("Space");
    await visit.part("fit-line").waitFor();
    assert.equal(fetched(), emulator().length);
    await changed(visit, "plot-model", before);
    const native = fits();
    await mustFitAsPrinted(visit, native);
    const first = await shownId(visit);
    await visit.part("plot-model").focus();
    await visit.page.keyboard.press("j");
    if ((await shownId(visit)) === first) await visit.page.keyboard.press("k");
    await visit.page.waitForFunction((id) => document.querySelector("#detail-title").textContent !== id, first);
    await mustFitAsPrinted(visit, native);
    await mustBeAccessible(visit, "the model spectrum");
    await visit.part("show-fit").uncheck();
    assert.equal(await visit.part("plot-residual").count() + (await visit.part("fit-line").count()), 0);
  });

  scenario("shows what the answer rests on, with the names of lines, also on a phone", async (visit) => {
    await visit.ready();
    await visit.choose(samples().filter((path) => path.includes("halo")));
    await visit.answers(1);
    await visit.part("rests-on").selectOption("feh");
    await visit.part("features").waitFor();
    const feh = await visit.part("features").innerText();
    assert.match(feh, /Hβ 486\d Å/);
    assert.match(feh, /[+−]0\.00\d+ dex/);
    const drawn = await picture(visit, "plot-slopes");
    await visit.part("plot-slopes").focus();
    await visit.page.keyboard.press("+");
    await changed(visit, "plot-slopes", drawn);
    await visit.part("rests-on").selectOption("teff");
    await visit.page.waitForFunction(() => / K\b/.test(document.querySelector('[data-testid="features"]')?.textContent ?? ""));
    const options = await visit.part("rests-on").locator("option").allInnerTexts();
    assert.deepEqual(options, ["not shown", "Teff", "log g", "[Fe/H]", "[α/Fe]"]);
    await mustBeAccessible(visit, "slopes");
    await visit.page.setViewportSize({ width: 390, height: 844 });
    await visit.part("show-fit").check();
    await visit.part("fit-line").waitFor();
    const { page, window } = await visit.page.evaluate(() => ({
      page: document.documentElement.scrollWidth,
      window: document.documentElement.clientWidth,
    }));
    assert.ok(page <= window, `${page} px of page in ${window} px of window`);
    await visit.part("rests-on").selectOption("");
    assert.equal(await visit.part("plot-slopes").count(), 0);
  });
});
