// Weights reach the engine whole or not at all, and are fetched once.
import assert from "node:assert/strict";
import { scenario } from "../scenario.js";

const isChunk = (path) => /^models\/.*\.bin$/.test(path);
const fetched = (visit) => visit.host.requests.filter((path) => path.endsWith(".bin")).length;
const SPOILT = [/ERR_/, /404/];

/** Spoils what is asked for the first time. */
function firstTime(harm) {
  const seen = new Set();
  return (path) => {
    if (!isChunk(path) || seen.has(path)) return undefined;
    seen.add(path);
    return harm;
  };
}

for (const harm of ["break", "damage"]) {
  scenario(`parts that ${harm === "break" ? "break off" : "arrive damaged"} once are fetched again`, async (visit) => {
    await visit.sample();
    assert.equal(fetched(visit), 4, "two parts, twice each");
  }, { spoil: firstTime(harm), expects: SPOILT });
}

let broken = true;
scenario("a download that broke off goes on with what was missing", async (visit) => {
  await visit.engine("unavailable");
  assert.match(await visit.part("engine-status").innerText(), /part 2 of 2 .*check the connection and reload the page/s);
  const before = fetched(visit);
  assert.equal(before, 4, "the first part once, the second three times");
  broken = false;
  await visit.page.reload();
  await visit.ready();
  assert.equal(fetched(visit) - before, 1, "only the second part is fetched");
}, { spoil: lastPartWhile(() => broken), expects: SPOILT });

/** Breaks the second part while `condition` holds. */
function lastPartWhile(condition) {
  const parts = [];
  return (path) => {
    if (isChunk(path) && !parts.includes(path)) parts.push(path);
    return condition() && path === parts[1] ? "break" : undefined;
  };
}

scenario("parts that always arrive damaged are never used", async (visit) => {
  await visit.engine("unavailable");
  assert.match(await visit.part("engine-status").innerText(), /is damaged: sha256 .*the manifest says/s);
}, { spoil: (path) => (isChunk(path) ? "damage" : undefined), expects: SPOILT });

let offline = false;
scenario("a second visit fetches no weights, also without the server's models", async (visit) => {
  await visit.ready();
  assert.equal(fetched(visit), 2);
  offline = true;
  await visit.page.reload();
  await visit.sample();
  assert.equal(fetched(visit), 2, "all came from this device");
}, { lose: (path) => offline && path.startsWith("models/"), expects: SPOILT });

scenario("weights that were damaged on this device are fetched again", async (visit) => {
  await visit.ready();
  await visit.page.evaluate(async () => {
    const cache = await caches.open("specola-models");
    const [part] = (await cache.keys()).filter(({ url }) => url.endsWith(".bin"));
    await cache.put(part, new Response(new Uint8Array(1000)));
  });
  await visit.page.reload();
  await visit.sample();
  assert.equal(fetched(visit), 3);
});

scenario("what is kept on this device is told, and deleted on demand", async (visit) => {
  await visit.ready();
  await visit.part("model-card").locator("summary").click();
  await visit.page.getByText(/8\.\d MB in 3 files/).waitFor();
  await visit.part("delete-models").click();
  await visit.page.getByText("Nothing is kept.").waitFor();
  await visit.page.reload();
  await visit.ready();
  assert.equal(fetched(visit), 4, "both parts, at both visits");
});
