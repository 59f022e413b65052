// The engine TensorFlow.js, on `?backend=wasm` or `?backend=webgpu`. It is a classic worker, because the bundles of
// TensorFlow.js are no modules.
importScripts("./peers/tfjs/tf.es2017.min.js");
const backend = new URL(self.location).searchParams.get("backend");
importScripts(`./peers/tfjs/tf-backend-${backend}.es2017.min.js`);

(async () => {
  const [{ serve }, networks, numbers] = await Promise.all(["worker", "networks", "numbers"].map((name) => import(`./${name}.js`)));
  const { ENCODERS, PIXELS, layers, linear, tokenCount, tokens } = networks;
  const { inputs, pseudoRandom, weights } = numbers;

  /** Training steps whose losses are compared with the other engines. */
  const COMPARED_STEPS = 8;

  /** Learning rate, as in the other engines. */
  const LEARNING_RATE = 1e-5;

  const dense = (name, input, out) => {
    const { weight, bias } = linear(name, input, out);
    return { weight: tf.variable(tf.tensor2d(weight, [input, out])), bias: tf.variable(tf.tensor1d(bias)) };
  };
  const apply = (x, { weight, bias }, activation) => tf.fused.matMul({ a: x, b: weight, bias, activation });

  function mlp({ widths }) {
    const mlpLayers = layers(widths).map(({ name, input, out }) => dense(name, input, out));
    const activation = (i) => (i + 1 < mlpLayers.length ? "relu" : "linear");
    const forward = (x) => mlpLayers.reduce((y, layer, i) => apply(y, layer, activation(i)), x);
    return { forward, variables: mlpLayers.flatMap(({ weight, bias }) => [weight, bias]) };
  }

  function encoder({ size, batch }) {
    const sizes = ENCODERS[size];
    const { width, heads, positions } = sizes;
    const [count, depth] = [tokenCount(sizes), width / heads];
    const variables = [];
    const register = (tensor) => (variables.push(tensor), tensor);
    const layer = (name, input, out) => {
      const created = dense(name, input, out);
      variables.push(created.weight, created.bias);
      return created;
    };
    const vector = (name) => register(tf.tensor1d(weights(name, [width])));
    const norm = (name) => {
      const [gamma, beta] = [vector(`${name}.weight`), vector(`${name}.bias`)];
      return (x) => {
        const centred = tf.sub(x, tf.mean(x, -1, true));
        const variance = tf.mean(tf.square(centred), -1, true);
        return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, 1e-5))), gamma), beta);
      };
    };
    const gelu = (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
    const embed = layer("data_embed", sizes.length + 1, width);
    const position = register(tf.tensor2d(weights("position_embed.weight", [positions, width]).slice(0, count * width), [count, width]));
    const blocks = Array.from({ length: sizes.layers }, (_, i) => ({
      ln1: norm(`blocks.${i}.ln1`), ln2: norm(`blocks.${i}.ln2`),
      q: layer(`blocks.${i}.attention.q_proj`, width, width), kv: layer(`blocks.${i}.attention.kv_proj`, width, 2 * width),
      out: layer(`blocks.${i}.attention.out_proj`, width, width),
      up: layer(`blocks.${i}.mlp.0`, width, 4 * width), down: layer(`blocks.${i}.mlp.2`, 4 * width, width),
    }));
    const finalNorm = norm("final_layernorm");
    const splitHeads = (x) => tf.transpose(tf.reshape(x, [batch, count, heads, depth]), [0, 2, 1, 3]);
    // All tokens of all spectra are rows of one matrix, the input format of the layers of TensorFlow.js.
    const forward = (x) => {
      let h = tf.reshape(tf.add(tf.reshape(apply(x, embed), [batch, count, width]), position), [batch * count, width]);
      for (const block of blocks) {
        const normed = block.ln1(h);
        const q = tf.mul(splitHeads(apply(normed, block.q)), 1 / depth);
        const [k, v] = tf.splitHeads(apply(normed, block.kv), 2, 1);
        const attention = tf.softmax(tf.matMul(q, splitHeads(k), false, true));
        const mixed = tf.reshape(tf.transpose(tf.matMul(attention, splitHeads(v)), [0, 2, 1, 3]), [batch * count, width]);
        h = tf.add(h, apply(mixed, block.out));
        h = tf.add(h, apply(gelu(apply(block.ln2(h), block.up)), block.down));
      }
      return tf.mean(tf.reshape(finalNorm(h), [batch, count, width]), 1);
    };
    return { forward, variables };
  }

  function forwardJob(benchCase) {
    const sizes = ENCODERS[benchCase.size];
    const network = sizes ? encoder(benchCase) : mlp(benchCase);
    const pixels = sizes ? PIXELS : benchCase.widths[0];
    const x = inputs(benchCase, pixels);
    const run = async () => {
      const y = tf.tidy(() => {
        const rows = sizes ? tokens(x, benchCase.batch, sizes) : x;
        return network.forward(tf.tensor2d(rows, sizes ? [benchCase.batch * tokenCount(sizes), sizes.length + 1] : [benchCase.batch, pixels]));
      });
      const values = await y.data();
      y.dispose();
      return values;
    };
    return { run, outputs: run, close: () => network.variables.forEach((v) => v.dispose()) };
  }

  /**
   * Steps of full training, with Adam in place of AdamW. At this learning rate AdamW's weight decay changes every
   * weight by less than half of its last bit, so the results are equal and only work is saved.
   */
  function trainingJob(benchCase) {
    const { widths, batch, steps } = benchCase;
    const newTraining = () => ({ ...mlp(benchCase), optimiser: tf.train.adam(LEARNING_RATE, 0.9, 0.999, 1e-8) });
    const batches = Array.from({ length: steps }, (_, i) => ({
      x: pseudoRandom("input", batch * widths[0], { first: i * batch * widths[0], scale: Math.sqrt(3) }),
      y: pseudoRandom("target", batch, { first: i * batch }),
    }));
    const step = ({ forward, variables, optimiser }, { x: inputRows, y: targets }) => tf.tidy(() => {
      const [x, y] = [tf.tensor2d(inputRows, [batch, widths[0]]), tf.tensor2d(targets, [batch, 1])];
      return optimiser.minimize(() => tf.mean(tf.squaredDifference(forward(x), y)), true, variables);
    });
    const dispose = ({ variables, optimiser }) => { variables.forEach((v) => v.dispose()); optimiser.dispose(); };
    const timed = newTraining();
    return {
      async outputs() {
        const fresh = newTraining();
        const losses = [];
        for (let i = 0; i < COMPARED_STEPS; i += 1) losses.push((await step(fresh, batches[0]).data())[0]);
        dispose(fresh);
        return losses;
      },
      async run() {
        for (const trainingBatch of batches) step(timed, trainingBatch).dispose();
        // Reading a variable waits until the last step has ended.
        await timed.variables.at(-1).data();
      },
      close: () => dispose(timed),
    };
  }

  serve({
    async start({ threads }) {
      if (backend === "wasm") {
        tf.wasm.setWasmPaths(new URL("./peers/tfjs/", self.location).href);
        tf.wasm.setThreadsCount(threads);
      }
      if (!(await tf.setBackend(backend))) throw new Error(`the ${backend} backend did not start`);
      await tf.ready();
      return tf.version.tfjs;
    },
    open: async (benchCase) => (benchCase.kind === "train" ? trainingJob(benchCase) : forwardJob(benchCase)),
  });
})();
