// One test: a visit, and what must hold of every visit.
import { after, test } from "node:test";
import { PATIENCE_MS, closeBrowser, open } from "./page.js";

after(closeBrowser);

/**
 * A test that opens the page, does something on it, and then holds it to what must always be true: nothing is written
 * to the console, nothing fails to load, and nothing is asked of another origin.
 * @param {string} name
 * @param {(visit: import("./page.js").Visit) => Promise<void>} body
 * @param {object} [options] those of `open`; `expects`: what the console may say in this test; `skip`: why not to run it;
 *   `patience`: how many times longer than others it may take
 */
export function scenario(name, body, { expects = [], skip = false, patience = 1, ...options } = {}) {
  test(name, { skip, timeout: 5 * patience * PATIENCE_MS }, async () => {
    const visit = await open(options);
    try {
      await body(visit);
      visit.mustBeQuiet(expects);
    } finally {
      await visit.close();
    }
  });
}
