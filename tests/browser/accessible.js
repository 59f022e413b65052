// Accessibility checks with axe.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Fails if axe finds a serious or critical violation. `state` names the state of the page in messages. */
export async function assertAccessible(visit, state) {
  // Loads axe through the debugger, because the Content Security Policy blocks other scripts.
  const cdp = await visit.page.context().newCDPSession(visit.page);
  await cdp.send("Runtime.evaluate", { expression: AXE });
  const violations = await visit.page.evaluate(async () => {
    const results = await window.axe.run(document, { resultTypes: ["violations"] });
    return results.violations.map(({ id, impact, nodes }) => ({ id, impact, elements: nodes.map((node) => node.html).slice(0, 3) }));
  });
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious, [], `axe, ${state}`);
  for (const { id, impact } of violations) console.log(`axe, ${state}: ${id} (${impact})`);
}
