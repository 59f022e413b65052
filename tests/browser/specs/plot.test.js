// The plots: readout at the pointer, zoom by wheel, keys and double click, and export.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { waitForChange, picture } from "../canvas.js";
import { scenario } from "../scenario.js";

/** Scrolls to a plot and returns its centre. */
async function plotCentre(visit, id) {
  await visit.part(id).scrollIntoViewIfNeeded();
  const box = await visit.part(id).boundingBox();
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

for (const id of ["plot-raw", "plot-normalised"]) {
  scenario(`${id}: the pointer reads values, and wheel and keys zoom`, async (visit) => {
    await visit.openSample();
    await visit.idle();
    const { x, y } = await plotCentre(visit, id);
    await visit.page.waitForTimeout(300);
    await visit.page.mouse.move(x, y);
    await visit.page.waitForFunction(() => /\d{4}/.test(document.querySelector('[data-testid="readout"]')?.textContent));
    const readout = await visit.part("readout").first().innerText();
    assert.match(readout, /Å/, "wavelength with its unit");
    const initial = await picture(visit, id);
    await visit.page.mouse.wheel(0, -400);
    await waitForChange(visit, id, initial);
    const zoomedByWheel = await picture(visit, id);
    await visit.part(id).focus();
    await visit.page.keyboard.press("+");
    await waitForChange(visit, id, zoomedByWheel);
    const zoomedByKey = await picture(visit, id);
    await visit.page.keyboard.press("9");
    await waitForChange(visit, id, zoomedByKey);
  });
}

scenario("a tap reads values, and two fingers zoom about their midpoint", async (visit) => {
  await visit.openSample();
  await visit.idle();
  const { x, y } = await plotCentre(visit, "plot-normalised");
  const cdp = await visit.page.context().newCDPSession(visit.page);
  const touch = (type, ...positions) =>
    cdp.send("Input.dispatchTouchEvent", { type, touchPoints: positions.map((position, id) => ({ x: position, y, id })) });
  const wavelengthRange = async () => {
    const label = await visit.part("plot-normalised").getAttribute("aria-label");
    return /(\d+) to (\d+) ångström/.exec(label).slice(1).map(Number);
  };
  await touch("touchStart", x);
  await touch("touchEnd");
  await visit.page.waitForFunction(() => /\d{4}.*Å/.test(document.querySelector('[data-testid="readout"]')?.textContent));
  const before = await wavelengthRange();
  await touch("touchStart", x - 50, x + 50);
  await touch("touchMove", x - 100, x + 100);
  await touch("touchEnd");
  const after = await wavelengthRange();
  const [widthBefore, widthAfter] = [before, after].map(([low, high]) => high - low);
  assert.ok(Math.abs(widthAfter / widthBefore - 0.5) < 0.02, `${before} and ${after}`);
  const [centreBefore, centreAfter] = [before, after].map(([low, high]) => (low + high) / 2);
  assert.ok(Math.abs(centreBefore - centreAfter) < 0.05 * widthAfter, `${before} and ${after}`);
});

scenario("the figure is exported as valid SVG", async (visit) => {
  await visit.openSample();
  await visit.idle();
  const download = visit.page.waitForEvent("download");
  await visit.part("export-svg").first().click();
  const file = await download;
  assert.match(file.suggestedFilename(), /\.svg$/);
  const svg = readFileSync(await file.path(), "utf8");
  const contents = await visit.page.evaluate((source) => {
    const xml = new DOMParser().parseFromString(source, "image/svg+xml");
    return {
      error: xml.querySelector("parsererror")?.textContent,
      root: xml.documentElement.tagName,
      marks: xml.querySelectorAll("polyline, path, line, rect, text").length,
      text: [...xml.querySelectorAll("text")].map((element) => element.textContent.trim()).join(" "),
    };
  }, svg);
  assert.equal(contents.error, undefined);
  assert.equal(contents.root, "svg");
  assert.ok(contents.marks > 10, `${contents.marks} marks`);
  assert.match(contents.text, /Å/);
});

scenario("the magnifier follows the pointer while it is on", async (visit) => {
  await visit.openSample();
  await visit.idle();
  await visit.page.keyboard.press("l");
  assert.equal(await visit.part("magnifier").getAttribute("aria-pressed"), "true");
  const { x, y } = await plotCentre(visit, "plot-normalised");
  await visit.page.mouse.move(x - 150, y);
  await visit.part("magnifier-plot").waitFor();
  const before = await picture(visit, "magnifier-plot");
  const leftBox = await visit.part("magnifier-plot").boundingBox();
  await visit.page.mouse.move(x + 150, y);
  await waitForChange(visit, "magnifier-plot", before);
  const rightBox = await visit.part("magnifier-plot").boundingBox();
  assert.ok(leftBox.x > x && rightBox.x + rightBox.width < x + 150, "the magnifier does not cover the pointer");
  await visit.page.mouse.move(2, 2);
  await visit.part("magnifier-plot").waitFor({ state: "detached" });
  await visit.part("magnifier").click();
  const centre = await plotCentre(visit, "plot-normalised");
  await visit.page.mouse.move(centre.x, centre.y);
  await visit.page.waitForFunction(() => /\d{4}/.test(document.querySelector('[data-testid="readout"]')?.textContent));
  assert.equal(await visit.part("magnifier-plot").count(), 0);
});
