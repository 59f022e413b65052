// The page without a connection: after one visit it opens, answers, teaches and exports from this device; a new version
// is offered and never forced; what is forgotten is gone.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mustBeAccessible } from "../accessible.js";
import { LESSON, lesson, samples } from "../data.js";
import { mustBeAnswered } from "../page.js";
import { scenario } from "../scenario.js";

/** Waits until the page is kept on this device and served from there. */
const kept = (visit) => visit.page.waitForFunction(() => navigator.serviceWorker.controller !== null);

/** The caches of this page, and how many service workers are registered. */
const traces = (visit) => visit.page.evaluate(async () => ({
  caches: await caches.keys(),
  workers: (await navigator.serviceWorker.getRegistrations()).length,
}));

const versions = async (visit) => (await traces(visit)).caches.filter((name) => name.startsWith("specola-page "));

for (const below of ["/", "/some/where/"]) {
  scenario(`below ${below} a visit without a connection answers, teaches and exports`, async (visit) => {
    await visit.ready();
    await kept(visit);
    await visit.page.context().setOffline(true);
    visit.host.cut();
    const asked = visit.host.requests.length;
    await visit.page.reload();
    await visit.ready();
    assert.match(await visit.part("offline").innerText(), /Offline/);
    await visit.choose(samples());
    (await visit.answers(3)).forEach(mustBeAnswered);
    await visit.idle();
    await visit.part("clear").click();

    await visit.drop(lesson());
    await visit.answers(LESSON);
    await visit.idle();
    await visit.learn(["zero-shot", "residual"], { Folds: 2, "Most epochs": 4 });
    assert.match(await visit.part("teach-scores").innerText(), /Residual head/);
    // Nobody has asked for the emulator while there was a connection.
    assert.match(await visit.part("remarks").innerText(), /The emulator could not be had/);
    await visit.part("teach-adopt").click();
    await visit.part("adapter").waitFor();

    await visit.part("take-away").click();
    const coming = visit.page.waitForEvent("download");
    await visit.part("table-csv").click();
    const table = readFileSync(await (await coming).path(), "utf8");
    assert.equal(table.trim().split("\n").length, LESSON + 1, "the head and every star");
    await visit.page.keyboard.press("Escape");
    await mustBeAccessible(visit, "offline");

    assert.equal(visit.host.requests.length, asked, "nothing reached the server");
    await visit.page.context().setOffline(false);
    await visit.part("offline").waitFor({ state: "detached" });
  }, { below, kept: true, patience: 2, expects: [/ERR_INTERNET_DISCONNECTED: .*\/models\/\w+\.bin/] });
}

scenario("a page of which a part is another version's is not kept", async (visit) => {
  await visit.sample();
  const state = await visit.page.evaluate(async () => {
    const coming = (await navigator.serviceWorker.getRegistration())?.installing;
    if (coming) await new Promise((resolve) => { coming.onstatechange = () => coming.state === "redundant" && resolve(); });
    return coming?.state ?? "redundant";
  });
  assert.equal(state, "redundant");
  assert.equal(await visit.page.evaluate(() => navigator.serviceWorker.controller), null);
}, { kept: true, change: (path) => path === "trainer.js" && ((text) => `${text} `), expects: [/digest|integrity/, /ServiceWorker|trainer\.js/] });

let isNew = false;
scenario("a new version is offered, and shown when it is asked for", async (visit) => {
  await visit.ready();
  await kept(visit);
  const [before] = await versions(visit);
  isNew = true;
  await visit.page.reload();
  await visit.part("update").waitFor();
  await mustBeAccessible(visit, "a new version is there");
  await visit.sample();
  await visit.idle();
  assert.deepEqual((await versions(visit)).toSorted(), [before, before.replace(/\S+$/, "another")].toSorted(), "both, until somebody decides");
  await Promise.all([visit.page.waitForEvent("load"), visit.part("update-now").click()]);
  await visit.part("restore").waitFor();
  await visit.ready();
  assert.deepEqual(await versions(visit), [before.replace(/\S+$/, "another")]);
  assert.equal(await visit.part("update").count(), 0);
}, {
  kept: true,
  change: (path) => isNew && path === "service-worker.js" && ((text) => text.replace(/"version":"[0-9a-f]+"/, '"version":"another"')),
});

scenario("what is forgotten is gone from this device", async (visit) => {
  await visit.ready();
  await kept(visit);
  assert.equal((await traces(visit)).caches.length, 2, "weights and page");
  await visit.part("forget").click();
  await visit.page.getByText("is forgotten").waitFor();
  assert.deepEqual(await traces(visit), { caches: [], workers: 0 });
  await visit.sample();
}, { kept: true });
