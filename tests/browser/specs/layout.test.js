// How it looks: no sideways scrolling on a phone, light and dark, and nothing that axe calls a serious hindrance.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { mustBeAccessible } from "../accessible.js";
import { LABELS } from "../page.js";
import { scenario } from "../scenario.js";

const PICTURES = fileURLToPath(new URL("../screenshots/", import.meta.url));
mkdirSync(PICTURES, { recursive: true });

const VIEWS = [
  { name: "desktop-light", viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  { name: "desktop-dark", viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  { name: "phone-390-light", viewport: { width: 390, height: 844 }, colorScheme: "light" },
  { name: "phone-360-dark", viewport: { width: 360, height: 740 }, colorScheme: "dark" },
];

for (const { name, ...look } of VIEWS) {
  scenario(`${name}: fits, is accessible, empty and filled`, async (visit) => {
    const check = async (when) => {
      await visit.page.screenshot({ path: `${PICTURES}${name}-${when}.png`, fullPage: true });
      const { page, window } = await visit.page.evaluate(() => ({
        page: document.documentElement.scrollWidth,
        window: document.documentElement.clientWidth,
      }));
      assert.ok(page <= window, `${when}: the page is ${page} px wide in a window of ${window}`);
      await mustBeAccessible(visit, when);
    };
    await visit.ready();
    await check("empty");
    await visit.sample();
    await visit.idle();
    await visit.page.waitForTimeout(500);
    await check("filled");
    // Every parameter must be readable somewhere without scrolling sideways.
    const text = await visit.page.locator("body").innerText();
    for (const symbol of ["Teff", "log g", "[Fe/H]", "[α/Fe]", "RV"]) assert.ok(text.includes(symbol), `${symbol} is shown`);
    assert.equal(LABELS.length, 5);
  }, look);
}
