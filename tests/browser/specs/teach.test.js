// Teaching in the tab: a label that is the depth of a line, learned from forty made spectra by workers, used, saved, undone.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "node:test";
import { zipSync } from "fflate";
import { mustBeAccessible } from "../accessible.js";
import { scratch } from "../data.js";
import { scenario } from "../scenario.js";

const STARS = 40;

/** How deep Mg b is in star `i`: what is to be learned. */
const depth = (i) => 0.1 + (0.6 * ((i * 17) % STARS)) / STARS;

/** The spectrum of star `i`. */
function star(i) {
  const lines = [[4102.9, 0.5], [4341.7, 0.5], [4862.7, 0.5], [5184, depth(i)], [5270, 0.2]];
  const rows = Array.from({ length: 1600 }, (_, k) => {
    const wave = 3900 + 1.1 * k;
    const deep = lines.reduce((sum, [at, d]) => sum + d * Math.exp(-(((wave - at) / 4) ** 2)), 0);
    return `${wave.toFixed(2)},${(1000 * (1 - deep + 0.01 * Math.sin(k * (1.3 + 0.01 * i)))).toFixed(3)},0.01`;
  });
  return `wavelength_vac_aa,flux,ivar\n${rows.join("\n")}\n`;
}

/** A zip of the stars, and a table with this header and these rows. */
function lesson(header, row) {
  const dir = scratch();
  const files = Array.from({ length: STARS }, (_, i) => [`star-${i}.csv`, new TextEncoder().encode(star(i))]);
  const [spectra, table] = [join(dir, "stars.zip"), join(dir, "labels.csv")];
  writeFileSync(spectra, zipSync(Object.fromEntries(files)));
  writeFileSync(table, `${header}\n${Array.from({ length: STARS }, (_, i) => row(i)).join("\n")}\n`);
  return [spectra, table];
}

/** Ticks these strategies and no others. */
async function choose(visit, strategies) {
  for (const name of ["zero-shot", "residual", "lora", "full", "scratch"]) {
    await visit.part(`strategy-${name}`).setChecked(strategies.includes(name));
  }
}

/** Sets a number among the settings. */
async function set(visit, name, value) {
  await visit.page.getByLabel(name, { exact: true }).fill(String(value));
  await visit.page.getByLabel(name, { exact: true }).blur();
}

/** Waits until nothing is learned any more. */
const rest = (visit) =>
  visit.page.waitForFunction(() => document.querySelector('[data-testid="teach-progress"]').dataset.phase === "idle");

/** A number as the page writes it. */
const number = (text) => Number(text.split("±")[0].trim().replace("−", "-"));

describe("teaching", () => {
  scenario("is offered where there are spectra, and waits for labels", async (visit) => {
    await visit.sample();
    assert.match(await visit.part("teach").innerText(), /drop a table of labels/);
  });

  scenario("compares strategies, uses one, keeps it and returns", async (visit) => {
    const files = lesson("id,feh,pair", (i) => `star-${i},${depth(i)},${Math.floor(i / 2)}`);
    await visit.ready();
    await visit.drop(files);
    const shipped = await visit.answers(STARS);
    await visit.idle();
    assert.match(await visit.part("teach-target").innerText(), /\[Fe\/H\] \(40 labels\)/);
    await visit.part("teach-groups").selectOption("pair");
    await visit.part("teach-cut-by").selectOption("pair");
    await visit.part("teach-cut-at").fill("10");
    assert.match(await visit.part("base-says").innerText(), /has seen the stars of MILES/);
    await choose(visit, ["zero-shot", "residual"]);
    await visit.page.getByText("Settings", { exact: true }).click();
    await set(visit, "Folds", 2);
    await set(visit, "Most epochs", 8);
    await visit.part("teach-compare").click();
    await visit.part("teach-scores").waitFor();
    await rest(visit);
    const sigma = async (strategy) => number(await visit.part(`sigma-${strategy}-all`).innerText());
    assert.ok((await sigma("residual")) < (await sigma("zero-shot")), await visit.part("teach-scores").innerText());
    assert.match(await visit.part("recommendation").innerText(), /Residual head has the smallest error/);
    assert.match(await visit.part("teach-scores").innerText(), /pair < 10\s+20\s[^]*pair ≥ 10\s+20\s/);
    const picture = await visit.part("teach-one-to-one").locator("canvas").boundingBox();
    assert.ok(picture.width > 200 && picture.height > 200);

    await visit.part("teach-adopt").click();
    await visit.part("adapter").waitFor();
    assert.match(await visit.part("adapter").innerText(), /Residual head on 40 labels/);
    await visit.part("rests-on").selectOption("feh");
    await visit.page.getByText(/by lrs-mlp \d+, before teaching/).waitFor();
    await visit.part("rests-on").selectOption("");
    const isTaught = (row) => row.flags.includes("taught");
    await visit.page.waitForFunction((n) => [...document.querySelectorAll('[data-testid="flags"]')].filter((f) => f.textContent.includes("taught")).length >= n, 10);
    const off = (rows) => Math.hypot(...rows.map((row) => row.values.feh.value - depth(Number(row.id.split("-")[1]))));
    const taught = (await visit.rows()).filter(isTaught);
    const before = shipped.filter((row) => taught.some((t) => t.id === row.id));
    assert.ok(off(taught) < 0.5 * off(before), `${off(taught)} taught, ${off(before)} before`);

    // The table has no [α/Fe], so that the shipped model is what the taught one is compared with.
    await visit.part("teach-distances").getByText(/shipped model’s own values.*as taught −?\d\.\d+ \(p/).waitFor();
    const plane = await visit.part("teach-plane").locator("canvas").boundingBox();
    assert.ok(plane.width > 200 && plane.height > 200);

    const save = async (button) => {
      const download = visit.page.waitForEvent("download");
      await visit.part(button).click();
      const kept = join(scratch(), (await download).suggestedFilename());
      await (await download).saveAs(kept);
      return kept;
    };
    const kept = await save("save-adapter");
    await visit.part("take-away").click();
    const session = await save("save-session");
    await visit.part("take-away-said").getByText(/with the adapter/).waitFor();
    await visit.page.keyboard.press("Escape");
    assert.match(kept, /specola-feh-residual\.safetensors$/);
    assert.ok(readFileSync(kept).length > 1000);

    await mustBeAccessible(visit, "taught");
    await visit.page.setViewportSize({ width: 390, height: 844 });
    const { page, window } = await visit.page.evaluate(() => ({
      page: document.documentElement.scrollWidth,
      window: document.documentElement.clientWidth,
    }));
    assert.ok(page <= window, `${page} px of page in ${window} px of window`);
    await visit.page.setViewportSize({ width: 1280, height: 800 });

    await visit.part("undo-adapter").click();
    await visit.page.waitForFunction(() => ![...document.querySelectorAll('[data-testid="flags"]')].some((f) => f.textContent.includes("taught")));
    assert.equal(await visit.part("adapter").count(), 0);

    await visit.drop([kept]);
    await visit.part("adapter").waitFor();
    assert.equal(await visit.part("networks").count(), 0, "an adapter is no network");
    await visit.page.waitForFunction((n) => [...document.querySelectorAll('[data-testid="flags"]')].filter((f) => f.textContent.includes("taught")).length >= n, taught.length);
    const again = await visit.rows();
    for (const row of taught) {
      assert.equal(again.find((other) => other.id === row.id).values.feh.value, row.values.feh.value, row.id);
    }

    await visit.part("undo-adapter").click();
    await visit.part("adapter").waitFor({ state: "detached" });
    await visit.drop([session]);
    await visit.part("adapter").waitFor();
    assert.match(await visit.part("adapter").innerText(), /Residual head on 40 labels/);

    // A closed tab loses neither the files nor the adapter.
    await visit.page.reload();
    await visit.part("restore-yes").click();
    await visit.part("adapter").waitFor();
    assert.match(await visit.part("adapter").innerText(), /Residual head on 40 labels/);
  }, { patience: 2 });

  scenario("looks at the loss around what was taught, and stops when it is told", async (visit) => {
    await visit.ready();
    await visit.drop(lesson("id,feh", (i) => `star-${i},${depth(i)}`));
    await visit.answers(STARS);
    await visit.idle();
    await choose(visit, ["zero-shot", "residual"]);
    await visit.page.getByText("Settings", { exact: true }).click();
    // Without the closed form before it, a training moves something.
    await visit.page.getByRole("button", { name: "As in the transfer study" }).click();
    await set(visit, "Folds", 2);
    await set(visit, "Most epochs", 6);
    await set(visit, "Learning rate", "1e-3");
    await visit.part("teach-compare").click();
    await visit.part("teach-scores").waitFor();
    await rest(visit);
    await visit.part("teach-scores").locator('input[value="residual"]').check();
    await visit.page.getByText("Loss landscape", { exact: true }).click();
    await visit.part("teach-survey").click();
    await visit.page.waitForFunction(() => document.querySelector('[data-testid="teach-progress"]').dataset.phase === "surveying");
    await visit.part("landscape-says").getByText(/\[Fe\/H\] by Residual head: as taught \d+\.\d+ dex rms over 40 labelled spectra/).waitFor();
    await rest(visit);
    const drawn = await visit.part("teach-landscape").locator("canvas").evaluate((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const colours = new Set();
      for (let i = 0; i < data.length; i += 4) colours.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
      return { ends: [colours.has("68,1,84"), colours.has("253,231,37")], colours: colours.size };
    });
    assert.deepEqual(drawn.ends, [true, true], "both ends of the ramp");
    assert.ok(drawn.colours > 50, `${drawn.colours} colours`);

    const coming = visit.page.waitForEvent("download");
    await visit.part("landscape-csv").click();
    const points = readFileSync(await (await coming).path(), "utf8").trim().split("\n");
    assert.equal(points.length, 1 + 21 * 21);
    assert.ok(points.slice(1).every((line) => Number(line.split(",")[2]) > 0));
    await mustBeAccessible(visit, "landscape");

    // It is stopped like any training.
    await visit.part("teach-survey").click();
    await visit.part("teach-stop").click();
    await rest(visit);
    assert.equal(await visit.part("landscape-says").count(), 0);
  }, { patience: 2 });

  scenario("rests, goes on and stops when it is told, and keeps what is there", async (visit) => {
    await visit.ready();
    await visit.drop(lesson("id,feh", (i) => `star-${i},${depth(i)}`));
    await visit.answers(STARS);
    await visit.idle();
    // Of another model, which is fetched first.
    await visit.part("teach-base").selectOption("lrs-mlp-synthetic");
    await visit.part("base-says").getByText(/no real star/).waitFor();
    await choose(visit, ["zero-shot", "full"]);
    await visit.part("teach-compare").click();
    await visit.part("teach-losses").waitFor();
    await visit.part("teach-pause").click();
    await visit.page.getByText(/Resting after/).waitFor();
    await visit.part("teach-pause").click();
    await visit.part("teach-stop").click();
    await rest(visit);
    assert.match(await visit.part("teach-scores").innerText(), /Zero-shot/);
    await visit.part("row").first().click();
    await visit.part("plot-raw").waitFor();
  }, { patience: 2 });

  scenario("says what is wrong with labels that teach nothing", async (visit) => {
    await visit.ready();
    await visit.drop(lesson("id,feh,teff,kind", (i) => `star-${i},${4000 + 50 * i},5000,G2`));
    await visit.answers(STARS);
    await visit.idle();
    const said = async (target, what) => {
      await visit.part("teach-target").selectOption(target);
      await visit.part("teach-compare").click();
      await visit.part("remarks").getByText(what).waitFor();
      await rest(visit);
    };
    await said("feh", /outside of −7 to 1\.5 dex.*They look like Teff/);
    await said("teff", /All 40 values of Teff are 5000; there is nothing to learn from one value/);
    assert.equal(await visit.part("teach-target").locator("option").count(), 2, "a column of text cannot be learned");
  });
});
