// The complete page and the command line: the time from opening the page to the first prediction, and from files to
// parameters.
import { execFile, execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { samples, temporaryDirectory } from "../browser/data.js";
import { TIMEOUT_MS, Visit, closeBrowser, launchBrowser, openPage } from "../browser/page.js";
import { startSlowProxy } from "./link.js";
import { summarise } from "./rounds.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Rate of the connection for cold and warm starts. */
const MEGABITS_PER_SECOND = 20;

/** Number of cold and of warm starts. */
const N_STARTS = 5;

/** Number of dropped spectra, and how many times they are dropped. */
const DROPS = [[1, 5], [100, 3], [5000, 1]];

const version = execFileSync(process.env.SPECOLA_BIN, ["--version"], { encoding: "utf8" }).trim().split(" ").at(-1);

const row = (name, engine, times) => ({ case: name, engine, version, threads: 1, ...summarise(times) });

/** Makes a folder of `count` LAMOST files, copies of the page's samples. */
function makeFolder(count) {
  const dir = join(temporaryDirectory(), `night-${count}`);
  mkdirSync(dir);
  const files = samples();
  for (let i = 0; i < count; i += 1) {
    const source = files[i % files.length];
    copyFileSync(source, join(dir, `${String(i).padStart(5, "0")}-${basename(source)}`));
  }
  return dir;
}

/** Times from the navigation to the first paint, to the ready engine, and to the first prediction, ms. */
async function timeStart(context, host) {
  const page = await context.newPage();
  const visit = new Visit(page, host);
  await page.goto(host.url);
  // Clicks as early as possible: the page opens the sample when the engine is ready.
  await visit.part("sample-button").click();
  const now = () => page.evaluate(() => performance.now());
  const ready = visit.ready().then(now);
  await visit.predictions(1);
  const [answer, engine] = [await now(), await ready];
  const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
  visit.closing = true;
  await page.close();
  return { paint, engine, answer };
}

/** Starts with an empty cache, then with a full cache, over the same slow connection. */
async function timeStarts(once, onStatus) {
  const times = {};
  const record = (kind, measured) =>
    Object.entries(measured).forEach(([event, ms]) => (times[`${kind}-start-${event}`] ??= []).push(ms));
  const host = await startSlowProxy(new URL(process.env.SPECOLA_URL), (MEGABITS_PER_SECOND * 1e6) / 8);
  const browser = await launchBrowser(false);
  for (let i = 0; i < (once ? 1 : N_STARTS); i += 1) {
    onStatus(`cold and warm start: visit ${i + 1}`);
    const context = await browser.newContext();
    context.setDefaultTimeout(TIMEOUT_MS);
    record("cold", await timeStart(context, host));
    record("warm", await timeStart(context, host));
    await context.close();
  }
  host.close();
  return Object.entries(times).map(([name, ms]) => row(name, "specola-cpu", ms));
}

/** Time from the drop of a folder to the predictions of all its spectra, ms; and the engine's memory, bytes. */
async function timeDrop(dir, count) {
  const visit = await openPage();
  await visit.ready();
  const start = Date.now();
  await visit.drop([dir]);
  await visit.predictions(1);
  const timeout = { timeout: 10 * TIMEOUT_MS };
  await visit.page.waitForFunction(() => !document.querySelector('[data-testid="progress"]'), null, timeout);
  if (count > 1) await visit.page.getByText(`${count} spectra`, { exact: true }).waitFor(timeout);
  const ms = Date.now() - start;
  const memory = await visit.page.workers()[0].evaluate(() => self.engine.memory.buffer.byteLength);
  await visit.close();
  return { ms, memory };
}

/** Time of the command line for the same folder, ms. */
async function timeCli(dir) {
  const start = performance.now();
  await promisify(execFile)(process.env.SPECOLA_BIN, ["predict", dir, "-o", join(temporaryDirectory(), "out.csv")], { cwd: ROOT, maxBuffer: 1 << 28 });
  return performance.now() - start;
}

/** Runs the cases of this file whose names begin with `only`; returns their rows. */
export async function runVisits({ only = "", once = false, onStatus = () => {}, onRows = () => {} }) {
  const all = [];
  const addRows = (rows) => {
    const selected = rows.filter((added) => added.case.startsWith(only));
    if (selected.length > 0) onRows(selected);
    all.push(...selected);
  };
  const isSelected = (prefix) => prefix.startsWith(only) || only.startsWith(prefix);
  if (isSelected("cold-start") || isSelected("warm-start")) addRows(await timeStarts(once, onStatus));
  for (const [count, times] of DROPS) {
    const name = `end-to-end-${count}`;
    if (!name.startsWith(only)) continue;
    const dir = makeFolder(count);
    const [page, native] = [[], []];
    for (let i = 0; i < (once ? 1 : times); i += 1) {
      onStatus(`${name}: ${i + 1} of ${times}`);
      const { ms, memory } = await timeDrop(dir, count);
      onStatus(`${name}: ${(memory / 1e6).toFixed(0)} MB in the engine's worker`);
      page.push(ms);
      native.push(await timeCli(dir));
    }
    addRows([row(name, "specola-cpu", page), row(name, "specola-native", native)]);
  }
  await closeBrowser();
  return all;
}
