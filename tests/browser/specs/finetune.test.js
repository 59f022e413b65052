// Fine-tuning in the tab: training workers learn the depth of a line in forty synthetic spectra. The adapter is
// applied, saved and removed.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "node:test";
import { zipSync } from "fflate";
import { assertAccessible } from "../accessible.js";
import { temporaryDirectory } from "../data.js";
import { scenario } from "../scenario.js";

const STARS = 40;

/** Depth of the Mg b line in star `i`, the label to train on. */
const mgDepth = (i) => 0.1 + (0.6 * ((i * 17) % STARS)) / STARS;

/** The spectrum of star `i` as CSV text. */
function spectrumCsv(i) {
  const lines = [[4102.9, 0.5], [4341.7, 0.5], [4862.7, 0.5], [5184, mgDepth(i)], [5270, 0.2]];
  const rows = Array.from({ length: 1600 }, (_, k) => {
    const wave = 3900 + 1.1 * k;
    const absorption = lines.reduce((sum, [centre, depth]) => sum + depth * Math.exp(-(((wave - centre) / 4) ** 2)), 0);
    return `${wave.toFixed(2)},${(1000 * (1 - absorption + 0.01 * Math.sin(k * (1.3 + 0.01 * i)))).toFixed(3)},0.01`;
  });
  return `wavelength_vac_aa,flux,ivar\n${rows.join("\n")}\n`;
}

/** Writes a zip of the spectra and a label table with this header and these rows; returns their paths. */
function writeLabelledSet(header, row) {
  const dir = temporaryDirectory();
  const files = Array.from({ length: STARS }, (_, i) => [`star-${i}.csv`, new TextEncoder().encode(spectrumCsv(i))]);
  const [spectra, table] = [join(dir, "stars.zip"), join(dir, "labels.csv")];
  writeFileSync(spectra, zipSync(Object.fromEntries(files)));
  writeFileSync(table, `${header}\n${Array.from({ length: STARS }, (_, i) => row(i)).join("\n")}\n`);
  return [spectra, table];
}

/** Selects only these strategies. */
async function selectStrategies(visit, strategies) {
  for (const name of ["zero-shot", "linear", "gp", "residual", "lora", "full", "scratch"]) {
    await visit.part(`strategy-${name}`).setChecked(strategies.includes(name));
  }
}

/** Fills in a numeric setting. */
async function fillSetting(visit, name, value) {
  await visit.page.getByLabel(name, { exact: true }).fill(String(value));
  await visit.page.getByLabel(name, { exact: true }).blur();
}

/** Waits until training and scans have ended. */
const waitForTraining = (visit) =>
  visit.page.waitForFunction(() => document.querySelector('[data-testid="finetune-progress"]').dataset.phase === "idle");

/** Parses a number from the page. */
const number = (text) => Number(text.split("±")[0].trim().replace("−", "-"));

describe("fine-tuning", () => {
  scenario("the page asks for a label table when only spectra are open", async (visit) => {
    await visit.openSample();
    assert.match(await visit.part("finetune").innerText(), /drop a table of labels/);
  });

  scenario("two strategies are compared; one adapter is applied, saved, removed and opened again", async (visit) => {
    const files = writeLabelledSet("id,feh,pair", (i) => `star-${i},${mgDepth(i)},${Math.floor(i / 2)}`);
    await visit.ready();
    await visit.drop(files);
    const shipped = await visit.predictions(STARS);
    await visit.idle();
    assert.match(await visit.part("finetune-target").innerText(), /\[Fe\/H\] \(40 labels\)/);
    await visit.part("finetune-groups").selectOption("pair");
    await visit.part("finetune-subset-column").selectOption("pair");
    await visit.part("finetune-subset-threshold").fill("10");
    assert.match(await visit.part("base-description").innerText(), /includes the MILES stars/);
    await selectStrategies(visit, ["zero-shot", "gp"]);
    await visit.page.getByText("Settings", { exact: true }).click();
    await fillSetting(visit, "Folds", 2);
    await fillSetting(visit, "Maximum epochs", 8);
    await visit.part("finetune-compare").click();
    await visit.part("finetune-scores").waitFor();
    await waitForTraining(visit);
    const sigma = async (strategy) => number(await visit.part(`sigma-${strategy}-all`).innerText());
    assert.ok((await sigma("gp")) < (await sigma("zero-shot")), await visit.part("finetune-scores").innerText());
    assert.match(await visit.part("recommendation").innerText(), /GP correction has the smallest total error/);
    assert.match(await visit.part("finetune-scores").innerText(), /pair < 10\s.*\s20\s[^]*pair ≥ 10\s.*\s20\s/);
    const plot = await visit.part("finetune-one-to-one").locator("canvas").boundingBox();
    assert.ok(plot.width > 200 && plot.height > 200);

    await visit.part("finetune-apply").click();
    await visit.part("adapter").waitFor();
    assert.match(await visit.part("adapter").innerText(), /GP correction, trained on 40 labels/);
    await visit.part("sensitivity").selectOption("feh");
    await visit.page.getByText(/before fine-tuning; model: lrs-mlp \d+/).waitFor();
    await visit.part("sensitivity").selectOption("");
    const isFinetuned = (row) => row.flags.includes("finetuned");
    await visit.page.waitForFunction((n) => [...document.querySelectorAll('[data-testid="flags"]')].filter((f) => f.textContent.includes("finetuned")).length >= n, 10);
    const labelError = (rows) => Math.hypot(...rows.map((row) => row.values.feh.value - mgDepth(Number(row.id.split("-")[1]))));
    const finetuned = (await visit.rows()).filter(isFinetuned);
    const before = shipped.filter((row) => finetuned.some(({ id }) => id === row.id));
    assert.ok(labelError(finetuned) < 0.5 * labelError(before), `${labelError(finetuned)} fine-tuned, ${labelError(before)} before`);

    // The table has no [α/Fe], so the page compares the fine-tuned model with the shipped one.
    await visit.part("abundance-distances").getByText(/shipped model’s predictions.*fine-tuned −?\d\.\d+ \(p/).waitFor();
    const chart = await visit.part("abundance-chart").locator("canvas").boundingBox();
    assert.ok(chart.width > 200 && chart.height > 200);

    const save = async (button) => {
      const download = visit.page.waitForEvent("download");
      await visit.part(button).click();
      const path = join(temporaryDirectory(), (await download).suggestedFilename());
      await (await download).saveAs(path);
      return path;
    };
    const adapter = await save("save-adapter");
    await visit.part("export").click();
    const session = await save("save-session");
    await visit.part("export-status").getByText(/with the adapter/).waitFor();
    await visit.page.keyboard.press("Escape");
    assert.match(adapter, /specola-feh-gp\.safetensors$/);
    assert.ok(readFileSync(adapter).length > 1000);

    await assertAccessible(visit, "fine-tuned");
    await visit.page.setViewportSize({ width: 390, height: 844 });
    const { page, window } = await visit.page.evaluate(() => ({
      page: document.documentElement.scrollWidth,
      window: document.documentElement.clientWidth,
    }));
    assert.ok(page <= window, `${page} px of page in ${window} px of window`);
    await visit.page.setViewportSize({ width: 1280, height: 800 });

    await visit.part("undo-adapter").click();
    await visit.page.waitForFunction(() => ![...document.querySelectorAll('[data-testid="flags"]')].some((f) => f.textContent.includes("finetuned")));
    assert.equal(await visit.part("adapter").count(), 0);

    await visit.drop([adapter]);
    await visit.part("adapter").waitFor();
    assert.equal(await visit.part("specclip").count(), 0, "an adapter is not listed as a SpecCLIP network");
    await visit.page.waitForFunction((n) => [...document.querySelectorAll('[data-testid="flags"]')].filter((f) => f.textContent.includes("finetuned")).length >= n, finetuned.length);
    const reloaded = await visit.rows();
    for (const row of finetuned) {
      assert.equal(reloaded.find((other) => other.id === row.id).values.feh.value, row.values.feh.value, row.id);
    }

    await visit.part("undo-adapter").click();
    await visit.part("adapter").waitFor({ state: "detached" });
    await visit.drop([session]);
    await visit.part("adapter").waitFor();
    assert.match(await visit.part("adapter").innerText(), /GP correction, trained on 40 labels/);

    // Reloading the page loses neither files nor adapter.
    await visit.page.reload();
    await visit.part("restore-yes").first().click();
    await visit.part("adapter").waitFor();
    assert.match(await visit.part("adapter").innerText(), /GP correction, trained on 40 labels/);
  }, { timeoutFactor: 2 });

  scenario("the loss landscape is scanned and drawn, and the scan can be stopped", async (visit) => {
    await visit.ready();
    await visit.drop(writeLabelledSet("id,feh", (i) => `star-${i},${mgDepth(i)}`));
    await visit.predictions(STARS);
    await visit.idle();
    await selectStrategies(visit, ["zero-shot", "residual"]);
    await visit.page.getByText("Settings", { exact: true }).click();
    await visit.page.getByRole("button", { name: "As in Zhao et al. (2026)" }).click();
    await fillSetting(visit, "Folds", 2);
    await fillSetting(visit, "Maximum epochs", 6);
    await fillSetting(visit, "Learning rate", "1e-3");
    await visit.part("finetune-compare").click();
    await visit.part("finetune-scores").waitFor();
    await waitForTraining(visit);
    await visit.part("finetune-scores").locator('input[value="residual"]').check();
    await visit.page.getByText("Loss landscape", { exact: true }).click();
    await visit.part("landscape-scan").click();
    await visit.page.waitForFunction(() => document.querySelector('[data-testid="finetune-progress"]').dataset.phase === "scanning");
    await visit.part("landscape-summary").getByText(/\[Fe\/H\], Residual head: rms error \d+\.\d+ dex with the fine-tuned weights, over 40 labelled spectra/).waitFor();
    await waitForTraining(visit);
    const heatmap = await visit.part("landscape-chart").locator("canvas").evaluate((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const colours = new Set();
      for (let i = 0; i < data.length; i += 4) colours.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
      return { ends: [colours.has("68,1,84"), colours.has("253,231,37")], colours: colours.size };
    });
    assert.deepEqual(heatmap.ends, [true, true], "both ends of the colour scale");
    assert.ok(heatmap.colours > 50, `${heatmap.colours} colours`);

    const download = visit.page.waitForEvent("download");
    await visit.part("landscape-csv").click();
    const points = readFileSync(await (await download).path(), "utf8").trim().split("\n");
    assert.equal(points.length, 1 + 21 * 21);
    assert.ok(points.slice(1).every((line) => Number(line.split(",")[2]) > 0));
    await assertAccessible(visit, "landscape");

    // The stop button ends the scan.
    await visit.part("landscape-scan").click();
    await visit.part("finetune-stop").click();
    await waitForTraining(visit);
    assert.equal(await visit.part("landscape-summary").count(), 0);
  }, { timeoutFactor: 2 });

  scenario("training can be paused, resumed and stopped, and the results so far stay", async (visit) => {
    await visit.ready();
    await visit.drop(writeLabelledSet("id,feh", (i) => `star-${i},${mgDepth(i)}`));
    await visit.predictions(STARS);
    await visit.idle();
    // Another base model, which the page downloads first.
    await visit.part("finetune-base").selectOption("lrs-mlp-synthetic");
    await visit.part("base-description").getByText(/no real star/).waitFor();
    await selectStrategies(visit, ["zero-shot", "full"]);
    await visit.part("finetune-compare").click();
    await visit.part("finetune-losses").waitFor();
    await visit.part("finetune-pause").click();
    await visit.page.getByText(/Paused after/).waitFor();
    await visit.part("finetune-pause").click();
    await visit.part("finetune-stop").click();
    await waitForTraining(visit);
    assert.match(await visit.part("finetune-scores").innerText(), /Zero-shot/);
    await visit.part("row").first().click();
    await visit.part("plot-raw").waitFor();
  }, { timeoutFactor: 2 });

  scenario("the page warns about labels that cannot train a model", async (visit) => {
    await visit.ready();
    await visit.drop(writeLabelledSet("id,feh,teff,kind", (i) => `star-${i},${4000 + 50 * i},5000,G2`));
    await visit.predictions(STARS);
    await visit.idle();
    const expectWarning = async (target, text) => {
      await visit.part("finetune-target").selectOption(target);
      await visit.part("finetune-compare").click();
      await visit.part("label-warnings").getByText(text).waitFor();
      await waitForTraining(visit);
    };
    await expectWarning("feh", /outside −7 to 1\.5 dex.*typical of Teff/);
    await expectWarning("teff", /All 40 values of Teff are 5000; one value cannot train a model/);
    assert.equal(await visit.part("finetune-target").locator("option").count(), 2, "text columns are not offered");
  });
});
