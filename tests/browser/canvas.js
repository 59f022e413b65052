// What a canvas shows, to see that it changes.
import assert from "node:assert/strict";

/** What the canvas in a part of the page shows. */
export const picture = (visit, id) => visit.part(id).locator("canvas").evaluate((canvas) => canvas.toDataURL());

/** Waits until it shows something else than before. */
export async function changed(visit, id, before) {
  for (let i = 0; i < 100; i += 1) {
    if ((await picture(visit, id)) !== before) return;
    await visit.page.waitForTimeout(50);
  }
  assert.fail(`${id} stays the same`);
}
