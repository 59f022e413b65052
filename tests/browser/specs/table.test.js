// The page by keyboard alone, and the table under arrows.
import assert from "node:assert/strict";
import { samples } from "../data.js";
import { scenario } from "../scenario.js";

const focused = (visit) => visit.page.evaluate(() => {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  return {
    id: element.dataset.testid ?? element.closest("[data-testid]")?.dataset.testid ?? element.tagName,
    isMarked: style.outlineStyle !== "none" || style.boxShadow !== "none",
  };
});

/** Presses Tab until a part has the focus; fails if that takes more than `most` presses. */
async function tabTo(visit, id, most = 30) {
  const seen = [];
  for (let i = 0; i < most; i += 1) {
    await visit.page.keyboard.press("Tab");
    const now = await focused(visit);
    seen.push(now.id);
    if (now.id === id) {
      assert.ok(now.isMarked, `${id} shows that it has the focus`);
      return;
    }
  }
  assert.fail(`Tab does not reach ${id}, only ${seen.join(", ")}`);
}

scenario("a person without a mouse gets an answer and moves through the table", async (visit) => {
  await visit.ready();
  await tabTo(visit, "sample-button");
  await visit.page.keyboard.press("Enter");
  await visit.answers(1);
  await visit.choose(samples());
  await visit.answers(2);
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

scenario("Space ticks the row that j went to, and does not scroll", async (visit) => {
  await visit.ready();
  await visit.choose(samples());
  await visit.answers(2);
  await visit.idle();
  await visit.page.evaluate(() => document.activeElement?.blur());
  const ticked = () => visit.page.locator('[data-testid="row"]:has([data-testid="tick"]:checked)');
  for (const key of ["j", "k", "j"]) await visit.page.keyboard.press(key);
  const scrolled = await visit.page.evaluate(() => window.scrollY);
  await visit.page.keyboard.press("Space");
  assert.equal(await ticked().count(), 1);
  assert.equal(await ticked().getAttribute("aria-selected"), "true");
  assert.equal(await visit.page.evaluate(() => window.scrollY), scrolled);
});

scenario("the file button opens the picker by keyboard", async (visit) => {
  // Asked for first: the browser hands pickers over only from some time after the asking.
  const picker = visit.page.waitForEvent("filechooser");
  await visit.ready();
  await tabTo(visit, "file-input");
  await visit.page.keyboard.press("Enter");
  assert.ok((await picker).isMultiple());
});
