// The page as a user sees it: actions and contents, found by test ids.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { startSite } from "./site.js";

/** The parameters of a row, by their column names. */
export const LABELS = ["teff", "logg", "feh", "alpha_fe", "rv"];

/** Time limit of a step, ms. Only a guard against hanging: machines differ. */
export const TIMEOUT_MS = 60_000;

const FLAGS = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Lets a headless browser use its software renderer for WebGPU; without this flag it has no WebGPU adapter. */
const WEBGPU = "--enable-unsafe-webgpu";

/** One browser for all visits of a spec file, and a second one with WebGPU; every visit has a fresh profile. */
const browsers = new Map();

/** Starts the browser with or without WebGPU, if it is not running. */
export function launchBrowser(webgpu) {
  if (!browsers.has(webgpu)) {
    const args = webgpu ? [...FLAGS, WEBGPU] : FLAGS;
    browsers.set(webgpu, chromium.launch({ executablePath: process.env.CHROME, headless: true, args }));
  }
  return browsers.get(webgpu);
}

/** Closes the browsers. */
export async function closeBrowser() {
  for (const browser of browsers.values()) await (await browser).close();
}

/**
 * Opens the page in a fresh profile.
 * @param {object} [options] the options of `startSite`; `viewport`, `colorScheme`, `touch`; `webgpu`: whether WebGPU is
 *   available; `query`: query string of the page address; `offline`: whether the page may install its service worker.
 *   Without service worker every file comes from the server, as most specs need.
 */
export async function openPage(options = {}) {
  const {
    viewport = { width: 1280, height: 800 }, colorScheme = "light", touch = false, webgpu = false, query = "", offline = false, ...siteOptions
  } = options;
  const host = await startSite(siteOptions);
  const browser = await launchBrowser(webgpu);
  const context = await browser.newContext({
    viewport, colorScheme, hasTouch: touch, isMobile: touch, reducedMotion: "reduce", serviceWorkers: offline ? "allow" : "block",
  });
  context.setDefaultTimeout(TIMEOUT_MS);
  const page = await context.newPage();
  const visit = new Visit(page, host);
  await page.goto(host.url + query);
  await visit.part("drop-zone").waitFor();
  return visit;
}

/** One visit to the page. */
export class Visit {
  constructor(page, host) {
    this.page = page;
    this.host = host;
    this.problems = [];
    this.foreignRequests = [];
    const origin = new URL(host.url).origin;
    page.on("console", (message) => {
      // Logged by the browser when there is no GPU.
      if (message.text() === "No available adapters.") return;
      // Logged by Playwright when service workers are blocked.
      if (message.text() === "Service Worker registration blocked by Playwright") return;
      if (["error", "warning", "assert"].includes(message.type())) this.problems.push(message.text());
    });
    page.on("pageerror", (error) => this.problems.push(`uncaught: ${error.message}`));
    page.context().on("request", (request) => {
      const { protocol, origin: requestOrigin } = new URL(request.url());
      if (!["blob:", "data:"].includes(protocol) && requestOrigin !== origin) this.foreignRequests.push(request.url());
    });
    page.context().on("requestfailed", (request) => {
      if (!this.closing) this.problems.push(`${request.failure()?.errorText}: ${request.url()}`);
    });
  }

  /** A part of the page by its test id. */
  part(id) {
    return this.page.getByTestId(id);
  }

  /** Waits until the engine is ready; fails with the status text of the page if it is not. */
  async ready() {
    const state = await this.waitForEngine("ready", "unavailable", "stopped");
    assert.equal(state, "ready", await this.part("engine-status").innerText());
  }

  /** Waits until the engine is in one of these states, and returns the state. */
  async waitForEngine(...states) {
    const handle = await this.page.waitForFunction((awaited) => {
      // The element is absent for a moment after a reload.
      const state = document.querySelector('[data-testid="engine-status"]')?.dataset.state;
      return awaited.includes(state) && state;
    }, states);
    return handle.jsonValue();
  }

  /** Chooses files through the file picker. */
  async choose(files) {
    await this.part("file-input").setInputFiles(files);
  }

  /** Drops files and folders on the page, as a file manager does. */
  async drop(paths) {
    const cdp = await this.page.context().newCDPSession(this.page);
    await this.part("drop-zone").scrollIntoViewIfNeeded();
    const box = await this.part("drop-zone").boundingBox();
    const point = { x: box.x + box.width / 2, y: box.y + Math.min(box.height / 2, 100) };
    const data = { items: [], files: paths, dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"]) {
      await cdp.send("Input.dispatchDragEvent", { type, ...point, data });
    }
    await cdp.detach();
  }

  /** Clicks the sample button and waits for the first prediction. */
  async openSample() {
    await this.ready();
    await this.part("sample-button").click();
    await this.predictions(1);
  }

  /** Waits until at least `count` rows have all parameters, and returns all rows. */
  async predictions(count) {
    await this.page.waitForFunction(
      ([minimum, labels]) => {
        const rows = [...document.querySelectorAll('[data-testid="row"]')];
        const hasValue = (row, label) => row.querySelector(`[data-testid="cell-${label}"]`)?.dataset.value !== undefined;
        return rows.filter((row) => labels.every((label) => hasValue(row, label))).length >= minimum;
      },
      [count, LABELS],
    );
    return this.rows();
  }

  /** Fine-tunes with each of these strategies and these numeric settings, and waits until training has ended. */
  async compareStrategies(strategies, settings = {}) {
    for (const name of ["zero-shot", "linear", "gp", "residual", "lora", "full", "scratch"]) {
      await this.part(`strategy-${name}`).setChecked(strategies.includes(name));
    }
    await this.page.getByText("Settings", { exact: true }).click();
    for (const [name, value] of Object.entries(settings)) {
      await this.page.getByLabel(name, { exact: true }).fill(String(value));
      await this.page.getByLabel(name, { exact: true }).blur();
    }
    await this.part("finetune-compare").click();
    // Training on thousands of spectra takes minutes.
    const timeout = { timeout: 5 * TIMEOUT_MS };
    await this.part("finetune-scores").waitFor(timeout);
    await this.page.waitForFunction(() => document.querySelector('[data-testid="finetune-progress"]').dataset.phase === "idle", null, timeout);
  }

  /** Waits until no job runs. */
  async idle() {
    await this.page.waitForFunction(() => !document.querySelector('[data-testid="cancel"]'));
  }

  /**
   * Contents of the table: id, text, flags, and value and error of each parameter of each row.
   * The numbers are the unrounded ones in the data attributes.
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

  /**
   * Fails if the page wrote to the console, failed to load a file, or sent a request to another origin.
   * `allowed`: patterns of console messages that are no failure.
   */
  assertNoProblems(allowed = []) {
    const unexpected = this.problems.filter((problem) => !allowed.some((pattern) => pattern.test(problem)));
    assert.deepEqual(unexpected, [], "the console stays empty and every request succeeds");
    assert.deepEqual(this.foreignRequests, [], "no request leaves the origin");
  }

  async close() {
    this.closing = true;
    await this.page.context().close();
    this.host.close();
  }
}

/** Fails unless a row has every parameter, with a finite value and a positive, finite error. */
export function assertPredicted(row) {
  for (const label of LABELS) {
    const { value, error, text } = row.values[label] ?? {};
    assert.ok(Number.isFinite(value), `${row.id}: ${label} is a number, not ${value}`);
    assert.ok(Number.isFinite(error) && error > 0, `${row.id}: the error of ${label} is positive, not ${error}`);
    assert.match(text, /\d/, `${row.id}: ${label} is shown`);
  }
}
