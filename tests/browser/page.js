// The page as a person meets it: what can be done on it and what it shows, by the names it gives its parts.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { site } from "./site.js";

/** The parameters of a row, by their column names. */
export const LABELS = ["teff", "logg", "feh", "alpha_fe", "rv"];

/** A guard against hanging, not a measure: machines differ. */
export const PATIENCE_MS = 60_000;

const FLAGS = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Gives a headless browser the software renderer for WebGPU; without it there is no adapter. */
const WEBGPU = "--enable-unsafe-webgpu";

/** One browser for all visits of a spec file, and one more for those with WebGPU; every visit has a fresh profile in it. */
const browsers = new Map();

/** The browser with or without WebGPU. */
export function launched(webgpu) {
  if (!browsers.has(webgpu)) {
    const args = webgpu ? [...FLAGS, WEBGPU] : FLAGS;
    browsers.set(webgpu, chromium.launch({ executablePath: process.env.CHROME, headless: true, args }));
  }
  return browsers.get(webgpu);
}

/** Ends the browsers that were started. */
export async function closeBrowser() {
  for (const browser of browsers.values()) await (await browser).close();
}

/**
 * Opens the page in a fresh profile.
 * @param {object} [options] those of `site`, `viewport`, `colorScheme`, `touch`; `webgpu`: whether there is an adapter;
 *   `query` of the page's address; `kept`: whether the page may keep itself for visits offline. Without it every file comes
 *   from the server, which is what most specs look at.
 */
export async function open(options = {}) {
  const {
    viewport = { width: 1280, height: 800 }, colorScheme = "light", touch = false, webgpu = false, query = "", kept = false, ...relay
  } = options;
  const host = await site(relay);
  const browser = await launched(webgpu);
  const context = await browser.newContext({
    viewport, colorScheme, hasTouch: touch, isMobile: touch, reducedMotion: "reduce", serviceWorkers: kept ? "allow" : "block",
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const visit = new Visit(page, host);
  await page.goto(host.url + query);
  await visit.part("drop-zone").waitFor();
  return visit;
}

/** One person's visit. */
export class Visit {
  constructor(page, host) {
    this.page = page;
    this.host = host;
    this.problems = [];
    this.strangers = [];
    const origin = new URL(host.url).origin;
    page.on("console", (message) => {
      // The browser's own remark to everyone who asks for a GPU where there is none.
      if (message.text() === "No available adapters.") return;
      // The test's own remark where the page may not keep itself.
      if (message.text() === "Service Worker registration blocked by Playwright") return;
      if (["error", "warning", "assert"].includes(message.type())) this.problems.push(message.text());
    });
    page.on("pageerror", (error) => this.problems.push(`uncaught: ${error.message}`));
    page.context().on("request", (request) => {
      const { protocol, origin: of } = new URL(request.url());
      if (!["blob:", "data:"].includes(protocol) && of !== origin) this.strangers.push(request.url());
    });
    page.context().on("requestfailed", (request) => {
      if (!this.closing) this.problems.push(`${request.failure()?.errorText}: ${request.url()}`);
    });
  }

  /** A part of the page by its test id. */
  part(id) {
    return this.page.getByTestId(id);
  }

  /** Waits until the engine answers; fails with the page's own words if it cannot. */
  async ready() {
    const state = await this.engine("ready", "unavailable", "stopped");
    assert.equal(state, "ready", await this.part("engine-status").innerText());
  }

  /** Waits until the engine is in one of these states, and returns it. */
  async engine(...states) {
    const found = await this.page.waitForFunction((states) => {
      // None for a moment after a reload.
      const state = document.querySelector('[data-testid="engine-status"]')?.dataset.state;
      return states.includes(state) && state;
    }, states);
    return found.jsonValue();
  }

  /** Chooses files through the file picker. */
  async choose(files) {
    await this.part("file-input").setInputFiles(files);
  }

  /** Drops files and folders of this machine, as the system's file manager does. */
  async drop(paths) {
    const cdp = await this.page.context().newCDPSession(this.page);
    await this.part("drop-zone").scrollIntoViewIfNeeded();
    const box = await this.part("drop-zone").boundingBox();
    const at = { x: box.x + box.width / 2, y: box.y + Math.min(box.height / 2, 100) };
    const data = { items: [], files: paths, dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"]) {
      await cdp.send("Input.dispatchDragEvent", { type, ...at, data });
    }
    await cdp.detach();
  }

  /** Presses the sample button and waits for the first answer. */
  async sample() {
    await this.ready();
    await this.part("sample-button").click();
    await this.answers(1);
  }

  /** Waits until at least `count` rows have all their parameters, and returns every row. */
  async answers(count) {
    await this.page.waitForFunction(
      ([count, labels]) => {
        const rows = [...document.querySelectorAll('[data-testid="row"]')];
        const has = (row, label) => row.querySelector(`[data-testid="cell-${label}"]`)?.dataset.value !== undefined;
        return rows.filter((row) => labels.every((label) => has(row, label))).length >= count;
      },
      [count, LABELS],
    );
    return this.rows();
  }

  /** Compares these strategies, with these numbers among the settings, and waits until nothing is learned any more. */
  async learn(strategies, settings = {}) {
    for (const name of ["zero-shot", "residual", "lora", "full", "scratch"]) {
      await this.part(`strategy-${name}`).setChecked(strategies.includes(name));
    }
    await this.page.getByText("Settings", { exact: true }).click();
    for (const [name, value] of Object.entries(settings)) {
      await this.page.getByLabel(name, { exact: true }).fill(String(value));
      await this.page.getByLabel(name, { exact: true }).blur();
    }
    await this.part("teach-compare").click();
    // Of thousands of spectra it takes a while.
    const patience = { timeout: 5 * PATIENCE_MS };
    await this.part("teach-scores").waitFor(patience);
    await this.page.waitForFunction(() => document.querySelector('[data-testid="teach-progress"]').dataset.phase === "idle", null, patience);
  }

  /** Waits until no job runs. */
  async idle() {
    await this.page.waitForFunction(() => !document.querySelector('[data-testid="cancel"]'));
  }

  /**
   * What the table shows: for each row its id, its text, its flags, and value and error of each parameter it has.
   * Numbers are the unrounded ones that the cells carry beside their text.
   */
  rows() {
    return this.page.evaluate((labels) => [...document.querySelectorAll('[data-testid="row"]')].map((row) => {
      const values = {};
      for (const label of labels) {
        const cell = row.querySelector(`[data-testid="cell-${label}"]`);
        if (cell?.dataset.value === undefined) continue;
        const { value, error } = cell.dataset;
        values[label] = { value: Number(value), error: Number(error), text: cell.textContent.trim() };
      }
      const flags = row.querySelector('[data-testid="flags"]')?.textContent.trim() ?? "";
      return { id: row.dataset.id, text: row.textContent, flags, values };
    }), LABELS);
  }

  /** Fails if the page wrote to the console, failed to load something, or asked another origin for anything. */
  mustBeQuiet(expects = []) {
    const unexpected = this.problems.filter((problem) => !expects.some((expected) => expected.test(problem)));
    assert.deepEqual(unexpected, [], "the console stays empty and every request succeeds");
    assert.deepEqual(this.strangers, [], "no request leaves the origin");
  }

  async close() {
    this.closing = true;
    await this.page.context().close();
    this.host.close();
  }
}

/** Fails unless a row has every parameter, with a finite value and a positive, finite error. */
export function mustBeAnswered(row) {
  for (const label of LABELS) {
    const { value, error, text } = row.values[label] ?? {};
    assert.ok(Number.isFinite(value), `${row.id}: ${label} is a number, not ${value}`);
    assert.ok(Number.isFinite(error) && error > 0, `${row.id}: the error of ${label} is positive, not ${error}`);
    assert.match(text, /\d/, `${row.id}: ${label} is shown`);
  }
}
