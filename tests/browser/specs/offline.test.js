// The page without a connection: after one visit it opens, predicts, fine-tunes and exports offline. A new version is
// offered, never forced. Clearing the local data removes the cached page.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { assertAccessible } from "../accessible.js";
import { N_TRAINING, trainingSet, samples } from "../data.js";
import { assertPredicted } from "../page.js";
import { scenario } from "../scenario.js";

/** Waits until the service worker has cached the page and controls it. */
const waitForCache = (visit) => visit.page.waitForFunction(() => navigator.serviceWorker.controller !== null);

/** Cache names and number of registered service workers. */
const localData = (visit) => visit.page.evaluate(async () => ({
  caches: await caches.keys(),
  workers: (await navigator.serviceWorker.getRegistrations()).length,
}));

/** Names of the caches of the page, one for each version. */
const versions = async (visit) => (await localData(visit)).caches.filter((name) => name.startsWith("specola-page "));

for (const basePath of ["/", "/some/where/"]) {
  scenario(`without a connection the page below ${basePath} predicts, fine-tunes and exports`, async (visit) => {
    await visit.ready();
    await waitForCache(visit);
    await visit.page.context().setOffline(true);
    visit.host.stop();
    const requestsBefore = visit.host.requests.length;
    await visit.page.reload();
    // Some versions of Chromium report a connection again (`navigator.onLine`) after a reload that a service worker
    // answers. The server is stopped, so nothing can be fetched in between.
    await visit.page.context().setOffline(false);
    await visit.page.context().setOffline(true);
    await visit.ready();
    assert.match(await visit.part("offline").innerText(), /Offline/);
    await visit.choose(samples());
    (await visit.predictions(3)).forEach(assertPredicted);
    await visit.idle();
    await visit.part("clear").click();

    await visit.drop(trainingSet());
    await visit.predictions(N_TRAINING);
    await visit.idle();
    await visit.compareStrategies(["zero-shot", "gp"], { Folds: 2, "Maximum epochs": 4 });
    assert.match(await visit.part("finetune-scores").innerText(), /GP correction/);
    await visit.part("finetune-apply").click();
    await visit.part("adapter").waitFor();

    await visit.part("export").click();
    const download = visit.page.waitForEvent("download");
    await visit.part("table-csv").click();
    const table = readFileSync(await (await download).path(), "utf8");
    assert.equal(table.trim().split("\n").length, N_TRAINING + 1, "one header line and one line per star");
    await visit.page.keyboard.press("Escape");
    await assertAccessible(visit, "offline");

    assert.equal(visit.host.requests.length, requestsBefore, "no request reached the server");
    await visit.page.context().setOffline(false);
    await visit.part("offline").waitFor({ state: "detached" });
  }, { basePath, offline: true, timeoutFactor: 2, allowedMessages: [/ERR_(INTERNET_DISCONNECTED|CONNECTION_REFUSED): .*\/models\/\w+\.bin/] });
}

scenario("the page is not cached if one of its files does not match its version", async (visit) => {
  await visit.openSample();
  const state = await visit.page.evaluate(async () => {
    const worker = (await navigator.serviceWorker.getRegistration())?.installing;
    if (worker) await new Promise((resolve) => { worker.onstatechange = () => worker.state === "redundant" && resolve(); });
    return worker?.state ?? "redundant";
  });
  assert.equal(state, "redundant");
  assert.equal(await visit.page.evaluate(() => navigator.serviceWorker.controller), null);
}, { offline: true, edit: (path) => path === "trainer.js" && ((text) => `${text} `), allowedMessages: [/digest|integrity/, /ServiceWorker|trainer\.js/] });

scenario("a damaged file of the cached page is fetched again", async (visit) => {
  await visit.ready();
  await waitForCache(visit);
  const [version] = await versions(visit);
  const damage = (paths) => visit.page.evaluate(async ([version, paths]) => {
    const cache = await caches.open(version);
    for (const path of paths) {
      const { url } = (await cache.keys()).find((request) => request.url.endsWith(path));
      const response = await cache.match(url, { ignoreVary: true });
      const bytes = new Uint8Array(await response.arrayBuffer());
      bytes[bytes.length >> 1] ^= 1;
      await cache.put(url, new Response(bytes, response));
    }
  }, [version, paths]);
  await damage(["/engine.js", "/offline.js"]);
  const before = visit.host.requests.length;
  await visit.page.reload();
  await visit.openSample();
  const fetched = visit.host.requests.slice(before);
  for (const name of ["engine.js", "offline.js"]) {
    assert.equal(fetched.filter((url) => url.endsWith(`/${name}`)).length, 1, `${name} of ${fetched}`);
  }
}, { offline: true });

/** Waits until these versions are cached, by the last words of their names. */
async function waitForVersions(visit, expected) {
  await visit.page.waitForFunction(async (expected) => {
    const names = (await caches.keys()).filter((name) => name.startsWith("specola-page "));
    return names.map((name) => name.split(" ").at(-1)).toSorted().join() === expected.toSorted().join();
  }, expected);
}

/** What a new version on the server differs in: its name, and a training program that does not start. */
const NEW_VERSION = {
  "index.html": (text) => text.replace(/(name="specola-version" content=")[0-9a-f]+/, "$1another"),
  "engine-worker.js": (text) => text.replace(/VERSION = "[0-9a-f]+"/, 'VERSION = "another"'),
  "trainer.js": () => "throw new Error('the trainer of another version');",
};
const built = (path) => readFileSync(new URL(`../../../dist/${path}`, import.meta.url), "utf8");
const hashOf = (text) => `sha256-${createHash("sha256").update(text).digest("base64")}`;

/** The edit of a file of the new version, whose service worker has other hashes. */
function editToNew(path) {
  if (path === "service-worker.js") {
    return (text) => Object.entries(NEW_VERSION).reduce(
      (text, [file, edit]) => text.replace(hashOf(built(file)), hashOf(edit(built(file)))),
      text.replace(/"version":"[0-9a-f]+"/, '"version":"another"'),
    );
  }
  return NEW_VERSION[path || "index.html"];
}

let isNew = false;
scenario("a new version is offered, and activated on demand", async (visit) => {
  await visit.ready();
  await waitForCache(visit);
  const before = (await versions(visit))[0].split(" ").at(-1);
  isNew = true;
  await visit.page.reload();
  await visit.part("update").waitFor();
  await assertAccessible(visit, "a new version is available");
  await visit.openSample();
  await visit.idle();
  // Both versions are cached until the user decides.
  await waitForVersions(visit, [before, "another"]);
  await Promise.all([visit.page.waitForEvent("load"), visit.part("update-now").click()]);
  await visit.part("restore").waitFor();
  await visit.ready();
  await waitForVersions(visit, ["another"]);
  assert.equal(await visit.part("update").count(), 0);
}, { offline: true, edit: (path) => isNew && editToNew(path) });

let isNewForTabs = false;
scenario("a tab keeps the files of its version while another tab uses a new one", async (visit) => {
  await visit.ready();
  await waitForCache(visit);
  const before = (await versions(visit))[0].split(" ").at(-1);
  await visit.drop(trainingSet());
  await visit.predictions(N_TRAINING);
  await visit.idle();

  isNewForTabs = true;
  const other = await visit.page.context().newPage();
  await other.goto(visit.host.url);
  await other.getByTestId("update").waitFor();
  await Promise.all([other.waitForEvent("load"), other.getByTestId("update-now").click()]);
  await other.locator('[data-testid="engine-status"][data-state="ready"]').waitFor();
  assert.equal(await other.locator("meta[name=specola-version]").getAttribute("content"), "another");

  // The trainer of the new version does not start; this tab has that of its own.
  await visit.compareStrategies(["zero-shot", "gp"], { Folds: 2, "Maximum epochs": 4 });
  assert.match(await visit.part("finetune-scores").innerText(), /GP correction/);
  assert.deepEqual((await versions(visit)).map((name) => name.split(" ").at(-1)).toSorted(), [before, "another"].toSorted());
}, { offline: true, timeoutFactor: 2, edit: (path) => isNewForTabs && editToNew(path) });

scenario("clearing the local data removes caches and service worker", async (visit) => {
  await visit.ready();
  await waitForCache(visit);
  assert.equal((await localData(visit)).caches.length, 2, "weights and page");
  await visit.part("clear-local-data").click();
  await visit.page.getByText("have been deleted").waitFor();
  assert.deepEqual(await localData(visit), { caches: [], workers: 0 });
  await visit.openSample();
}, { offline: true });
