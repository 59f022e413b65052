// Use of the page by keyboard alone, and of the table by arrow keys.
import assert from "node:assert/strict";
import { samples } from "../data.js";
import { scenario } from "../scenario.js";

/** Test id of the element that has the focus, and whether its outline shows it. */
const focusedElement = (visit) => visit.page.evaluate(() => {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  return {
    id: element.dataset.testid ?? element.closest("[data-testid]")?.dataset.testid ?? element.tagName,
    isOutlined: style.outlineStyle !== "none" || style.boxShadow !== "none",
  };
});

/** Presses Tab until a part has the focus; fails after `maxPresses`. */
async function tabTo(visit, id, maxPresses = 30) {
  const reached = [];
  for (let i = 0; i < maxPresses; i += 1) {
    await visit.page.keyboard.press("Tab");
    const focused = await focusedElement(visit);
    reached.push(focused.id);
    if (focused.id === id) {
      assert.ok(focused.isOutlined, `${id} shows that it has the focus`);
      return;
    }
  }
  assert.fail(`Tab does not reach ${id}, only ${reached.join(", ")}`);
}

scenario("a sample is predicted and the table navigated by keyboard alone", async (visit) => {
  await visit.ready();
  await tabTo(visit, "sample-button");
  await visit.page.keyboard.press("Enter");
  await visit.predictions(1);
  await visit.choose(samples());
  await visit.predictions(2);
  await visit.idle();

  const rows = (await visit.rows()).map((row) => row.id);
  const selected = () => visit.page.locator('[data-testid="row"][aria-selected="true"]').getAttribute("data-id");
  await tabTo(visit, "row", 60);
  await visit.page.keyboard.press("Home");
  const first = rows.indexOf(await selected());
  await visit.page.keyboard.press("ArrowDown");
  assert.equal(rows.indexOf(await selected()), first + 1);
  await visit.page.keyboard.press("ArrowUp");
  assert.equal(rows.indexOf(await selected()), first);
});

scenario("Space ticks the row that was selected with j, and does not scroll the page", async (visit) => {
  await visit.ready();
  await visit.choose(samples());
  await visit.predictions(2);
  await visit.idle();
  await visit.page.evaluate(() => document.activeElement?.blur());
  const ticked = () => visit.page.locator('[data-testid="row"]:has([data-testid="tick"]:checked)');
  for (const key of ["j", "k", "j"]) await visit.page.keyboard.press(key);
  const scrollBefore = await visit.page.evaluate(() => window.scrollY);
  await visit.page.keyboard.press("Space");
  assert.equal(await ticked().count(), 1);
  assert.equal(await ticked().getAttribute("aria-selected"), "true");
  assert.equal(await visit.page.evaluate(() => window.scrollY), scrollBefore);
});

scenario("the file button opens the file picker by keyboard", async (visit) => {
  // Waits for the event from the start: the browser reports file choosers only some time after this call.
  const picker = visit.page.waitForEvent("filechooser");
  await visit.ready();
  await tabTo(visit, "file-input");
  await visit.page.keyboard.press("Enter");
  assert.ok((await picker).isMultiple());
});
