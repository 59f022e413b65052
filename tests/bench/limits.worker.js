// What the core and its memory can do at most: `limits.wat` and `limits-relaxed.wat`.
import { serve } from "./worker.js";

/** Operations, or bytes, of a run: times are then those of a thousand million. */
const A_BILLION = 1e9;

const OPERATIONS_A_TURN = 96;

/** Bytes of each of the three arrays: together far more than caches hold. */
const BYTES = 33_333_376;

const program = async (name) => (await WebAssembly.instantiateStreaming(fetch(`./${name}.wasm`))).instance.exports;

serve({
  start: async () => navigator.userAgent.match(/Chrom[a-z]*\/([\d.]+)|Firefox\/([\d.]+)|Version\/([\d.]+)/)?.slice(1).find(Boolean),
  async open({ what }) {
    const { multiply_add: multiplyAdd, triad } = await program(what === "multiply-add-relaxed" ? "limits-relaxed" : "limits");
    const run = async () => {
      if (what === "bandwidth") for (let moved = 0; moved < A_BILLION; moved += 3 * BYTES) triad(BYTES);
      else multiplyAdd(A_BILLION / OPERATIONS_A_TURN);
    };
    return { run, compared: async () => [1], close() {} };
  },
});
