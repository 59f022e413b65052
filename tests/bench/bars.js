// Performance targets, and whether results meet them: for the page and the command line.
import { CASES } from "./cases.js";
import { operations, optimiserBytes } from "./networks.js";

/** Rows of a case and an engine that have times. */
const timedRows = (rows, name, engine, threads) =>
  rows.filter((row) => row.case === name && row.engine === engine && row.median_ms > 0 && (!threads || row.threads === threads));

/** The fastest row of an engine in a case; with `threads` only rows with this number of threads. */
const fastestRow = (rows, name, engine, threads) =>
  timedRows(rows, name, engine, threads).toSorted((a, b) => a.median_ms - b.median_ms)[0];

/**
 * Speed of `ours` relative to `theirs`: the ratio of the medians, and its range. The smallest ratio compares our
 * slowest timing with their fastest, the largest ratio our fastest timing with their slowest.
 */
function speedRatio(ours, theirs) {
  if (!ours || !theirs) return null;
  return {
    value: theirs.median_ms / ours.median_ms,
    range: [theirs.min_ms / ours.max_ms, theirs.max_ms / ours.min_ms],
  };
}

const fasterThan = (group, name, ours, theirs, min, threads) => ({
  group, quantity: `${name}: ${ours} over ${theirs}${threads ? `, ${threads} thread` : ", any threads"}`, min,
  measure: (rows) => speedRatio(fastestRow(rows, name, ours), fastestRow(rows, name, theirs, threads)),
});

const forwardTargets = (group, name) => [
  fasterThan(group, name, "specola-cpu", "onnxruntime-web-wasm", 1.3, 1),
  fasterThan(group, name, "specola-pool", "onnxruntime-web-wasm", 1.2),
];

/**
 * Lower bound of the time of a full training step, ms: the core only multiplies and adds, and the memory only serves
 * the optimiser.
 */
export function stepTimeBound(rows, name) {
  const peaks = ["limit-multiply-add", "limit-multiply-add-relaxed"].map((limit) => fastestRow(rows, limit, "core"));
  const bandwidth = fastestRow(rows, "limit-bandwidth", "core");
  const peak = peaks.filter(Boolean).toSorted((a, b) => a.median_ms - b.median_ms)[0];
  if (!peak || !bandwidth) return null;
  const benchCase = CASES[name];
  const ms = (row, amount, statistic) => (amount / 1e9) * row[statistic];
  const bound = (statistic) =>
    ms(peak, operations(benchCase), statistic) + ms(bandwidth, optimiserBytes(benchCase), statistic);
  return { median_ms: bound("median_ms"), min_ms: bound("min_ms"), max_ms: bound("max_ms") };
}

/** Spectra per second, in a case of `count` spectra. */
const throughput = (group, name, engine, count, min) => ({
  group, quantity: `${name}: ${engine}, spectra a second`, min,
  measure: (rows) => {
    const row = fastestRow(rows, name, engine);
    return row && { value: (1e3 * count) / row.median_ms, range: [(1e3 * count) / row.max_ms, (1e3 * count) / row.min_ms] };
  },
});

/** Seconds that a case takes. */
const duration = (group, name, max) => ({
  group, quantity: `${name}, s`, max,
  measure: (rows) => {
    const row = fastestRow(rows, name, "specola-cpu");
    return row && { value: row.median_ms / 1e3, range: [row.min_ms / 1e3, row.max_ms / 1e3] };
  },
});

const STEP = "train-step-32-full";

/** Every target: its limit, `min` or `max`, and its measurement, which gives `null` if its cases were not run. */
export const TARGETS = [
  ...forwardTargets("A", "mlp-forward-2048"),
  ...forwardTargets("A", "encoder-full-1"),
  ...forwardTargets("A", "encoder-full-16"),
  fasterThan("B", STEP, "specola-cpu", "tfjs-wasm", 8),
  {
    group: "B", quantity: `${STEP}: time of specola-cpu over the core's lower bound`, max: 1.6,
    measure: (rows) => speedRatio(stepTimeBound(rows, STEP), fastestRow(rows, STEP, "specola-cpu")),
  },
  ...[["residual", 3], ["lora", 1.3]].map(([strategy, min]) => ({
    group: "B", quantity: `train-step-32-${strategy} over ${STEP}: specola-cpu`, min,
    measure: (rows) => speedRatio(fastestRow(rows, `train-step-32-${strategy}`, "specola-cpu"), fastestRow(rows, STEP, "specola-cpu")),
  })),
  duration("C", "finetune-2069-residual", 60),
  throughput("D", "end-to-end-5000", "specola-native", 5000, 300),
  throughput("D", "end-to-end-5000", "specola-cpu", 5000, 100),
  duration("E", "warm-start-answer", 1.5),
  duration("E", "cold-start-paint", 1),
  duration("E", "cold-start-answer", 8),
  fasterThan("F", "mlp-forward-tiny", "specola-gpu", "onnxruntime-web-webgpu", 1),
];

/**
 * Every target with its measured value and range, and `isMet`. For a target whose cases were not run, `value` is
 * undefined and `isMet` is `null`.
 */
export function evaluateTargets(rows) {
  return TARGETS.map(({ group, quantity, min, max, measure }) => {
    const result = measure(rows) ?? null;
    const isMet = result && (min === undefined ? result.value <= max : result.value >= min);
    return { group, quantity, min, max, ...result, isMet };
  });
}
