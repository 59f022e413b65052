// Measures one case with several engines: compares their outputs, then times the engines in turn. A temporary slowdown
// of the computer therefore affects all of them.
import { MAX_ROUNDS, MIN_ROUNDS, MIN_SECONDS, TOLERANCE } from "./cases.js";

/** Pause after a timing, ms: threads of some engines wait in a busy loop for a short time after their response. */
const PAUSE_MS = 20;

/** Largest difference of two lists of numbers, relative to the largest absolute value of the expected list. */
export function relativeDifference(got, expected) {
  if (got.length !== expected.length) return Infinity;
  const largest = expected.reduce((max, v) => Math.max(max, Math.abs(v)), Number.MIN_VALUE);
  const difference = got.reduce((max, v, i) => Math.max(max, Number.isNaN(v) ? Infinity : Math.abs(v - expected[i])), 0);
  return difference / largest;
}

/** Number, median, smallest and largest of times in ms. */
export function summarise(times) {
  const sorted = times.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
  return { n: times.length, median_ms: median, min_ms: sorted[0], max_ms: sorted.at(-1) };
}

/**
 * Measures a case.
 * @param {string} name
 * @param {object} benchCase
 * @param {object[]} engines `{engine, threads, version, client}`; the outputs of the first engine are the reference
 * @param {object} options `onStatus(text)`: receives the progress; `once`: one round only, to check that everything
 *   works
 * @returns rows of the result; an engine that fails, or whose outputs differ, has a row with `error` and no times
 */
export async function measure(name, benchCase, engines, { onStatus = () => {}, once = false } = {}) {
  const row = ({ engine, version, threads }) => ({ case: name, engine, version, threads });
  const [rows, ready] = [[], []];
  let reference = null;
  for (const engine of engines) {
    onStatus(`${name}: preparing ${engine.engine} (${engine.threads})`);
    try {
      const { outputs } = await engine.client.send({ do: "open", case: benchCase });
      reference ??= outputs;
      const difference = relativeDifference(outputs, reference);
      if (!(difference <= TOLERANCE)) throw new Error(`the outputs differ from the reference by ${difference.toExponential(1)} of its maximum`);
      ready.push({ ...engine, difference, times: [] });
    } catch (error) {
      rows.push({ ...row(engine), error: error.message });
    }
  }
  const { repeats = 1, steps = 1, minRounds = MIN_ROUNDS } = benchCase;
  const time = async ({ client }) => {
    const { ms } = await client.send({ do: "run", repeats });
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    return ms / repeats / steps;
  };
  // A warm-up run fills the caches and lets the compilers finish.
  if (!once && !benchCase.skipsWarmUp) for (const engine of ready) await time(engine);
  const start = Date.now();
  const isEnough = (round) => (once ? round > 0 : round >= minRounds && Date.now() - start > MIN_SECONDS * 1000);
  for (let round = 0; round < MAX_ROUNDS && !isEnough(round); round += 1) {
    onStatus(`${name}: round ${round + 1}`);
    for (let i = 0; i < ready.length; i += 1) {
      const engine = ready[(round + i) % ready.length];
      engine.times.push(await time(engine));
    }
  }
  for (const engine of ready) {
    rows.push({ ...row(engine), ...summarise(engine.times), difference: engine.difference });
    await engine.client.send({ do: "close" });
  }
  return rows;
}
