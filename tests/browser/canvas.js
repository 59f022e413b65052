// Compares the picture on a canvas before and after a change.
import assert from "node:assert/strict";

/** The picture on the canvas in a part of the page, as a data URL. */
export const picture = (visit, id) => visit.part(id).locator("canvas").evaluate((canvas) => canvas.toDataURL());

/** Waits until the picture differs from `before`. */
export async function waitForChange(visit, id, before) {
  for (let i = 0; i < 100; i += 1) {
    if ((await picture(visit, id)) !== before) return;
    await visit.page.waitForTimeout(50);
  }
  assert.fail(`the picture in ${id} does not change`);
}
