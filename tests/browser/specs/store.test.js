// Weights: downloaded once, verified by hash, resumed after an interruption.
import assert from "node:assert/strict";
import { scenario } from "../scenario.js";

const isChunk = (path) => /^models\/.*\.bin$/.test(path);
const countDownloads = (visit) => visit.host.requests.filter((path) => path.endsWith(".bin")).length;
const EXPECTED_ERRORS = [/ERR_/, /404/];

/** Damages the first response of each weight file. */
function damageFirst(harm) {
  const damaged = new Set();
  return (path) => {
    if (!isChunk(path) || damaged.has(path)) return undefined;
    damaged.add(path);
    return harm;
  };
}

for (const harm of ["break", "damage"]) {
  scenario(`parts that arrive ${harm === "break" ? "truncated" : "damaged"} once are downloaded again`, async (visit) => {
    await visit.sample();
    assert.equal(countDownloads(visit), 4, "two parts, twice each");
  }, { spoil: damageFirst(harm), expects: EXPECTED_ERRORS });
}

let broken = true;
scenario("an interrupted download resumes with the missing part", async (visit) => {
  await visit.engine("unavailable");
  assert.match(await visit.part("engine-status").innerText(), /part 2 of 2 .*check the connection and reload the page/s);
  const before = countDownloads(visit);
  assert.equal(before, 4, "the first part once, the second three times");
  broken = false;
  await visit.page.reload();
  await visit.ready();
  assert.equal(countDownloads(visit) - before, 1, "only the second part is fetched");
}, { spoil: lastPartWhile(() => broken), expects: EXPECTED_ERRORS });

/** Truncates the second part while `condition` holds. */
function lastPartWhile(condition) {
  const parts = [];
  return (path) => {
    if (isChunk(path) && !parts.includes(path)) parts.push(path);
    return condition() && path === parts[1] ? "break" : undefined;
  };
}

scenario("damaged parts are never used", async (visit) => {
  await visit.engine("unavailable");
  assert.match(await visit.part("engine-status").innerText(), /is damaged: sha256 .*the manifest says/s);
}, { spoil: (path) => (isChunk(path) ? "damage" : undefined), expects: EXPECTED_ERRORS });

let offline = false;
scenario("a second visit downloads no weights, even if the server has none", async (visit) => {
  await visit.ready();
  assert.equal(countDownloads(visit), 2);
  offline = true;
  await visit.page.reload();
  await visit.sample();
  assert.equal(countDownloads(visit), 2, "all from the local cache");
}, { lose: (path) => offline && path.startsWith("models/"), expects: EXPECTED_ERRORS });

scenario("damaged weights in the cache are downloaded again", async (visit) => {
  await visit.ready();
  await visit.page.evaluate(async () => {
    const cache = await caches.open("specola-models");
    const [part] = (await cache.keys()).filter(({ url }) => url.endsWith(".bin"));
    await cache.put(part, new Response(new Uint8Array(1000)));
  });
  await visit.page.reload();
  await visit.sample();
  assert.equal(countDownloads(visit), 3);
});

scenario("shows the size of the stored weights, and deletes them on demand", async (visit) => {
  await visit.ready();
  await visit.part("model-card").locator("summary").click();
  await visit.page.getByText(/8\.\d MB in 3 files/).waitFor();
  await visit.part("delete-models").click();
  await visit.page.getByText("No weights are stored.").waitFor();
  await visit.page.reload();
  await visit.ready();
  assert.equal(countDownloads(visit), 4, "both parts at both visits");
});
