// Look-alikes: stars like the samples in the shipped index, the other survey, the map and the oddities, by button and key.
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe } from "node:test";
import { mustBeAccessible } from "../accessible.js";
import { printed, samples, scratch } from "../data.js";
import { resized } from "../index_file.js";
import { scenario } from "../scenario.js";

/** The similarities that are shown. */
const similarities = async (visit) => (await visit.part("similarity").allInnerTexts()).map(Number);

/** Waits for the answer to the last question. */
const answered = (visit) => visit.page.waitForFunction(() => !document.querySelector('[data-testid="likes-progress"]'));

describe("look-alikes", () => {
  scenario("finds the stars that the command line finds, and goes on from one of them", async (visit) => {
    await visit.ready();
    await visit.choose(samples());
    await visit.answers(samples().length);
    await visit.idle();
    await visit.part("find-likes").click();
    await visit.part("found").waitFor();
    await answered(visit);
    const shown = await similarities(visit);
    assert.equal(shown.length, 5);
    assert.deepEqual(shown, [...shown].sort((a, b) => b - a));
    const title = await visit.part("found").locator("h3").innerText();
    const own = await visit.part("detail").locator("h2").innerText();
    assert.ok(title.startsWith(`${own}: the 5 most alike of`), title);

    const native = printed(["retrieve", ...samples(), "--format", "json"]).trim().split("\n").map((line) => JSON.parse(line)).find((one) => one.query === own);
    // Those of the index: on the page the other samples are searched as well.
    const heads = await visit.page.locator(".neighbour-head").allInnerTexts();
    const simulated = heads.map((text, i) => [text, shown[i]]).filter(([text]) => text.includes("simulated"));
    for (const [i, [text, similarity]] of simulated.entries()) {
      assert.ok(text.includes(native.neighbours[i].id), `${text}: ${native.neighbours[i].id}`);
      assert.ok(Math.abs(similarity - native.neighbours[i].similarity) < 2e-4, `${similarity} ${native.neighbours[i].similarity}`);
    }
    assert.ok(simulated.length > 1);

    const first = visit.page.locator(".neighbour-head button").first();
    await first.click();
    await visit.page.waitForFunction((own) => !document.querySelector('[data-testid="found"] h3').textContent.startsWith(own), own);
    await visit.part("likes-back").click();
    await visit.part("found").getByText(`${own}: the 5 most alike of`).waitFor();

    await visit.part("likes-differs").selectOption("teff");
    await visit.page.getByLabel("by at least").fill("1500");
    await visit.page.getByLabel("by at least").blur();
    await visit.page.waitForFunction((best) => Number(document.querySelector('[data-testid="similarity"]').textContent) < best, shown[0]);
    await visit.part("likes-differs").selectOption("");
    await visit.part("in-other").check();
    await visit.part("found").getByText(/most alike of \d+ Gaia XP spectra/).waitFor();
    await mustBeAccessible(visit, "look-alikes");
  });

  scenario("shows the other survey, the map and the oddities, also on a phone", async (visit) => {
    await visit.ready();
    await visit.choose(samples());
    await visit.answers(samples().length);
    await visit.part("translate").click();
    await visit.part("translation").waitFor();
    assert.match(await visit.part("translation").innerText(), /as Gaia XP would see it[^]*No spectrum of the same star/);

    await visit.part("rank-oddities").click();
    await visit.part("oddities").waitFor();
    await answered(visit);
    assert.equal(await visit.part("oddities").locator("tbody tr").count(), samples().length);

    await visit.part("draw-map").click();
    await visit.part("map").waitFor();
    await answered(visit);
    const colours = () => visit.page.evaluate(() => {
      const canvas = document.querySelector('[data-testid="map"] canvas');
      // Read from a copy: the browser warns when a drawn canvas is read again and again.
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      const seen = new Set();
      for (let i = 0; i < data.length; i += 4) if (data[i + 3]) seen.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
      return seen.size;
    });
    assert.ok((await colours()) > 50, "stars of many temperatures");
    await visit.part("map").focus();
    for (let i = 0; i < 12; i += 1) await visit.page.keyboard.press("+");
    const few = await colours();
    await visit.page.keyboard.press("0");
    assert.ok(few < (await colours()), "keys zoom, and go back");
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
    await mustBeAccessible(visit, "the map");
    await visit.page.setViewportSize({ width: 390, height: 844 });
    const { page, window } = await visit.page.evaluate(() => ({
      page: document.documentElement.scrollWidth,
      window: document.documentElement.clientWidth,
    }));
    assert.ok(page <= window, `${page} px of page in ${window} px of window`);
  });

  for (const n of [0, 1, 50_000]) {
    scenario(`searches an index of ${n} entries and draws its map`, async (visit) => {
      const folder = scratch();
      const [one, index] = [join(folder, "one.safetensors"), join(folder, "mine.safetensors")];
      printed(["embed", samples()[0], "--small", "-o", one]);
      resized(one, index, n);
      await visit.ready();
      await visit.choose(samples());
      await visit.answers(samples().length);
      await visit.part("find-likes").click();
      await visit.part("found").waitFor();
      await visit.page.locator("details.indices").locator("summary").click();
      await visit.part("add-index").setInputFiles(index);
      await visit.page.locator("details.indices").getByText(`${n} optical, 0 Gaia XP`).waitFor();
      await answered(visit);
      const shipped = Number((await visit.page.locator("details.indices li").first().innerText()).match(/(\d+) optical/)[1]);
      await visit.part("find-likes").click();
      await visit.part("found").getByText(`alike of ${shipped + n + samples().length} optical`).waitFor();
      await visit.part("draw-map").click();
      await visit.part("map").waitFor();
      await answered(visit);
      await visit.part("map").focus();
      const frames = await visit.page.evaluate(async () => {
        const map = document.querySelector('[data-testid="map"]');
        const times = [];
        for (let i = 0; i < 20; i += 1) {
          const began = performance.now();
          map.dispatchEvent(new KeyboardEvent("keydown", { key: i < 10 ? "+" : "-", bubbles: true }));
          await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
          times.push(performance.now() - began);
        }
        return times.sort((a, b) => a - b);
      });
      console.log(`${shipped + n} optical entries: a step of zoom takes ${frames[10].toFixed(0)} ms (median), ${frames[19].toFixed(0)} ms at most`);
    });
  }
});
