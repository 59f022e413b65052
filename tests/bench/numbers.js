// Pseudo-random numbers from a name, identical in JavaScript, Rust (engine/numbers.rs) and Python (torch_engine.py).
// Every engine makes the same weights and inputs from them, so hundreds of megabytes need not be transferred. The
// benchmark also compares the outputs.

/** FNV-1a of a name. */
function seedOf(name) {
  let hash = 0x811c9dc5;
  for (const letter of name) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193);
  return hash >>> 0;
}

/**
 * `count` numbers from the sequence of a name, beginning with number `first`. They are uniform in [-1, 1), times
 * `scale`, plus `shift`.
 */
export function pseudoRandom(name, count, { first = 0, scale = 1, shift = 0 } = {}) {
  const seed = seedOf(name);
  const factor = Math.fround(scale);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 1) {
    let x = (Math.imul(i + first, 0x9e3779b1) ^ seed) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    x = (x ^ (x >>> 16)) >>> 0;
    values[i] = Math.fround(((x >>> 8) / 2 ** 23 - 1) * factor) + shift;
  }
  return values;
}

/** Weights of a network array by its PyTorch name and shape; their scale keeps the variance from layer to layer. */
export function weights(name, shape) {
  const count = shape.reduce((a, b) => a * b, 1);
  if (shape.length === 2) return pseudoRandom(name, count, { scale: Math.sqrt(3 / shape[1]) });
  const isNorm = /(ln[12]|layernorm)\.weight$/.test(name);
  return pseudoRandom(name, count, { scale: 0.1, shift: isNorm ? 1 : 0 });
}

/** Input rows of a network: standardised values for an MLP, continuum-normalised fluxes for an encoder. */
export function inputs(benchCase, pixels) {
  const { kind, batch, first = 0 } = benchCase;
  const distribution = kind === "encoder" ? { scale: 0.2, shift: 1 } : { scale: Math.sqrt(3) };
  return pseudoRandom("input", batch * pixels, { first: first * pixels, ...distribution });
}
