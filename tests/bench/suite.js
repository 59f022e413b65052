// Cases one after the other, each through all engines that can run it.
import { CASES } from "./cases.js";
import { measure } from "./rounds.js";

/**
 * @param {(name: string, given: object) => object[]} enginesFor the engines for a case: `{engine, threads, gpu, starts}`
 * @param {object} options
 * @param {string} [options.only] cases whose name begins so
 * @param {boolean} [options.once] one round will do, to see that everything works
 * @param {(text: string) => void} [options.say] what is going on
 * @param {(rows: object[]) => void} [options.found] rows of a case, as soon as they are there
 * @returns {Promise<object[]>} all rows
 */
export async function run(enginesFor, { only = "", once = false, say = () => {}, found = () => {} } = {}) {
  const all = [];
  for (const [name, given] of Object.entries(CASES)) {
    if (!name.startsWith(only)) continue;
    const [started, rows] = [[], []];
    for (const { engine, threads, gpu, starts } of enginesFor(name, given)) {
      say(`${name}: starting ${engine} (${threads})`);
      try {
        const remote = await starts();
        const { version } = await remote.ask({ do: "start", threads, webgpu: Boolean(gpu) });
        started.push({ engine, threads, version, remote });
      } catch (error) {
        rows.push({ case: name, engine, threads, error: error.message });
      }
    }
    rows.push(...await measure(name, given, started, { say, once }));
    // Every case begins with engines that have nothing in memory.
    started.forEach(({ remote }) => remote.close());
    if (rows.length > 0) found(rows);
    all.push(...rows);
  }
  return all;
}
