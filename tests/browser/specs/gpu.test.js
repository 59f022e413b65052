// The GPU engine: the page loads it only if there is a GPU, uses it only after its self-test, and returns to the CPU
// when it fails. Chromium's software renderer serves as the GPU; it is slow, so the page uses it only with ?engine=gpu.
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

/** Waits until the self-test of the GPU has ended, and returns the state of the GPU engine. */
async function gpuState(visit) {
  const handle = await visit.page.waitForFunction(() => {
    const { gpu } = document.querySelector('[data-testid="engine-status"]').dataset;
    return !["untried", "testing"].includes(gpu) && gpu;
  }, null, { timeout: 170_000 });
  return handle.jsonValue();
}

/** Writes a zip with `COUNT` copies of the samples; returns its path. */
function writeManySpectra() {
  const contents = samples().map((path) => readFileSync(path));
  const files = Array.from({ length: COUNT }, (_, i) => [`star-${String(i).padStart(3, "0")}.fits.gz`, contents[i % contents.length]]);
  const path = join(temporaryDirectory(), "many.zip");
  writeFileSync(path, zipSync(Object.fromEntries(files), { level: 0 }));
  return path;
}

/** Fails unless every row has the prediction of the command line program for its sample. */
function assertEqualToCli(rows) {
  const records = cliPredictions(samples());
  assert.equal(rows.length, COUNT);
  for (const row of rows) {
    assertPredicted(row);
    const expected = records.find((record) => Math.abs(Number(record.teff) - row.values.teff.value) < 1);
    assert.ok(expected, `${row.id}: no sample has ${row.values.teff.value} K`);
    for (const label of LABELS) {
      const { value, error } = row.values[label];
      const difference = Math.abs(value - Number(expected[label]));
      assert.ok(difference < 0.01 * error, `${row.id}: ${label} is ${value}, on the command line ${expected[label]}`);
    }
  }
}

scenario("on a computer without GPU the GPU engine is not loaded", async (visit) => {
  await visit.openSample();
  assert.equal(await gpuState(visit), "absent");
  await visit.idle();
  assert.deepEqual(gpuRequests(visit), []);
  assert.match(await statusText(visit), /Computing on CPU/);
});

scenario("where WebGPU is emulated on the CPU, the page uses its CPU engine and reports the reason", async (visit) => {
  await visit.openSample();
  assert.equal(await gpuState(visit), "absent");
  assert.match(await statusText(visit), /Computing on CPU[^]*emulates WebGPU in software/);
  assert.deepEqual(gpuRequests(visit), []);
}, { webgpu: true });

scenario("?engine=cpu in the page address selects the CPU", async (visit) => {
  await visit.openSample();
  assert.equal(await gpuState(visit), "absent");
  assert.match(await statusText(visit), /as the page address requests/);
  assert.deepEqual(gpuRequests(visit), []);
}, { webgpu: true, query: "?engine=cpu" });

scenario("a GPU that fails its self-test is not used, and the page shows the reason", async (visit) => {
  await visit.openSample();
  assert.equal(await gpuState(visit), "failed");
  assert.match(await statusText(visit), /Computing on CPU[^]*a matrix product is wrong[^]*The CPU computes everything/);
  await visit.part("clear").click();
  await visit.openSample();
}, { webgpu: true, query: "?engine=gpu&gpu-fault=self-test", timeoutFactor: 2 });

scenario("the page computes on the CPU if the GPU engine cannot be loaded", async (visit) => {
  await visit.openSample();
  assert.equal(await gpuState(visit), "failed");
  assert.match(await statusText(visit), /Computing on CPU[^]*could not be loaded/);
}, { webgpu: true, query: "?engine=gpu", omit: (path) => path === "gpu.js", allowedMessages: [/404/, /ERR_ABORTED.*gpu\.js/] });

scenario("a GPU that passed its self-test predicts the values of the CPU", async (visit) => {
  await visit.ready();
  const start = Date.now();
  assert.equal(await gpuState(visit), "active");
  console.log(`tested in ${((Date.now() - start) / 1000).toFixed(1)} s: ${await statusText(visit)}`);
  assert.match(await statusText(visit), /Computing on GPU and CPU[^]*passed its test/);
  await visit.drop([writeManySpectra()]);
  assertEqualToCli(await visit.predictions(COUNT));
  await visit.idle();
  assert.equal(await gpuState(visit), "active", "the GPU engine is still active after the batches");
}, { webgpu: true, query: "?engine=gpu", timeoutFactor: 2 });

scenario("no prediction is lost when the GPU fails during a batch", async (visit) => {
  await visit.ready();
  assert.equal(await gpuState(visit), "active");
  await visit.drop([writeManySpectra()]);
  assertEqualToCli(await visit.predictions(COUNT));
  await visit.idle();
  assert.equal(await gpuState(visit), "lost");
  assert.match(await statusText(visit), /Computing on CPU[^]*The CPU took over; no result was lost/);
}, { webgpu: true, query: "?engine=gpu&gpu-fault=loss", timeoutFactor: 2 });
