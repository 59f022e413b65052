// The page and the command line as a whole: from the address to the first answer, and from files to parameters.
import { execFile, execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { samples, scratch } from "../browser/data.js";
import { PATIENCE_MS, Visit, closeBrowser, launched, open } from "../browser/page.js";
import { slowly } from "./link.js";
import { summary } from "./rounds.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The link of a cold start. */
const MEGABITS_PER_SECOND = 20;

/** Visits of each kind, and spectra that are dropped with the number of times. */
const VISITS = 5;
const DROPS = [[1, 5], [100, 3], [5000, 1]];

const version = execFileSync(process.env.SPECOLA_BIN, ["--version"], { encoding: "utf8" }).trim().split(" ").at(-1);

const row = (name, engine, times) => ({ case: name, engine, version, threads: 1, ...summary(times) });

/** A folder of `count` LAMOST files, which are the page's samples again and again. */
function folder(count) {
  const dir = join(scratch(), `night-${count}`);
  mkdirSync(dir);
  const files = samples();
  for (let i = 0; i < count; i += 1) {
    const from = files[i % files.length];
    copyFileSync(from, join(dir, `${String(i).padStart(5, "0")}-${basename(from)}`));
  }
  return dir;
}

/** Milliseconds from the navigation to the first paint, to an engine that can answer, and to the first answer. */
async function start(context, host) {
  const page = await context.newPage();
  const visit = new Visit(page, host);
  await page.goto(host.url);
  // Pressed as soon as it can be: the page keeps it in mind until the engine is there.
  await visit.part("sample-button").click();
  const now = () => page.evaluate(() => performance.now());
  const ready = visit.ready().then(now);
  await visit.answers(1);
  const [answer, engine] = [await now(), await ready];
  const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
  visit.closing = true;
  await page.close();
  return { paint, engine, answer };
}

/** Starts on an empty cache and again on a full one, over the same slow link. */
async function starts(once, say) {
  const times = {};
  const note = (kind, found) => Object.entries(found).forEach(([what, ms]) => (times[`${kind}-start-${what}`] ??= []).push(ms));
  const host = await slowly(new URL(process.env.SPECOLA_URL), (MEGABITS_PER_SECOND * 1e6) / 8);
  const browser = await launched(false);
  for (let i = 0; i < (once ? 1 : VISITS); i += 1) {
    say(`cold and warm start: visit ${i + 1}`);
    const context = await browser.newContext();
    context.setDefaultTimeout(PATIENCE_MS);
    note("cold", await start(context, host));
    note("warm", await start(context, host));
    await context.close();
  }
  host.close();
  return Object.entries(times).map(([name, ms]) => row(name, "specola-cpu", ms));
}

/** Milliseconds from the drop of a folder to the answers of all its spectra. */
async function drop(dir, count) {
  const visit = await open();
  await visit.ready();
  const begun = Date.now();
  await visit.drop([dir]);
  await visit.answers(1);
  const patience = { timeout: 10 * PATIENCE_MS };
  await visit.page.waitForFunction(() => !document.querySelector('[data-testid="progress"]'), null, patience);
  if (count > 1) await visit.page.getByText(`${count} spectra`, { exact: true }).waitFor(patience);
  const ms = Date.now() - begun;
  const memory = await visit.page.workers()[0].evaluate(() => self.engine.memory.buffer.byteLength);
  await visit.close();
  return { ms, memory };
}

/** The same on the command line. */
async function predict(dir) {
  const begun = performance.now();
  await promisify(execFile)(process.env.SPECOLA_BIN, ["predict", dir, "-o", join(scratch(), "out.csv")], { cwd: ROOT, maxBuffer: 1 << 28 });
  return performance.now() - begun;
}

/** All of them whose names begin with `only`. */
export async function visits({ only = "", once = false, say = () => {}, found = () => {} }) {
  const all = [];
  const give = (rows) => {
    const wanted = rows.filter((one) => one.case.startsWith(only));
    if (wanted.length > 0) found(wanted);
    all.push(...wanted);
  };
  const isWanted = (prefix) => prefix.startsWith(only) || only.startsWith(prefix);
  if (isWanted("cold-start") || isWanted("warm-start")) give(await starts(once, say));
  for (const [count, times] of DROPS) {
    const name = `end-to-end-${count}`;
    if (!name.startsWith(only)) continue;
    const dir = folder(count);
    const [page, native] = [[], []];
    for (let i = 0; i < (once ? 1 : times); i += 1) {
      say(`${name}: ${i + 1} of ${times}`);
      const { ms, memory } = await drop(dir, count);
      say(`${name}: ${(memory / 1e6).toFixed(0)} MB in the engine's worker`);
      page.push(ms);
      native.push(await predict(dir));
    }
    give([row(name, "specola-cpu", page), row(name, "specola-native", native)]);
  }
  await closeBrowser();
  return all;
}
