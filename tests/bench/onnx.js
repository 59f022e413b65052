// Networks as ONNX models, with the operators that PyTorch's exporter writes.
import "./peers/protobuf.min.js";
import { ENCODERS, layers, linear, tokenCount } from "./networks.js";
import { weights } from "./numbers.js";

const { protobuf } = globalThis;

/** The part of onnx.proto3 that these models need. */
const field = (id, type, rule) => ({ id, type, ...(rule && { rule }) });
const root = protobuf.Root.fromJSON({
  nested: {
    Attribute: { fields: {
      name: field(1, "string"), f: field(2, "float"), i: field(3, "int64"), ints: field(8, "int64", "repeated"), type: field(20, "int32"),
    } },
    Node: { fields: {
      input: field(1, "string", "repeated"), output: field(2, "string", "repeated"), opType: field(4, "string"),
      attribute: field(5, "Attribute", "repeated"),
    } },
    Tensor: { fields: { dims: field(1, "int64", "repeated"), dataType: field(2, "int32"), name: field(8, "string"), rawData: field(9, "bytes") } },
    Dimension: { fields: { dimValue: field(1, "int64") } },
    Shape: { fields: { dim: field(1, "Dimension", "repeated") } },
    TensorType: { fields: { elemType: field(1, "int32"), shape: field(2, "Shape") } },
    Type: { fields: { tensorType: field(1, "TensorType") } },
    Value: { fields: { name: field(1, "string"), type: field(2, "Type") } },
    Graph: { fields: {
      node: field(1, "Node", "repeated"), name: field(2, "string"), initializer: field(5, "Tensor", "repeated"),
      input: field(11, "Value", "repeated"), output: field(12, "Value", "repeated"),
    } },
    Opset: { fields: { domain: field(1, "string"), version: field(2, "int64") } },
    Model: { fields: { irVersion: field(1, "int64"), graph: field(7, "Graph"), opsetImport: field(8, "Opset", "repeated") } },
  },
});

const [FLOAT, INT64] = [1, 7];
const OPSET = 20;

/** A graph under construction. */
class Graph {
  node = [];
  initializer = [];

  /** Adds an operator; returns the name of its output, or of its outputs if it has several. */
  op(opType, input, attributes = {}, outputs = 1) {
    const output = Array.from({ length: outputs }, (_, i) => `${opType}_${this.node.length}_${i}`);
    const attribute = Object.entries(attributes).map(([name, value]) => {
      if (Array.isArray(value)) return { name, ints: value, type: 7 };
      return Number.isInteger(value) ? { name, i: value, type: 2 } : { name, f: value, type: 1 };
    });
    this.node.push({ opType, input, output, attribute });
    return outputs === 1 ? output[0] : output;
  }

  constant(values, dims) {
    const name = `constant_${this.initializer.length}`;
    const dataType = values instanceof BigInt64Array ? INT64 : FLOAT;
    this.initializer.push({ name, dims, dataType, rawData: new Uint8Array(values.buffer) });
    return name;
  }

  floats(name, shape) {
    return this.constant(weights(name, shape), shape);
  }

  shape(...sizes) {
    return this.constant(BigInt64Array.from(sizes, BigInt), [sizes.length]);
  }

  /** The encoded model with input `x` and output `y`. */
  encode(inputShape, y, outputShape) {
    const value = (name, dims) => ({
      name, type: { tensorType: { elemType: FLOAT, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
    });
    const graph = {
      name: "specola", node: this.node, initializer: this.initializer,
      input: [value("x", inputShape)], output: [value(y, outputShape)],
    };
    const model = { irVersion: 9, graph, opsetImport: [{ domain: "", version: OPSET }] };
    return root.lookupType("Model").encode(model).finish();
  }
}

/** The model of an MLP for a fixed batch size. */
export function mlp({ widths, batch }) {
  const graph = new Graph();
  const mlpLayers = layers(widths);
  const y = mlpLayers.reduce((x, { name, input, out }, i) => {
    const sum = graph.op("Gemm", [x, graph.floats(`${name}.weight`, [out, input]), graph.floats(`${name}.bias`, [out])], { transB: 1 });
    return i + 1 < mlpLayers.length ? graph.op("Relu", [sum]) : sum;
  }, "x");
  return graph.encode([batch, widths[0]], y, [batch, widths.at(-1)]);
}

/** The model of an encoder for a fixed batch size, from tokens to the mean of their embeddings. */
export function encoder({ size, batch }) {
  const sizes = ENCODERS[size];
  const { width, heads, positions } = sizes;
  const [count, depth] = [tokenCount(sizes), width / heads];
  const graph = new Graph();
  const dense = (x, name, input, out) => {
    const { weight, bias } = linear(name, input, out);
    return graph.op("Add", [graph.op("MatMul", [x, graph.constant(weight, [input, out])]), graph.constant(bias, [out])]);
  };
  const norm = (x, name) =>
    graph.op("LayerNormalization", [x, graph.floats(`${name}.weight`, [width]), graph.floats(`${name}.bias`, [width])], { axis: -1, epsilon: 1e-5 });
  const headsShape = graph.shape(batch, count, heads, depth);
  const tokensShape = graph.shape(batch, count, width);
  const scale = graph.constant(Float32Array.of(1 / depth), []);
  const splitHeads = (x, perm) => graph.op("Transpose", [graph.op("Reshape", [x, headsShape])], { perm });
  const position = weights("position_embed.weight", [positions, width]).slice(0, count * width);
  let h = graph.op("Add", [dense("x", "data_embed", sizes.length + 1, width), graph.constant(position, [count, width])]);
  for (let i = 0; i < sizes.layers; i += 1) {
    const prefix = `blocks.${i}`;
    const normed = norm(h, `${prefix}.ln1`);
    const q = graph.op("Mul", [splitHeads(dense(normed, `${prefix}.attention.q_proj`, width, width), [0, 2, 1, 3]), scale]);
    const [k, v] = graph.op("Split", [dense(normed, `${prefix}.attention.kv_proj`, width, 2 * width)], { axis: 2, num_outputs: 2 }, 2);
    const attention = graph.op("Softmax", [graph.op("MatMul", [q, splitHeads(k, [0, 2, 3, 1])])], { axis: -1 });
    const mixed = graph.op("Transpose", [graph.op("MatMul", [attention, splitHeads(v, [0, 2, 1, 3])])], { perm: [0, 2, 1, 3] });
    h = graph.op("Add", [h, dense(graph.op("Reshape", [mixed, tokensShape]), `${prefix}.attention.out_proj`, width, width)]);
    const hidden = graph.op("Gelu", [dense(norm(h, `${prefix}.ln2`), `${prefix}.mlp.0`, width, 4 * width)]);
    h = graph.op("Add", [h, dense(hidden, `${prefix}.mlp.2`, 4 * width, width)]);
  }
  const y = graph.op("ReduceMean", [norm(h, "final_layernorm"), graph.shape(1)], { keepdims: 0 });
  return graph.encode([batch, count, sizes.length + 1], y, [batch, width]);
}
