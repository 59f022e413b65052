// What people with other eyes or without a mouse need of a page, as far as axe can tell.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Fails if axe finds a serious or critical violation. */
export async function mustBeAccessible(visit, when) {
  // Through the debugger: the page's own policy lets no other script in.
  const cdp = await visit.page.context().newCDPSession(visit.page);
  await cdp.send("Runtime.evaluate", { expression: AXE });
  const violations = await visit.page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map((node) => node.html).slice(0, 3) }));
  });
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious, [], `axe, ${when}`);
  for (const { id, impact } of violations) console.log(`axe, ${when}: ${id} (${impact})`);
}
