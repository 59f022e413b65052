// Similar spectra: neighbours of the samples in the shipped index, prediction of the other survey's spectrum, the map
// and the anomaly scores, by button and key.
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe } from "node:test";
import { assertAccessible } from "../accessible.js";
import { runCli, samples, temporaryDirectory } from "../data.js";
import { writeResizedIndex } from "../index_file.js";
import { scenario } from "../scenario.js";

/** The similarities of the displayed neighbours. */
const similarities = async (visit) => (await visit.part("neighbour-similarity").allInnerTexts()).map(Number);

/** Waits for the result of the last request. */
const waitForResult = (visit) => visit.page.waitForFunction(() => !document.querySelector('[data-testid="similarity-progress"]'));

describe("similar spectra", () => {
  scenario("page and command line find the same neighbours, and a neighbour can be searched for in turn", async (visit) => {
    await visit.ready();
    await visit.choose(samples());
    await visit.predictions(samples().length);
    await visit.idle();
    await visit.part("find-similar").click();
    await visit.part("found").waitFor();
    await waitForResult(visit);
    const shown = await similarities(visit);
    assert.equal(shown.length, 5);
    assert.deepEqual(shown, [...shown].sort((a, b) => b - a));
    const title = await visit.part("found").locator("h3").innerText();
    const queryId = await visit.part("detail").locator("h2").innerText();
    assert.ok(title.startsWith(`${queryId}: the 5 most similar of`), title);

    const expected = runCli(["retrieve", ...samples(), "--format", "json"]).trim().split("\n").map((line) => JSON.parse(line)).find(({ query }) => query === queryId);
    // Compares only the simulated stars of the shipped index: the page also searches the other samples.
    const headings = await visit.page.locator(".neighbour-head").allInnerTexts();
    const simulated = headings.map((text, i) => [text, shown[i]]).filter(([text]) => text.includes("simulated"));
    for (const [i, [text, similarity]] of simulated.entries()) {
      assert.ok(text.includes(expected.neighbours[i].id), `${text}: ${expected.neighbours[i].id}`);
      assert.ok(Math.abs(similarity - expected.neighbours[i].similarity) < 2e-4, `${similarity} ${expected.neighbours[i].similarity}`);
    }
    assert.ok(simulated.length > 1);

    await visit.page.locator(".neighbour-head button").first().click();
    await visit.page.waitForFunction((id) => !document.querySelector('[data-testid="found"] h3').textContent.startsWith(id), queryId);
    await visit.part("similarity-back").click();
    await visit.part("found").getByText(`${queryId}: the 5 most similar of`).waitFor();

    await visit.part("similarity-differs").selectOption("teff");
    await visit.page.getByLabel("by at least").fill("1500");
    await visit.page.getByLabel("by at least").blur();
    await visit.page.waitForFunction((highest) => Number(document.querySelector('[data-testid="neighbour-similarity"]').textContent) < highest, shown[0]);
    await visit.part("similarity-differs").selectOption("");
    await visit.part("in-other").check();
    await visit.part("found").getByText(/most similar of \d+ Gaia XP spectra/).waitFor();
    await assertAccessible(visit, "similar spectra");
  });

  scenario("the predicted Gaia XP spectrum, the map and the anomaly scores are shown, also on a phone", async (visit) => {
    await visit.ready();
    await visit.choose(samples());
    await visit.predictions(samples().length);
    await visit.part("translate").click();
    await visit.part("translation").waitFor();
    assert.match(await visit.part("translation").innerText(), /predicted as a Gaia XP spectrum[^]*None of your Gaia XP spectra matches this star/);

    await visit.part("rank-anomalies").click();
    await visit.part("anomalies").waitFor();
    await waitForResult(visit);
    assert.equal(await visit.part("anomalies").locator("tbody tr").count(), samples().length);

    await visit.part("draw-map").click();
    await visit.part("map").waitFor();
    await waitForResult(visit);
    const nColours = () => visit.page.evaluate(() => {
      const canvas = document.querySelector('[data-testid="map"] canvas');
      // Reads a copy: the browser warns about repeated reading of a canvas that is drawn to.
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      const colours = new Set();
      for (let i = 0; i < data.length; i += 4) if (data[i + 3]) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
      return colours.size;
    });
    assert.ok((await nColours()) > 50, "stars of many temperatures");
    await visit.part("map").focus();
    for (let i = 0; i < 12; i += 1) await visit.page.keyboard.press("+");
    const nZoomed = await nColours();
    await visit.page.keyboard.press("0");
    assert.ok(nZoomed < (await nColours()), "keys zoom in and reset the zoom");
    await visit.part("lasso").click();
    const box = await visit.part("map").boundingBox();
    await visit.page.mouse.move(box.x + 5, box.y + 5);
    await visit.page.mouse.down();
    for (const [x, y] of [[box.width - 5, 5], [box.width - 5, box.height - 5], [5, box.height - 5]]) {
      await visit.page.mouse.move(box.x + x, box.y + y, { steps: 4 });
    }
    await visit.page.mouse.up();
    assert.match(await visit.part("map-chosen").innerText(), /\d+ stars chosen; medians: /);
    await visit.part("find-chosen").click();
    await visit.part("found").getByText(/50 stars together/).waitFor();

    await visit.part("draw-map").click();
    await assertAccessible(visit, "the map");
    await visit.page.setViewportSize({ width: 390, height: 844 });
    const { page, window } = await visit.page.evaluate(() => ({
      page: document.documentElement.scrollWidth,
      window: document.documentElement.clientWidth,
    }));
    assert.ok(page <= window, `${page} px of page in ${window} px of window`);
  });

  for (const n of [0, 1, 50_000]) {
    scenario(`an index of ${n} entries is searched and drawn as a map`, async (visit) => {
      const folder = temporaryDirectory();
      const [small, resized] = [join(folder, "one.safetensors"), join(folder, "mine.safetensors")];
      runCli(["embed", samples()[0], "--small", "-o", small]);
      writeResizedIndex(small, resized, n);
      await visit.ready();
      await visit.choose(samples());
      await visit.predictions(samples().length);
      await visit.part("find-similar").click();
      await visit.part("found").waitFor();
      await visit.page.locator("details.indices").locator("summary").click();
      await visit.part("add-index").setInputFiles(resized);
      await visit.page.locator("details.indices").getByText(`${n} optical, 0 Gaia XP`).waitFor();
      await waitForResult(visit);
      const nShipped = Number((await visit.page.locator("details.indices li").first().innerText()).match(/(\d+) optical/)[1]);
      await visit.part("find-similar").click();
      await visit.part("found").getByText(`similar of ${nShipped + n + samples().length} optical`).waitFor();
      await visit.part("draw-map").click();
      await visit.part("map").waitFor();
      await waitForResult(visit);
      await visit.part("map").focus();
      const frameTimes = await visit.page.evaluate(async () => {
        const map = document.querySelector('[data-testid="map"]');
        const times = [];
        for (let i = 0; i < 20; i += 1) {
          const start = performance.now();
          map.dispatchEvent(new KeyboardEvent("keydown", { key: i < 10 ? "+" : "-", bubbles: true }));
          await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
          times.push(performance.now() - start);
        }
        return times.sort((a, b) => a - b);
      });
      console.log(`${nShipped + n} optical entries: a zoom step takes ${frameTimes[10].toFixed(0)} ms (median), ${frameTimes[19].toFixed(0)} ms at most`);
    });
  }
});
