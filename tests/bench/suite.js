// Runs the cases one after the other, each with all engines that support it.
import { CASES } from "./cases.js";
import { measure } from "./rounds.js";

/**
 * @param {(name: string, benchCase: object) => object[]} enginesFor the engines for a case:
 *   `{engine, threads, needsGpu, start}`
 * @param {object} options
 * @param {string} [options.only] prefix of the names of the cases to run
 * @param {boolean} [options.once] one round only, to check that everything works
 * @param {(text: string) => void} [options.onStatus] receives the progress
 * @param {(rows: object[]) => void} [options.onRows] receives the rows of each finished case
 * @returns {Promise<object[]>} all rows
 */
export async function runCases(enginesFor, { only = "", once = false, onStatus = () => {}, onRows = () => {} } = {}) {
  const all = [];
  for (const [name, benchCase] of Object.entries(CASES)) {
    if (!name.startsWith(only)) continue;
    const [started, rows] = [[], []];
    for (const { engine, threads, needsGpu, start } of enginesFor(name, benchCase)) {
      onStatus(`${name}: starting ${engine} (${threads})`);
      try {
        const client = await start();
        const { version } = await client.send({ do: "start", threads, webgpu: Boolean(needsGpu) });
        started.push({ engine, threads, version, client });
      } catch (error) {
        rows.push({ case: name, engine, threads, error: error.message });
      }
    }
    rows.push(...await measure(name, benchCase, started, { onStatus, once }));
    // The next case starts new engines, so that memory of this case does not affect it.
    started.forEach(({ client }) => client.close());
    if (rows.length > 0) onRows(rows);
    all.push(...rows);
  }
  return all;
}
