// The measured networks: their arrays with PyTorch's names and shapes (docs/model-spec.md §2.1 and §4). Also the
// division of spectra into tokens, for which the other engines have no operator.
import { weights } from "./numbers.js";

export const PIXELS = 1462;

/** Sizes of the published encoder and of the shipped encoder (src/model/encoders.rs). */
export const ENCODERS = {
  paper: { length: 20, overlap: 10, width: 768, layers: 6, heads: 6, positions: 150 },
  shipped: { length: 40, overlap: 20, width: 128, layers: 6, heads: 4, positions: 80 },
};

/** Layers of an MLP: name, inputs, outputs. */
export function layers(widths) {
  return widths.slice(1).map((out, i) => ({ name: `network.${2 * i}`, input: widths[i], out }));
}

/** Arrays of a linear layer; `weight` has the shape (inputs, outputs), row by row. */
export function linear(name, input, out) {
  return { weight: transposed(weights(`${name}.weight`, [out, input]), out, input), bias: weights(`${name}.bias`, [out]), input, out };
}

/** Transpose of a matrix of `rows` × `columns`. */
export function transposed(values, rows, columns) {
  const result = new Float32Array(values.length);
  for (let r = 0; r < rows; r += 1) for (let c = 0; c < columns; c += 1) result[c * rows + r] = values[r * columns + c];
  return result;
}

/**
 * Number of tokens of a spectrum: one for each slice except the last, and one for the standard deviation of the flux.
 */
export function tokenCount({ length, overlap }) {
  return 1 + Math.ceil((PIXELS - overlap) / (length - overlap)) - 1;
}

/** Tokens of spectra, shape (batch, tokens, length + 1). */
export function tokens(x, batch, encoder) {
  const { length, overlap } = encoder;
  const [count, width, step] = [tokenCount(encoder), length + 1, length - overlap];
  const out = new Float32Array(batch * count * width);
  for (let b = 0; b < batch; b += 1) {
    const row = x.subarray(b * PIXELS, (b + 1) * PIXELS);
    const mean = row.reduce((sum, v) => sum + v, 0) / PIXELS;
    const std = Math.sqrt(row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (PIXELS - 1));
    const start = b * count * width;
    out[start] = Math.log10(std);
    for (let t = 1; t < count; t += 1) {
      for (let i = 0; i < length; i += 1) out[start + t * width + 1 + i] = (row[(t - 1) * step + i] - mean) / std;
    }
  }
  return out;
}

/** Floating-point operations of one forward pass or training step; a multiplication and an addition count as two. */
export function operations(benchCase) {
  const { kind, batch } = benchCase;
  if (kind === "encoder") {
    const encoder = ENCODERS[benchCase.size];
    const [n, width] = [tokenCount(encoder), encoder.width];
    const block = 2 * n * 12 * width * width + 4 * n * n * width;
    return batch * (2 * n * (encoder.length + 1) * width + encoder.layers * block);
  }
  const forward = layers(benchCase.widths).reduce((sum, { input, out }) => sum + 2 * batch * input * out, 0);
  // Training adds the gradients of all weights, and of all inputs except the inputs of the first layer.
  return kind === "train" ? 3 * forward - 2 * batch * benchCase.widths[0] * benchCase.widths[1] : forward;
}

/**
 * Bytes that AdamW moves in a full training step: it reads weight, gradient and two moments; it writes weight and
 * moments.
 */
export function optimiserBytes({ widths }) {
  return 28 * layers(widths).reduce((sum, { input, out }) => sum + (input + 1) * out, 0);
}
