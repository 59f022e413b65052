// What is promised of speed, and whether results keep it: all in one place, for the page and the command line.
import { CASES } from "./cases.js";
import { operations, optimiserBytes } from "./networks.js";

/** Rows that were timed. */
const timed = (rows, name, engine, threads) =>
  rows.filter((row) => row.case === name && row.engine === engine && row.median_ms > 0 && (!threads || row.threads === threads));

/** The fastest of some engine in a case. */
const best = (rows, name, engine, threads) =>
  timed(rows, name, engine, threads).toSorted((a, b) => a.median_ms - b.median_ms)[0];

/** How many times as fast `ours` is as `theirs`, and between which limits: of the quickest of one and the slowest of the other. */
function ratio(ours, theirs) {
  if (!ours || !theirs) return null;
  return {
    value: theirs.median_ms / ours.median_ms,
    spread: [theirs.min_ms / ours.max_ms, theirs.max_ms / ours.min_ms],
  };
}

const faster = (line, name, ours, theirs, least, threads) => ({
  line, what: `${name}: ${ours} over ${theirs}${threads ? `, ${threads} thread` : ", any threads"}`, least,
  measured: (rows) => ratio(best(rows, name, ours), best(rows, name, theirs, threads)),
});

const forward = (line, name) => [
  faster(line, name, "specola-cpu", "onnxruntime-web-wasm", 1.3, 1),
  faster(line, name, "specola-pool", "onnxruntime-web-wasm", 1.2),
];

/** Milliseconds of a full training step if the core did nothing but multiply and add, and the memory nothing but the optimiser. */
export function stepBound(rows, name) {
  const peaks = ["limit-multiply-add", "limit-multiply-add-relaxed"].map((limit) => best(rows, limit, "core"));
  const bandwidth = best(rows, "limit-bandwidth", "core");
  const peak = peaks.filter(Boolean).toSorted((a, b) => a.median_ms - b.median_ms)[0];
  if (!peak || !bandwidth) return null;
  const per = (row, amount, end) => (amount / 1e9) * row[end];
  const given = CASES[name];
  const of = (end) => per(peak, operations(given), end) + per(bandwidth, optimiserBytes(given), end);
  return { median_ms: of("median_ms"), min_ms: of("min_ms"), max_ms: of("max_ms") };
}

/** Spectra a second of a case that answers so many. */
const rate = (line, name, engine, count, least) => ({
  line, what: `${name}: ${engine}, spectra a second`, least,
  measured: (rows) => {
    const row = best(rows, name, engine);
    return row && { value: (1e3 * count) / row.median_ms, spread: [(1e3 * count) / row.max_ms, (1e3 * count) / row.min_ms] };
  },
});

const within = (line, name, most) => ({
  line, what: `${name}, s`, most,
  measured: (rows) => {
    const row = best(rows, name, "specola-cpu");
    return row && { value: row.median_ms / 1e3, spread: [row.min_ms / 1e3, row.max_ms / 1e3] };
  },
});

const STEP = "train-step-32-full";

/** Every bar: `least` or `most`, and how it is measured, `null` where its cases were not run. */
export const BARS = [
  ...forward("A", "mlp-forward-2048"),
  ...forward("A", "encoder-full-1"),
  ...forward("A", "encoder-full-16"),
  faster("B", STEP, "specola-cpu", "tfjs-wasm", 8),
  {
    line: "B", what: `${STEP}: specola-cpu, times what the core's limits allow`, most: 1.6,
    measured: (rows) => ratio(stepBound(rows, STEP), best(rows, STEP, "specola-cpu")),
  },
  ...[["residual", 3], ["lora", 1.3]].map(([strategy, least]) => ({
    line: "B", what: `train-step-32-${strategy} over ${STEP}: specola-cpu`, least,
    measured: (rows) => ratio(best(rows, `train-step-32-${strategy}`, "specola-cpu"), best(rows, STEP, "specola-cpu")),
  })),
  within("C", "finetune-2069-residual", 60),
  rate("D", "end-to-end-5000", "specola-native", 5000, 300),
  rate("D", "end-to-end-5000", "specola-cpu", 5000, 100),
  within("E", "warm-start-answer", 1.5),
  within("E", "cold-start-paint", 1),
  within("E", "cold-start-answer", 8),
  faster("F", "mlp-forward-tiny", "specola-gpu", "onnxruntime-web-webgpu", 1),
];

/** Each bar with what was measured and whether it is kept; `null` of one whose cases were not run. */
export function judge(rows) {
  return BARS.map(({ line, what, least, most, measured }) => {
    const found = measured(rows) ?? null;
    const isKept = found && (least === undefined ? found.value <= most : found.value >= least);
    return { line, what, least, most, ...found, isKept };
  });
}
