// Runs the whole benchmark.
// `node run.js URL-OF-BENCH.HTML [--only CASE-PREFIX] [--json FILE] [--write FILE] [--check] [--once]`
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { evaluateTargets } from "./bars.js";
import { nativeEngines } from "./native.js";
import { formatTime, replaceBetweenMarks, resultsMarkdown, targetLines } from "./report.js";
import { runCases } from "./suite.js";
import { runVisits } from "./visits.js";

const text = { type: "string" };
const flag = { type: "boolean" };
const { values, positionals: [url] } = parseArgs({
  allowPositionals: true, options: { only: text, json: text, write: text, check: flag, once: flag },
});
const { only = "", once = false } = values;

/** Shows the progress in one line of a terminal. */
const onStatus = (message) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${message}`);

/** Prints rows of the result. */
function onRows(rows) {
  onStatus("");
  for (const { case: name, engine, threads, n, median_ms: median, min_ms: min, max_ms: max, error } of rows) {
    const label = `${name.padEnd(24)} ${`${engine} (${threads})`.padEnd(28)}`;
    console.log(error ? `${label} failed: ${error}` : `${label} ${formatTime(median).padStart(9)}  (${formatTime(min)}–${formatTime(max)}, n ${n})`);
  }
}

/** Measures bench.html in a headless browser; returns the rows and the version of the browser. */
async function measureInBrowser() {
  const args = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-unsafe-webgpu"];
  const browser = await chromium.launch({ executablePath: process.env.CHROME, headless: true, args });
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(error.message));
  await page.exposeFunction("onStatus", onStatus);
  await page.exposeFunction("onRows", onRows);
  await page.goto(url);
  const rows = await page.evaluate(async (options) => {
    const { measureHere } = await import("./here.js");
    return measureHere({ ...options, onStatus: self.onStatus, onRows: self.onRows });
  }, { only, once });
  const version = browser.version();
  await browser.close();
  return { rows, version };
}

const start = Date.now();
const { rows, version } = await measureInBrowser();
const native = nativeEngines({ specola: process.env.SPECOLA_ENGINE, python: process.env.BENCH_PYTHON });
rows.push(...await runCases(native, { only, once, onStatus, onRows }));
rows.push(...await runVisits({ only, once, onStatus, onRows }));

console.log(`\n${targetLines(rows).join("\n")}\n\nMeasured in ${((Date.now() - start) / 1000).toFixed(0)} s.`);
if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 1)}\n`);
if (values.write) {
  const machine = `${cpus().length} cores of ${cpus()[0].model}`;
  const environment = { date: new Date().toISOString().slice(0, 10), machine, browser: `Chromium ${version}` };
  writeFileSync(values.write, replaceBetweenMarks(readFileSync(values.write, "utf8"), resultsMarkdown(rows, environment)));
}
const failed = rows.filter(({ error }) => error);
// In a complete run, a target without measurement counts as missed.
const missed = evaluateTargets(rows).filter(({ isMet }) => isMet === false || (isMet === null && !only));
if (failed.length > 0 || (values.check && missed.length > 0)) process.exitCode = 1;
