// The GPU engine: loaded only if there is a GPU, used only after its self-test, and replaced by the CPU when it fails.
// Chromium's software renderer serves as the GPU; it is slow, so the page uses it only with ?engine=gpu.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zipSync } from "fflate";
import { cliPredictions, samples, temporaryDirectory } from "../data.js";
import { LABELS, assertPredicted } from "../page.js";
import { scenario } from "../scenario.js";

/** Number of spectra, enough for several full batches of 32: the batch size starts at 1 and doubles. */
const COUNT = 160;

/** Text of the engine status. */
const statusText = (visit) => visit.part("engine-status").innerText();

/** Requested paths of files of the GPU engine. */
const gpuRequests = (visit) => visit.host.requests.filter((path) => /gpu/.test(path) && !path.startsWith("/?"));

/** Waits until the GPU test has ended, and returns the phase. */
async function gpuPhase(visit) {
  const found = await visit.page.waitForFunction(() => {
    const { gpu } = document.querySelector('[data-testid="engine-status"]').dataset;
    return !["untried", "testing"].includes(gpu) && gpu;
  }, null, { timeout: 170_000 });
  return found.jsonValue();
}

/** Path of a zip with many copies of the samples. */
function manySpectra() {
  const sample = samples().map((path) => readFileSync(path));
  const files = Array.from({ length: COUNT }, (_, i) => [`star-${String(i).padStart(3, "0")}.fits.gz`, sample[i % sample.length]]);
  const path = join(temporaryDirectory(), "many.zip");
  writeFileSync(path, zipSync(Object.fromEntries(files), { level: 0 }));
  return path;
}

/** Fails unless every row has the prediction of the command line program for its sample. */
function assertEqualToCli(rows) {
  const want = cliPredictions(samples());
  assert.equal(rows.length, COUNT);
  for (const row of rows) {
    assertPredicted(row);
    const near = want.find((record) => Math.abs(Number(record.teff) - row.values.teff.value) < 1);
    assert.ok(near, `${row.id}: no sample has ${row.values.teff.value} K`);
    for (const label of LABELS) {
      const { value, error } = row.values[label];
      const off = Math.abs(value - Number(near[label]));
      assert.ok(off < 0.01 * error, `${row.id}: ${label} is ${value}, CLI ${near[label]}`);
    }
  }
}

scenario("without an adapter the GPU engine is not loaded", async (visit) => {
  await visit.sample();
  assert.equal(await gpuPhase(visit), "absent");
  await visit.idle();
  assert.deepEqual(gpuRequests(visit), []);
  assert.match(await statusText(visit), /Computing on CPU/);
});

scenario("where WebGPU is only emulated, the CPU stays and the page says so", async (visit) => {
  await visit.sample();
  assert.equal(await gpuPhase(visit), "absent");
  assert.match(await statusText(visit), /Computing on CPU[^]*emulated/);
  assert.deepEqual(gpuRequests(visit), []);
}, { webgpu: true });

scenario("the page address can select the CPU", async (visit) => {
  await visit.sample();
  assert.equal(await gpuPhase(visit), "absent");
  assert.match(await statusText(visit), /selects the CPU/);
  assert.deepEqual(gpuRequests(visit), []);
}, { webgpu: true, query: "?engine=cpu" });

scenario("a GPU that fails its test is not used, and the page shows the reason", async (visit) => {
  await visit.sample();
  assert.equal(await gpuPhase(visit), "failed");
  assert.match(await statusText(visit), /Computing on CPU[^]*a matrix product came out wrong[^]*The CPU computes everything/);
  await visit.part("clear").click();
  await visit.sample();
}, { webgpu: true, query: "?engine=gpu&gpu-fault=self-test", timeoutFactor: 2 });

scenario("the page works if the GPU engine does not load", async (visit) => {
  await visit.sample();
  assert.equal(await gpuPhase(visit), "failed");
  assert.match(await statusText(visit), /Computing on CPU[^]*could not be loaded/);
}, { webgpu: true, query: "?engine=gpu", lose: (path) => path === "gpu.js", expects: [/404/, /ERR_ABORTED.*gpu\.js/] });

scenario("a GPU that passed its test predicts the same values as the CPU", async (visit) => {
  await visit.ready();
  const before = Date.now();
  assert.equal(await gpuPhase(visit), "active");
  console.log(`tested in ${((Date.now() - before) / 1000).toFixed(1)} s: ${await statusText(visit)}`);
  assert.match(await statusText(visit), /Computing on GPU and CPU[^]*passed its test/);
  await visit.drop([manySpectra()]);
  assertEqualToCli(await visit.predictions(COUNT));
  await visit.idle();
  assert.equal(await gpuPhase(visit), "active", "still active after the batches");
}, { webgpu: true, query: "?engine=gpu", timeoutFactor: 2 });

scenario("no prediction is lost when the GPU fails during a batch", async (visit) => {
  await visit.ready();
  assert.equal(await gpuPhase(visit), "active");
  await visit.drop([manySpectra()]);
  assertEqualToCli(await visit.predictions(COUNT));
  await visit.idle();
  assert.equal(await gpuPhase(visit), "lost");
  assert.match(await statusText(visit), /Computing on CPU[^]*The CPU took over; no result was lost/);
}, { webgpu: true, query: "?engine=gpu&gpu-fault=loss", timeoutFactor: 2 });
