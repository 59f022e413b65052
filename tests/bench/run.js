// Measures everything. `node run.js URL-OF-BENCH.HTML [--only CASE-PREFIX] [--json FILE] [--readme FILE] [--check] [--once]`
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { judge } from "./bars.js";
import { nativeEngines } from "./native.js";
import { barLines, between, readme, time } from "./report.js";
import { run } from "./suite.js";
import { visits } from "./visits.js";

const text = { type: "string" };
const flag = { type: "boolean" };
const { values, positionals: [url] } = parseArgs({
  allowPositionals: true, options: { only: text, json: text, readme: text, check: flag, once: flag },
});
const { only = "", once = false } = values;

const say = (what) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${what}`);

function found(rows) {
  say("");
  for (const { case: name, engine, threads, n, median_ms: median, min_ms: min, max_ms: max, error } of rows) {
    const who = `${name.padEnd(24)} ${`${engine} (${threads})`.padEnd(28)}`;
    console.log(error ? `${who} failed: ${error}` : `${who} ${time(median).padStart(9)}  (${time(min)}–${time(max)}, n ${n})`);
  }
}

/** What bench.html measures in a headless browser, and that browser's version. */
async function inBrowser() {
  const args = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-unsafe-webgpu"];
  const browser = await chromium.launch({ executablePath: process.env.CHROME, headless: true, args });
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(error.message));
  await page.exposeFunction("say", say);
  await page.exposeFunction("found", found);
  await page.goto(url);
  const rows = await page.evaluate(async (options) => {
    const { measureHere } = await import("./here.js");
    return measureHere({ ...options, say: self.say, found: self.found });
  }, { only, once });
  const version = browser.version();
  await browser.close();
  return { rows, version };
}

const began = Date.now();
const { rows, version } = await inBrowser();
const native = nativeEngines({ specola: process.env.SPECOLA_ENGINE, python: process.env.BENCH_PYTHON });
rows.push(...await run(native, { only, once, say, found }));
rows.push(...await visits({ only, once, say, found }));

console.log(`\n${barLines(rows).join("\n")}\n\nMeasured in ${((Date.now() - began) / 1000).toFixed(0)} s.`);
if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 1)}\n`);
if (values.readme) {
  const machine = `${cpus().length} cores of ${cpus()[0].model}`;
  const facts = { date: new Date().toISOString().slice(0, 10), machine, browser: `Chromium ${version}` };
  writeFileSync(values.readme, between(readFileSync(values.readme, "utf8"), readme(rows, facts)));
}
const failed = rows.filter(({ error }) => error);
// In a whole run a bar that could not be measured is missed too.
const missed = judge(rows).filter(({ isKept }) => isKept === false || (isKept === null && !only));
if (failed.length > 0 || (values.check && missed.length > 0)) process.exitCode = 1;
