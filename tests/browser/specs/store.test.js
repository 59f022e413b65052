// Model weights: the page downloads them once, verifies them by hash, and resumes an interrupted download.
import assert from "node:assert/strict";
import { scenario } from "../scenario.js";

const isWeightFile = (path) => /^models\/.*\.bin$/.test(path);
const countDownloads = (visit) => visit.host.requests.filter((path) => path.endsWith(".bin")).length;
const ALLOWED_MESSAGES = [/ERR_/, /404/];

/** Damages the first response of each weight file. */
function damageFirst(fault) {
  const damaged = new Set();
  return (path) => {
    if (!isWeightFile(path) || damaged.has(path)) return undefined;
    damaged.add(path);
    return fault;
  };
}

for (const fault of ["truncate", "flip"]) {
  scenario(`weight files that arrive ${fault === "truncate" ? "truncated" : "damaged"} are downloaded again`, async (visit) => {
    await visit.openSample();
    assert.equal(countDownloads(visit), 4, "two parts are requested twice each");
  }, { damage: damageFirst(fault), allowedMessages: ALLOWED_MESSAGES });
}

let isInterrupted = true;
scenario("an interrupted download resumes with the missing part after a reload", async (visit) => {
  await visit.waitForEngine("unavailable");
  assert.match(await visit.part("engine-status").innerText(), /part 2 of 2 .*check the connection and reload the page/s);
  const before = countDownloads(visit);
  assert.equal(before, 4, "the first part is requested once, the second three times");
  isInterrupted = false;
  await visit.page.reload();
  await visit.ready();
  assert.equal(countDownloads(visit) - before, 1, "only the second part is fetched");
}, { damage: truncateSecondPart(() => isInterrupted), allowedMessages: ALLOWED_MESSAGES });

/** Truncates the second part while `condition` holds. */
function truncateSecondPart(condition) {
  const parts = [];
  return (path) => {
    if (isWeightFile(path) && !parts.includes(path)) parts.push(path);
    return condition() && path === parts[1] ? "truncate" : undefined;
  };
}

scenario("weights that fail the hash are never used", async (visit) => {
  await visit.waitForEngine("unavailable");
  assert.match(await visit.part("engine-status").innerText(), /is damaged: sha256 .*the manifest says/s);
}, { damage: (path) => (isWeightFile(path) ? "flip" : undefined), allowedMessages: ALLOWED_MESSAGES });

let areWeightsMissing = false;
scenario("a second visit needs no weights from the server", async (visit) => {
  await visit.ready();
  assert.equal(countDownloads(visit), 2);
  areWeightsMissing = true;
  await visit.page.reload();
  await visit.openSample();
  assert.equal(countDownloads(visit), 2, "the weights come from the local cache");
}, { omit: (path) => areWeightsMissing && path.startsWith("models/"), allowedMessages: ALLOWED_MESSAGES });

scenario("damaged weights in the cache are downloaded again", async (visit) => {
  await visit.ready();
  await visit.page.evaluate(async () => {
    const cache = await caches.open("specola-models");
    const [part] = (await cache.keys()).filter(({ url }) => url.endsWith(".bin"));
    await cache.put(part, new Response(new Uint8Array(1000)));
  });
  await visit.page.reload();
  await visit.openSample();
  assert.equal(countDownloads(visit), 3);
});

scenario("the page shows the size of the stored weights, and deletes them on request", async (visit) => {
  await visit.ready();
  await visit.part("model-card").locator("summary").click();
  await visit.page.getByText(/8\.\d MB in 3 files/).waitFor();
  await visit.part("delete-models").click();
  await visit.page.getByText("No weights are stored.").waitFor();
  await visit.page.reload();
  await visit.ready();
  assert.equal(countDownloads(visit), 4, "both parts are downloaded at both visits");
});
