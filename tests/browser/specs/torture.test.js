// Attacks on the page: many spectra in one file, files that stop or block the engine, several tabs, a browser that does
// not save. Each prints its outcome, memory and time as a row of a table. Small in the suite; `cargo xtask torture` runs
// it at full size, with SPECOLA_TORTURE=full.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { writeBundle } from "../bundles.js";
import { samples } from "../data.js";
import { scenario } from "../scenario.js";

const IS_FULL = process.env.SPECOLA_TORTURE === "full";
const sized = (small, full) => (IS_FULL ? full : small);
const folder = mkdtempSync(join(tmpdir(), "specola-torture-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const row = (attack, result, mib, seconds) => console.log(`| ${attack} | ${result} | ${mib === undefined ? "" : `${mib.toFixed(0)} MiB`} | ${seconds.toFixed(1)} s |`);

/** Peak of the resident memory of the tab's process, with its workers, MiB; undefined where the system does not tell. */
async function peakMemory(visit) {
  const session = await visit.page.context().browser().newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const peaks = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => {
    try {
      return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, "utf8"))[1]) / 1024;
    } catch {
      return undefined;
    }
  });
  return peaks.filter((peak) => peak !== undefined).toSorted((a, b) => b - a)[0];
}

/** Seconds that an action takes. */
async function timed(action) {
  const begin = performance.now();
  await action();
  return (performance.now() - begin) / 1000;
}

/** Predicts a bundle of `n` spectra; the tab needs no more than 1 GiB. */
async function predictBundle(visit, n) {
  visit.page.setDefaultTimeout(sized(60_000, 1_800_000));
  const bundle = join(folder, `${n}.npz`);
  writeBundle(bundle, n);
  await visit.ready();
  const seconds = await timed(async () => {
    await visit.choose([bundle]);
    await visit.part("progress").waitFor();
    await visit.idle();
  });
  const peak = await peakMemory(visit);
  row(`page: bundle of ${n} spectra`, `predicted, ${(n / seconds).toFixed(0)} a second`, peak, seconds);
  assert.ok(peak === undefined || peak < 1024, `${peak} MiB`);
}

const SPECTRA = sized(300, 10_000);
scenario(`a bundle of ${SPECTRA} spectra is predicted, shown and saved`, async (visit) => {
  await predictBundle(visit, SPECTRA);

  // Rows from the beginning were let go from memory; they are found by their place in the file.
  const shown = [];
  for (const n of [0, 1, 2, Math.floor(SPECTRA / 2), SPECTRA - 1, 5, 70]) {
    await visit.part("filter-text").fill(`star-${n}`);
    const target = visit.page.locator(`[data-testid="row"][data-id="star-${n}"]`);
    await target.waitFor();
    // Timed in the page, without the time of the test's own messages.
    shown.push(await visit.page.evaluate(async (id) => {
      const isShown = () => document.querySelector("#detail-title")?.textContent === id
        && document.querySelector('[data-testid="plot-normalised"] canvas');
      const begin = performance.now();
      document.querySelector(`[data-testid="row"][data-id="${id}"]`).click();
      while (!isShown()) await new Promise(requestAnimationFrame);
      return (performance.now() - begin) / 1000;
    }, `star-${n}`));
  }
  row(`page: show one of ${SPECTRA} spectra`, `${shown.length} rows, the slowest in ${(1000 * Math.max(...shown)).toFixed(0)} ms`, undefined, Math.max(...shown));
  await visit.part("filter-text").fill("");

  await visit.part("export").click();
  const download = visit.page.waitForEvent("download");
  const saving = await timed(async () => {
    await visit.part("save-session").click();
    await visit.part("export-progress").waitFor();
    await download;
  });
  row(`page: save the session of ${SPECTRA} spectra`, "saved, with progress", await peakMemory(visit), saving);
  // Saved again and cancelled.
  if (IS_FULL) {
    await visit.part("save-session").click();
    await visit.part("export-cancel").click();
    await visit.page.getByText("Cancelled; nothing was saved.").waitFor();
  }
}, { timeoutFactor: sized(1, 30) });

const MANY = 50_000;
scenario(`a bundle of ${MANY} spectra needs no more than 1 GiB`, (visit) => predictBundle(visit, MANY), {
  skip: !IS_FULL && "only at full size", timeoutFactor: 30,
});

/** Three files of which the second stops the engine while it is read; `fault` runs in the engine's worker. */
async function openWithFault(visit, fault) {
  const [sample] = samples();
  const files = ["a", "fatal", "z"].map((name) => join(folder, `${name}-${sample.split(/[/\\]/).at(-1)}`));
  files.forEach((file) => copyFileSync(sample, file));
  // Another size, by which the fault knows the file.
  const content = readFileSync(sample);
  writeFileSync(files[1], Buffer.concat([content, Buffer.alloc(1)]));
  await visit.ready();
  const [worker] = visit.page.workers();
  await worker.evaluate(fault, content.length + 1);
  await visit.choose(files);
}

scenario("a file that stops the engine is set aside by name, and the others are read", async (visit) => {
  const seconds = await timed(async () => {
    await openWithFault(visit, (size) => {
      const { arrayBuffer } = Blob.prototype;
      Blob.prototype.arrayBuffer = function () {
        if (this.size !== size) return arrayBuffer.call(this);
        // As a panic for lack of memory reports itself.
        self.postMessage("internal error: out of memory");
        return new Promise(() => {});
      };
    });
    await visit.part("skipped").waitFor();
    await visit.page.locator('[data-testid="row"]').nth(1).waitFor();
    await visit.idle();
  });
  const skipped = await visit.part("skipped").innerText();
  assert.match(skipped, /fatal-.*\n?.*the engine stopped while it read this file.*set aside/s);
  const rows = await visit.rows();
  assert.equal(rows.length, 2, "the files before and after it");
  assert.ok(rows.every((found) => found.text.includes("a-") || found.text.includes("z-")));
  row("page: a file that stops the engine", "set aside by name; the files before and after it are read", undefined, seconds);
});

scenario("an engine that hangs is noticed, and its file is set aside", async (visit) => {
  const seconds = await timed(async () => {
    await openWithFault(visit, (size) => {
      const { arrayBuffer } = Blob.prototype;
      Blob.prototype.arrayBuffer = function () {
        while (this.size === size);
        return arrayBuffer.call(this);
      };
    });
    const silent = visit.part("silent");
    await silent.waitFor();
    assert.match(await silent.innerText(), /has sent nothing for \d+ s while it reads fatal-/);
    await silent.getByRole("button", { name: "Set this file aside" }).click();
    await visit.page.locator('[data-testid="row"]').nth(1).waitFor();
    await visit.idle();
  });
  assert.match(await visit.part("skipped").innerText(), /fatal-.*set aside/s);
  row("page: a file at which the engine hangs", "noticed after 30 s, set aside on demand; the others are read", undefined, seconds);
});

scenario("three tabs keep three sessions, and a closed one is offered by name", async (visit) => {
  const files = samples().slice(0, 3);
  const context = visit.page.context();
  const tabs = [visit.page, await context.newPage(), await context.newPage()];
  for (const [i, tab] of tabs.entries()) {
    if (i > 0) await tab.goto(visit.host.url);
    await tab.getByTestId("file-input").setInputFiles([files[i]]);
    await tab.getByTestId("row").first().waitFor();
  }
  await visit.page.waitForTimeout(500);
  for (const tab of tabs.slice(1)) await tab.close();
  const next = await context.newPage();
  await next.goto(visit.host.url);
  await next.getByTestId("restore").waitFor();
  // The latest is offered first, the other one in a list.
  const offered = await next.getByTestId("restore").textContent();
  const name = (file) => file.split(/[/\\]/).at(-1);
  assert.ok(offered.includes(name(files[1])) && offered.includes(name(files[2])), offered);
  assert.ok(!offered.includes(name(files[0])), "the session of an open tab is not offered");
  row("page: three tabs, two closed", "both sessions are offered, that of the open tab is not", undefined, 0);
});

scenario("a browser without room says that it does not keep the files", async (visit) => {
  await visit.ready();
  await visit.page.evaluate(() => {
    IDBObjectStore.prototype.put = () => { throw new DOMException("there is no room", "QuotaExceededError"); };
  });
  await visit.choose(samples().slice(0, 1));
  await visit.predictions(1);
  await visit.part("not-saved").waitFor();
  row("page: no room in the browser's storage", "predicted; a notice says that nothing is kept", undefined, 0);
});

scenario("a database of a newer version is left alone, and the page works", async (visit) => {
  await visit.ready();
  await visit.page.evaluate(() => new Promise((resolve, reject) => {
    const request = indexedDB.open("specola", 99);
    request.onupgradeneeded = () => request.result.createObjectStore("of a newer version");
    request.onsuccess = () => { request.result.close(); resolve(); };
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("blocked"));
  }));
  await visit.page.reload();
  await visit.ready();
  await visit.choose(samples().slice(0, 1));
  await visit.predictions(1);
  await visit.part("not-saved").waitFor();
  const stores = await visit.page.evaluate(() => new Promise((resolve) => {
    const request = indexedDB.open("specola");
    request.onsuccess = () => resolve([...request.result.objectStoreNames]);
  }));
  assert.ok(stores.includes("of a newer version"));
  row("page: a database of a newer version", "predicted; the database is unchanged, a notice says so", undefined, 0);
});
