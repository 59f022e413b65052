// The cases of the benchmark. Keep their names: results of different days are compared by name.

/** Layer widths of the regression network of Zhao et al. (2026). */
const ZHAO2026 = [1462, 1024, 512, 64, 1];

/** Layer widths of a network that is small enough for a software renderer of WebGPU. */
const TINY = [1462, 32, 1];

const mlp = (batch, widths = ZHAO2026, settings = {}) => ({ kind: "mlp", widths, batch, ...settings });
const encoder = (size, batch, settings = {}) => ({ kind: "encoder", size, batch, ...settings });
const finetune = (count) => ({ kind: "finetune", strategy: "residual", widths: ZHAO2026, count, minRounds: 1, skipsWarmUp: true });
const search = (entries, steps) => ({ kind: "search", entries, width: 768, steps });
const limit = (what) => ({ kind: "limit", what });
const train = (strategy, batch, steps) => ({ kind: "train", strategy, widths: ZHAO2026, batch, steps });

/**
 * Case by name. `repeats`: runs in one timing, for cases with very short runs; `minRounds`: fewest timings of every
 * engine; `skipsWarmUp`: the case takes too long for a run before the first timing.
 */
export const CASES = {
  "mlp-forward-tiny": mlp(8, TINY, { repeats: 5 }),
  "mlp-forward-1": mlp(1, ZHAO2026, { repeats: 20 }),
  "mlp-forward-2048": mlp(2048),
  "encoder-shipped-1": encoder("shipped", 1, { repeats: 10 }),
  "encoder-shipped-16": encoder("shipped", 16),
  "encoder-full-1": encoder("paper", 1),
  "encoder-full-16": encoder("paper", 16, { minRounds: 3 }),
  // Time of 10⁹ operations or bytes.
  "limit-multiply-add": limit("multiply-add"),
  "limit-multiply-add-relaxed": limit("multiply-add-relaxed"),
  "limit-bandwidth": limit("bandwidth"),
  "train-step-32-full": train("full", 32, 16),
  "train-step-32-residual": train("residual", 32, 16),
  "train-step-32-lora": train("lora", 32, 16),
  "train-step-256-full": train("full", 256, 4),
  "train-step-256-residual": train("residual", 256, 4),
  "train-step-256-lora": train("lora", 256, 4),
  "finetune-100-residual": finetune(100),
  "finetune-500-residual": finetune(500),
  "finetune-2069-residual": finetune(2069),
  "preprocess-2048": { kind: "preprocess", count: 2048 },
  "retrieval-1000": search(1_000, 100),
  "retrieval-10000": search(10_000, 20),
  "retrieval-100000": search(100_000, 5),
};

/** Shortest measurement of a case, s, and its fewest and most rounds. */
export const MIN_SECONDS = 12;
export const MIN_ROUNDS = 7;
export const MAX_ROUNDS = 101;

/** Largest difference between the outputs of two engines, relative to the largest output. */
export const TOLERANCE = 1e-4;
