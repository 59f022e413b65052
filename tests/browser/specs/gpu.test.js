// The GPU engine: fetched only where there is a GPU, trusted only after its test, and missed by nobody when it goes.
// Chromium's software renderer stands in for a GPU; it is slow, so that only an address with ?engine=gpu makes the page
// take it.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zipSync } from "fflate";
import { predictions, samples, scratch } from "../data.js";
import { LABELS, mustBeAnswered } from "../page.js";
import { scenario } from "../scenario.js";

/** Enough for several full batches of 32: batches of a job begin with one spectrum and double. */
const COUNT = 160;

/** Text of the line that says where the page computes. */
const line = (visit) => visit.part("engine-status").innerText();

/** Paths of everything of the GPU engine that was asked for. */
const fetched = (visit) => visit.host.requests.filter((path) => /gpu/.test(path) && !path.startsWith("/?"));

/** Waits until the page is done with the GPU one way or another, and returns how. */
async function settled(visit) {
  const found = await visit.page.waitForFunction(() => {
    const { gpu } = document.querySelector('[data-testid="engine-status"]').dataset;
    return !["untried", "testing"].includes(gpu) && gpu;
  }, null, { timeout: 170_000 });
  return found.jsonValue();
}

/** A zip with many copies of the samples. */
function many() {
  const sample = samples().map((path) => readFileSync(path));
  const files = Array.from({ length: COUNT }, (_, i) => [`star-${String(i).padStart(3, "0")}.fits.gz`, sample[i % sample.length]]);
  const path = join(scratch(), "many.zip");
  writeFileSync(path, zipSync(Object.fromEntries(files), { level: 0 }));
  return path;
}

/** Every row has the answer that the command line gives for its sample. */
function mustBeRight(rows) {
  const want = predictions(samples());
  assert.equal(rows.length, COUNT);
  for (const row of rows) {
    mustBeAnswered(row);
    const near = want.find((record) => Math.abs(Number(record.teff) - row.values.teff.value) < 1);
    assert.ok(near, `${row.id}: no sample has ${row.values.teff.value} K`);
    for (const label of LABELS) {
      const { value, error } = row.values[label];
      const off = Math.abs(value - Number(near[label]));
      assert.ok(off < 0.01 * error, `${row.id}: ${label} is ${value}, natively ${near[label]}`);
    }
  }
}

scenario("without an adapter nothing of the GPU engine is fetched", async (visit) => {
  await visit.sample();
  assert.equal(await settled(visit), "absent");
  await visit.idle();
  assert.deepEqual(fetched(visit), []);
  assert.match(await line(visit), /Computing on CPU/);
});

scenario("where WebGPU is only emulated, the CPU stays and the page says so", async (visit) => {
  await visit.sample();
  assert.equal(await settled(visit), "absent");
  assert.match(await line(visit), /Computing on CPU[^]*emulated/);
  assert.deepEqual(fetched(visit), []);
}, { webgpu: true });

scenario("the address can ask for the CPU", async (visit) => {
  await visit.sample();
  assert.equal(await settled(visit), "absent");
  assert.match(await line(visit), /asks for the CPU/);
  assert.deepEqual(fetched(visit), []);
}, { webgpu: true, query: "?engine=cpu" });

scenario("a GPU that fails its test is not used, and the page says why", async (visit) => {
  await visit.sample();
  assert.equal(await settled(visit), "failed");
  assert.match(await line(visit), /Computing on CPU[^]*a matrix product came out wrong[^]*The CPU computes everything/);
  await visit.part("clear").click();
  await visit.sample();
}, { webgpu: true, query: "?engine=gpu&gpu-fault=self-test", patience: 2 });

scenario("a GPU engine that does not arrive leaves a page that works", async (visit) => {
  await visit.sample();
  assert.equal(await settled(visit), "failed");
  assert.match(await line(visit), /Computing on CPU[^]*could not be loaded/);
}, { webgpu: true, query: "?engine=gpu", lose: (path) => path === "gpu.js", expects: [/404/, /ERR_ABORTED.*gpu\.js/] });

scenario("a GPU that passed its test answers full batches as the CPU does", async (visit) => {
  await visit.ready();
  const before = Date.now();
  assert.equal(await settled(visit), "answering");
  console.log(`tested in ${((Date.now() - before) / 1000).toFixed(1)} s: ${await line(visit)}`);
  assert.match(await line(visit), /Computing on GPU and CPU[^]*passed its test/);
  await visit.drop([many()]);
  mustBeRight(await visit.answers(COUNT));
  await visit.idle();
  assert.equal(await settled(visit), "answering", "nothing went wrong on the way");
}, { webgpu: true, query: "?engine=gpu", patience: 2 });

scenario("a GPU that is lost in the middle of a batch loses no answer", async (visit) => {
  await visit.ready();
  assert.equal(await settled(visit), "answering");
  await visit.drop([many()]);
  mustBeRight(await visit.answers(COUNT));
  await visit.idle();
  assert.equal(await settled(visit), "lost");
  assert.match(await line(visit), /Computing on CPU[^]*The CPU took over and nothing was lost/);
}, { webgpu: true, query: "?engine=gpu&gpu-fault=loss", patience: 2 });
