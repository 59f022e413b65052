// Accessibility checks with axe.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Fails if axe finds a serious or critical violation. */
export async function assertAccessible(visit, when) {
  // Through the debugger, because the Content Security Policy blocks other scripts.
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
