// Layout: no horizontal scrolling on a phone, light and dark mode, and no serious accessibility violation.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { assertAccessible } from "../accessible.js";
import { LABELS } from "../page.js";
import { scenario } from "../scenario.js";

const SCREENSHOTS = fileURLToPath(new URL("../screenshots/", import.meta.url));
mkdirSync(SCREENSHOTS, { recursive: true });

const VIEWS = [
  { name: "desktop-light", viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  { name: "desktop-dark", viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  { name: "phone-390-light", viewport: { width: 390, height: 844 }, colorScheme: "light" },
  { name: "phone-360-dark", viewport: { width: 360, height: 740 }, colorScheme: "dark" },
];

for (const { name, ...appearance } of VIEWS) {
  scenario(`${name}: the page fits the window and is accessible, empty and with a spectrum`, async (visit) => {
    const checkLayout = async (state) => {
      await visit.page.screenshot({ path: `${SCREENSHOTS}${name}-${state}.png`, fullPage: true });
      const { page, window } = await visit.page.evaluate(() => ({
        page: document.documentElement.scrollWidth,
        window: document.documentElement.clientWidth,
      }));
      assert.ok(page <= window, `${state}: the page is ${page} px wide in a window of ${window}`);
      await assertAccessible(visit, state);
    };
    await visit.ready();
    await checkLayout("empty");
    await visit.openSample();
    await visit.idle();
    await visit.page.waitForTimeout(500);
    await checkLayout("filled");
    // Every parameter must be visible without horizontal scrolling.
    const text = await visit.page.locator("body").innerText();
    for (const symbol of ["Teff", "log g", "[Fe/H]", "[α/Fe]", "RV"]) assert.ok(text.includes(symbol), `${symbol} is shown`);
    assert.equal(LABELS.length, 5);
  }, appearance);
}
