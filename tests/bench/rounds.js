// One case through several engines: their outputs compared, then timed in turns, so that whatever slows the machine down for a
// while slows all of them down.
import { FEWEST_ROUNDS, MOST_ROUNDS, SECONDS, TOLERANCE } from "./cases.js";

/** What engines leave behind for a moment after their answer: threads that wait in a loop. */
const QUIET_MS = 20;

/** Largest difference of two lists of numbers, relative to the largest number. */
export function difference(got, want) {
  if (got.length !== want.length) return Infinity;
  const largest = want.reduce((most, v) => Math.max(most, Math.abs(v)), Number.MIN_VALUE);
  const off = got.reduce((most, v, i) => Math.max(most, Number.isNaN(v) ? Infinity : Math.abs(v - want[i])), 0);
  return off / largest;
}

/** The one in the middle, and the ends. */
export function summary(times) {
  const sorted = times.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
  return { n: times.length, median_ms: median, min_ms: sorted[0], max_ms: sorted.at(-1) };
}

/**
 * Runs a case.
 * @param {string} name
 * @param {object} given the case
 * @param {object[]} started engines: `{engine, threads, version, remote}`; the first is what the others are compared with
 * @param {object} options `say(text)`: what is going on; `once`: one round will do, to see that everything works
 * @returns rows of the result; an engine that fails or is off has a row with `error` and no times
 */
export async function measure(name, given, started, { say = () => {}, once = false } = {}) {
  const row = ({ engine, version, threads }) => ({ case: name, engine, version, threads });
  const [rows, ready] = [[], []];
  let want = null;
  for (const one of started) {
    say(`${name}: ${one.engine} (${one.threads}) gets ready`);
    try {
      const { outputs } = await one.remote.ask({ do: "open", case: given });
      want ??= outputs;
      const off = difference(outputs, want);
      if (!(off <= TOLERANCE)) throw new Error(`its outputs are off by ${off.toExponential(1)} of their size`);
      ready.push({ ...one, off, times: [] });
    } catch (error) {
      rows.push({ ...row(one), error: error.message });
    }
  }
  const { repeats = 1, steps = 1, rounds = FEWEST_ROUNDS } = given;
  const time = async ({ remote }) => {
    const { ms } = await remote.ask({ do: "run", repeats });
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    return ms / repeats / steps;
  };
  // Compilers and caches are warm after this.
  if (!once && !given.isCold) for (const one of ready) await time(one);
  const begun = Date.now();
  const isEnough = (round) => (once ? round > 0 : round >= rounds && Date.now() - begun > SECONDS * 1000);
  for (let round = 0; round < MOST_ROUNDS && !isEnough(round); round += 1) {
    say(`${name}: round ${round + 1}`);
    for (let i = 0; i < ready.length; i += 1) {
      const one = ready[(round + i) % ready.length];
      one.times.push(await time(one));
    }
  }
  for (const one of ready) {
    rows.push({ ...row(one), ...summary(one.times), difference: one.off });
    await one.remote.ask({ do: "close" });
  }
  return rows;
}
