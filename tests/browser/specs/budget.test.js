// What opening the page costs the one who opens it, measured as Lighthouse does: how long the page cannot react, how far
// things move under the eyes. The time is told; only a page that hangs fails for it.
import assert from "node:assert/strict";
import { scenario } from "../scenario.js";

/** Tasks longer than this are felt; what is beyond counts, ms. */
const FELT_MS = 50;

/** A guard against a page that hangs, not the goal of 200 ms: machines differ. */
const GUARD_MS = 5000;

for (const [what, viewport] of [["a desk", { width: 1440, height: 900 }], ["a phone", { width: 390, height: 844 }]]) {
  scenario(`opening the page on ${what} blocks little, moves nothing and asks nobody else`, async (visit) => {
    // Anew when the first has come to rest, with somebody who watches from the first moment.
    await visit.ready();
    await visit.page.addInitScript(() => {
      self.watched = { blocked: 0, longest: 0, shift: 0, moved: [] };
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) {
          self.watched.blocked += Math.max(0, duration - 50);
          self.watched.longest = Math.max(self.watched.longest, duration);
        }
      }).observe({ type: "longtask", buffered: true });
      new PerformanceObserver((list) => {
        for (const { value, hadRecentInput, sources } of list.getEntries()) {
          if (hadRecentInput) continue;
          self.watched.shift += value;
          self.watched.moved.push(...sources.map(({ node }) => node?.className || node?.nodeName));
        }
      }).observe({ type: "layout-shift", buffered: true });
    });
    await visit.page.reload();
    await visit.ready();
    await visit.page.waitForTimeout(1000);
    const { watched, paint } = await visit.page.evaluate(() => ({
      watched: self.watched, paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? NaN,
    }));
    console.log(`${what}: first paint ${paint.toFixed(0)} ms, blocked ${watched.blocked.toFixed(0)} ms beyond ${FELT_MS} ms a task `
      + `(longest ${watched.longest.toFixed(0)} ms) until the engine was ready, layout shift ${watched.shift.toFixed(4)}`);
    assert.ok(watched.blocked < GUARD_MS, `blocked for ${watched.blocked} ms`);
    assert.ok(watched.shift <= 0.01, `layout shift ${watched.shift}: ${watched.moved}`);
    assert.deepEqual(visit.strangers, [], "no request leaves the origin");
  }, { viewport });
}
