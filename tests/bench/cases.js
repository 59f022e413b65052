// What is measured. The names are relied upon: results of different days are compared by them.

/** The transfer study's network. */
const STUDY = [1462, 1024, 512, 64, 1];

/** What a software adapter can be asked for. */
const TINY = [1462, 32, 1];

const mlp = (batch, widths = STUDY, more = {}) => ({ kind: "mlp", widths, batch, ...more });
const encoder = (size, batch, more = {}) => ({ kind: "encoder", size, batch, ...more });
const finetune = (count) => ({ kind: "finetune", strategy: "residual", widths: STUDY, count, rounds: 1, isCold: true });
const search = (entries, steps) => ({ kind: "search", entries, width: 768, steps });
const limit = (what) => ({ kind: "limit", what });
const train = (strategy, batch, steps) => ({ kind: "train", strategy, widths: STUDY, batch, steps });

/**
 * Case by name. `repeats`: runs in one timing, where one alone would be too short; `rounds`: fewest timings of every engine;
 * `isCold`: too long to be run once before it is timed.
 */
export const CASES = {
  "mlp-forward-tiny": mlp(8, TINY, { repeats: 5 }),
  "mlp-forward-1": mlp(1, STUDY, { repeats: 20 }),
  "mlp-forward-2048": mlp(2048),
  "encoder-shipped-1": encoder("shipped", 1, { repeats: 10 }),
  "encoder-shipped-16": encoder("shipped", 16),
  "encoder-full-1": encoder("paper", 1),
  "encoder-full-16": encoder("paper", 16, { rounds: 3 }),
  // Milliseconds of a thousand million operations or bytes.
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

/** Seconds after which a case has been timed often enough, given the fewest rounds. */
export const SECONDS = 12;
export const FEWEST_ROUNDS = 7;
export const MOST_ROUNDS = 101;

/** Largest difference between the outputs of two engines, relative to the largest output. */
export const TOLERANCE = 1e-4;
