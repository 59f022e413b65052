// Upper limits of the processor core and the memory, measured by `limits.wat` and `limits-relaxed.wat`.
import { serve } from "./worker.js";

/** Operations, or bytes, of a run. */
const RUN_SIZE = 1e9;

/** Floating-point operations of one iteration of the loop in the .wat files. */
const OPERATIONS_PER_ITERATION = 96;

/** Bytes of each of the three arrays, which together are much larger than the caches. */
const ARRAY_BYTES = 33_333_376;

const loadExports = async (name) => (await WebAssembly.instantiateStreaming(fetch(`./${name}.wasm`))).instance.exports;

serve({
  start: async () => navigator.userAgent.match(/Chrom[a-z]*\/([\d.]+)|Firefox\/([\d.]+)|Version\/([\d.]+)/)?.slice(1).find(Boolean),
  async open({ what }) {
    const { multiply_add: multiplyAdd, triad } = await loadExports(what === "multiply-add-relaxed" ? "limits-relaxed" : "limits");
    const run = async () => {
      if (what === "bandwidth") for (let bytes = 0; bytes < RUN_SIZE; bytes += 3 * ARRAY_BYTES) triad(ARRAY_BYTES);
      else multiplyAdd(RUN_SIZE / OPERATIONS_PER_ITERATION);
    };
    return { run, outputs: async () => [1], close() {} };
  },
});
