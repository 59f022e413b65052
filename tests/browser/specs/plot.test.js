// The plots: read-out under the pointer, zoom by wheel, keys and double click, and export.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { changed, picture } from "../canvas.js";
import { scenario } from "../scenario.js";

async function middle(visit, id) {
  await visit.part(id).scrollIntoViewIfNeeded();
  const box = await visit.part(id).boundingBox();
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

for (const id of ["plot-raw", "plot-model"]) {
  scenario(`${id}: the pointer reads out, the wheel and the keys zoom`, async (visit) => {
    await visit.sample();
    await visit.idle();
    const { x, y } = await middle(visit, id);
    await visit.page.waitForTimeout(300);
    await visit.page.mouse.move(x, y);
    await visit.page.waitForFunction(() => /\d{4}/.test(document.querySelector('[data-testid="readout"]')?.textContent));
    const there = await visit.part("readout").first().innerText();
    assert.match(there, /Å/, "wavelength with its unit");
    const whole = await picture(visit, id);
    await visit.page.mouse.wheel(0, -400);
    await changed(visit, id, whole);
    const near = await picture(visit, id);
    await visit.part(id).focus();
    await visit.page.keyboard.press("+");
    await changed(visit, id, near);
    const nearer = await picture(visit, id);
    await visit.page.keyboard.press("9");
    await changed(visit, id, nearer);
  });
}

scenario("a tap reads a plot, and two fingers zoom it about what lies between them", async (visit) => {
  await visit.sample();
  await visit.idle();
  const { x, y } = await middle(visit, "plot-model");
  const page = await visit.page.context().newCDPSession(visit.page);
  const touch = (type, ...places) =>
    page.send("Input.dispatchTouchEvent", { type, touchPoints: places.map((at, id) => ({ x: at, y, id })) });
  const range = async () => {
    const label = await visit.part("plot-model").getAttribute("aria-label");
    return /(\d+) to (\d+) ångström/.exec(label).slice(1).map(Number);
  };
  await touch("touchStart", x);
  await touch("touchEnd");
  await visit.page.waitForFunction(() => /\d{4}.*Å/.test(document.querySelector('[data-testid="readout"]')?.textContent));
  const before = await range();
  await touch("touchStart", x - 50, x + 50);
  await touch("touchMove", x - 100, x + 100);
  await touch("touchEnd");
  const after = await range();
  const [wide, narrow] = [before, after].map(([low, high]) => high - low);
  assert.ok(Math.abs(narrow / wide - 0.5) < 0.02, `${before} and ${after}`);
  const [was, is] = [before, after].map(([low, high]) => (low + high) / 2);
  assert.ok(Math.abs(was - is) < 0.05 * narrow, `${before} and ${after}`);
});

scenario("the figure is exported as well-formed SVG", async (visit) => {
  await visit.sample();
  await visit.idle();
  const download = visit.page.waitForEvent("download");
  await visit.part("export-svg").first().click();
  const file = await download;
  assert.match(file.suggestedFilename(), /\.svg$/);
  const svg = readFileSync(await file.path(), "utf8");
  const found = await visit.page.evaluate((text) => {
    const xml = new DOMParser().parseFromString(text, "image/svg+xml");
    return {
      error: xml.querySelector("parsererror")?.textContent,
      root: xml.documentElement.tagName,
      marks: xml.querySelectorAll("polyline, path, line, rect, text").length,
      text: [...xml.querySelectorAll("text")].map((element) => element.textContent.trim()).join(" "),
    };
  }, svg);
  assert.equal(found.error, undefined);
  assert.equal(found.root, "svg");
  assert.ok(found.marks > 10, `${found.marks} marks`);
  assert.match(found.text, /Å/);
});

scenario("a magnifier goes with the pointer while it is asked for", async (visit) => {
  await visit.sample();
  await visit.idle();
  await visit.page.keyboard.press("l");
  assert.equal(await visit.part("magnifier").getAttribute("aria-pressed"), "true");
  const { x, y } = await middle(visit, "plot-model");
  await visit.page.mouse.move(x - 150, y);
  await visit.part("lens").waitFor();
  const before = await picture(visit, "lens");
  const left = await visit.part("lens").boundingBox();
  await visit.page.mouse.move(x + 150, y);
  await changed(visit, "lens", before);
  const right = await visit.part("lens").boundingBox();
  assert.ok(left.x > x && right.x + right.width < x + 150, "it keeps out of the pointer's way");
  await visit.page.mouse.move(2, 2);
  await visit.part("lens").waitFor({ state: "detached" });
  await visit.part("magnifier").click();
  const again = await middle(visit, "plot-model");
  await visit.page.mouse.move(again.x, again.y);
  await visit.page.waitForFunction(() => /\d{4}/.test(document.querySelector('[data-testid="readout"]')?.textContent));
  assert.equal(await visit.part("lens").count(), 0);
});
