// The networks that are measured, as lists of arrays with PyTorch's names and shapes (MODEL_SPEC §2.1 and §4 in the words
// of src/nn), and the one step before the encoder that its peers have no operator for.
import { weights } from "./numbers.js";

export const PIXELS = 1462;

/** Sizes of the encoders: the published one, and the one that is shipped (src/model/encoders.rs). */
export const ENCODERS = {
  paper: { length: 20, overlap: 10, width: 768, layers: 6, heads: 6, positions: 150 },
  shipped: { length: 40, overlap: 20, width: 128, layers: 6, heads: 4, positions: 80 },
};

/** Layers of an MLP: name, inputs, outputs. */
export function layers(widths) {
  return widths.slice(1).map((out, i) => ({ name: `network.${2 * i}`, input: widths[i], out }));
}

/** A linear layer's arrays, `weight` as (in, out) and row after row. */
export function linear(name, input, out) {
  return { weight: turned(weights(`${name}.weight`, [out, input]), out, input), bias: weights(`${name}.bias`, [out]), input, out };
}

/** A matrix of `rows` × `columns`, turned. */
export function turned(values, rows, columns) {
  const other = new Float32Array(values.length);
  for (let r = 0; r < rows; r += 1) for (let c = 0; c < columns; c += 1) other[c * rows + r] = values[r * columns + c];
  return other;
}

/** Number of tokens of a spectrum: one for each slice but the last, and a special one. */
export function tokenCount({ length, overlap }) {
  return 1 + Math.ceil((PIXELS - overlap) / (length - overlap)) - 1;
}

/** Spectra as tokens, [batch, tokens, length + 1]. */
export function tokens(x, batch, encoder) {
  const { length, overlap } = encoder;
  const [count, width, step] = [tokenCount(encoder), length + 1, length - overlap];
  const out = new Float32Array(batch * count * width);
  for (let b = 0; b < batch; b += 1) {
    const row = x.subarray(b * PIXELS, (b + 1) * PIXELS);
    const mean = row.reduce((sum, v) => sum + v, 0) / PIXELS;
    const std = Math.sqrt(row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (PIXELS - 1));
    const at = b * count * width;
    out[at] = Math.log10(std);
    for (let t = 1; t < count; t += 1) {
      for (let i = 0; i < length; i += 1) out[at + t * width + 1 + i] = (row[(t - 1) * step + i] - mean) / std;
    }
  }
  return out;
}

/** The operations of one forward pass or training step, a multiplication and an addition counted as two. */
export function operations(given) {
  const { kind, batch } = given;
  if (kind === "encoder") {
    const encoder = ENCODERS[given.size];
    const [t, w] = [tokenCount(encoder), encoder.width];
    const block = 2 * t * 12 * w * w + 4 * t * t * w;
    return batch * (2 * t * (encoder.length + 1) * w + encoder.layers * block);
  }
  const forward = layers(given.widths).reduce((sum, { input, out }) => sum + 2 * batch * input * out, 0);
  // Gradients by weights and by inputs; by those of the first layer nobody asks.
  return kind === "train" ? 3 * forward - 2 * batch * given.widths[0] * given.widths[1] : forward;
}

/** Bytes that AdamW moves in a step of full training: weight, gradient and two moments read, all but the gradient written. */
export function optimiserBytes({ widths }) {
  return 28 * layers(widths).reduce((sum, { input, out }) => sum + (input + 1) * out, 0);
}
