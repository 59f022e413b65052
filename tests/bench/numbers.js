// Numbers made from a name, the same in JavaScript, Rust (engine/numbers.rs) and Python (torch_engine.py): so that every
// engine has the same weights and inputs without hundreds of megabytes being handed around. Outputs are compared besides.

/** FNV-1a of a name. */
function seedOf(name) {
  let hash = 0x811c9dc5;
  for (const letter of name) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193);
  return hash >>> 0;
}

/** `count` numbers in [-1, 1), evenly distributed, from the `first` of the endless row that belongs to a name. */
export function made(name, count, { first = 0, scale = 1, shift = 0 } = {}) {
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

/** An array of a network by its PyTorch name and shape: numbers keep their size from layer to layer. */
export function weights(name, shape) {
  const count = shape.reduce((a, b) => a * b, 1);
  if (shape.length === 2) return made(name, count, { scale: Math.sqrt(3 / shape[1]) });
  const isNorm = /(ln[12]|layernorm)\.weight$/.test(name);
  return made(name, count, { scale: 0.1, shift: isNorm ? 1 : 0 });
}

/** Rows that go into a network: those of an MLP are standardised, those of an encoder are fluxes over the continuum. */
export function inputs(given, pixels) {
  const { kind, batch, first = 0 } = given;
  const shape = kind === "encoder" ? { scale: 0.2, shift: 1 } : { scale: Math.sqrt(3) };
  return made("input", batch * pixels, { first: first * pixels, ...shape });
}
