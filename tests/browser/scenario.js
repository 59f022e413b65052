// One test: a visit to the page, with the checks that apply to every visit.
import { after, test } from "node:test";
import { TIMEOUT_MS, closeBrowser, openPage } from "./page.js";

after(closeBrowser);

/**
 * A test that opens the page, runs `body`, and then checks that nothing was written to the console, that every file
 * loaded, and that no request left the origin.
 * @param {string} name
 * @param {(visit: import("./page.js").Visit) => Promise<void>} body
 * @param {object} [options] the options of `openPage`; `allowedMessages`: patterns of allowed console messages;
 *   `skip`: reason to skip the test; `timeoutFactor`: multiple of the default time limit
 */
export function scenario(name, body, { allowedMessages = [], skip = false, timeoutFactor = 1, ...options } = {}) {
  test(name, { skip, timeout: 5 * timeoutFactor * TIMEOUT_MS }, async () => {
    const visit = await openPage(options);
    try {
      await body(visit);
      visit.assertNoProblems(allowedMessages);
    } finally {
      await visit.close();
    }
  });
}
