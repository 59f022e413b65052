// TensorFlow.js: `backend=wasm` or `webgpu`. A classic worker, because its bundles are scripts.
importScripts("./peers/tfjs/tf.es2017.min.js");
const backend = new URL(self.location).searchParams.get("backend");
importScripts(`./peers/tfjs/tf-backend-${backend}.es2017.min.js`);

(async () => {
  const [{ serve }, networks, numbers] = await Promise.all(["worker", "networks", "numbers"].map((name) => import(`./${name}.js`)));
  const { ENCODERS, PIXELS, layers, linear, tokenCount, tokens } = networks;
  const { inputs, made, weights } = numbers;

  /** Steps whose losses are compared, and the learning rate (engine/lesson.rs). */
  const COMPARED = 8;
  const RATE = 1e-5;

  const dense = (name, input, out) => {
    const { weight, bias } = linear(name, input, out);
    return { weight: tf.variable(tf.tensor2d(weight, [input, out])), bias: tf.variable(tf.tensor1d(bias)) };
  };
  const apply = (x, { weight, bias }, activation) => tf.fused.matMul({ a: x, b: weight, bias, activation });

  function mlp({ widths }) {
    const all = layers(widths).map(({ name, input, out }) => dense(name, input, out));
    const forward = (x) => all.reduce((y, layer, i) => apply(y, layer, i + 1 < all.length ? "relu" : "linear"), x);
    return { forward, variables: all.flatMap(({ weight, bias }) => [weight, bias]) };
  }

  function encoder({ size, batch }) {
    const sizes = ENCODERS[size];
    const { width, heads, positions } = sizes;
    const [count, depth] = [tokenCount(sizes), width / heads];
    const kept = [];
    const keep = (tensor) => (kept.push(tensor), tensor);
    const layer = (name, input, out) => {
      const made = dense(name, input, out);
      kept.push(made.weight, made.bias);
      return made;
    };
    const vector = (name) => keep(tf.tensor1d(weights(name, [width])));
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
    const position = keep(tf.tensor2d(weights("position_embed.weight", [positions, width]).slice(0, count * width), [count, width]));
    const blocks = Array.from({ length: sizes.layers }, (_, i) => ({
      ln1: norm(`blocks.${i}.ln1`), ln2: norm(`blocks.${i}.ln2`),
      q: layer(`blocks.${i}.attention.q_proj`, width, width), kv: layer(`blocks.${i}.attention.kv_proj`, width, 2 * width),
      out: layer(`blocks.${i}.attention.out_proj`, width, width),
      up: layer(`blocks.${i}.mlp.0`, width, 4 * width), down: layer(`blocks.${i}.mlp.2`, 4 * width, width),
    }));
    const final = norm("final_layernorm");
    const split = (x) => tf.transpose(tf.reshape(x, [batch, count, heads, depth]), [0, 2, 1, 3]);
    // All tokens of all spectra are rows of one matrix, as layers of TensorFlow.js take them.
    const forward = (x) => {
      let h = tf.reshape(tf.add(tf.reshape(apply(x, embed), [batch, count, width]), position), [batch * count, width]);
      for (const block of blocks) {
        const a = block.ln1(h);
        const q = tf.mul(split(apply(a, block.q)), 1 / depth);
        const [k, v] = tf.split(apply(a, block.kv), 2, 1);
        const share = tf.softmax(tf.matMul(q, split(k), false, true));
        const seen = tf.reshape(tf.transpose(tf.matMul(share, split(v)), [0, 2, 1, 3]), [batch * count, width]);
        h = tf.add(h, apply(seen, block.out));
        h = tf.add(h, apply(gelu(apply(block.ln2(h), block.up)), block.down));
      }
      return tf.mean(tf.reshape(final(h), [batch, count, width]), 1);
    };
    return { forward, variables: kept };
  }

  function answering(given) {
    const sizes = ENCODERS[given.size];
    const network = sizes ? encoder(given) : mlp(given);
    const pixels = sizes ? PIXELS : given.widths[0];
    const x = inputs(given, pixels);
    const run = async () => {
      const y = tf.tidy(() => {
        const rows = sizes ? tokens(x, given.batch, sizes) : x;
        return network.forward(tf.tensor2d(rows, sizes ? [given.batch * tokenCount(sizes), sizes.length + 1] : [given.batch, pixels]));
      });
      const values = await y.data();
      y.dispose();
      return values;
    };
    return { run, compared: run, close: () => network.variables.forEach((v) => v.dispose()) };
  }

  /** Adam: at this learning rate AdamW's decay moves no weight by half of its last bit, so leaving it out saves work alone. */
  function training(given) {
    const { widths, batch, steps } = given;
    const learner = () => ({ ...mlp(given), optimiser: tf.train.adam(RATE, 0.9, 0.999, 1e-8) });
    const batches = Array.from({ length: steps }, (_, i) => ({
      inputs: made("input", batch * widths[0], { first: i * batch * widths[0], scale: Math.sqrt(3) }),
      targets: made("target", batch, { first: i * batch }),
    }));
    const step = ({ forward, variables, optimiser }, { inputs, targets }) => tf.tidy(() => {
      const [x, y] = [tf.tensor2d(inputs, [batch, widths[0]]), tf.tensor2d(targets, [batch, 1])];
      return optimiser.minimize(() => tf.mean(tf.squaredDifference(forward(x), y)), true, variables);
    });
    const forget = ({ variables, optimiser }) => { variables.forEach((v) => v.dispose()); optimiser.dispose(); };
    const one = learner();
    return {
      async compared() {
        const fresh = learner();
        const losses = [];
        for (let i = 0; i < COMPARED; i += 1) losses.push((await step(fresh, batches[0]).data())[0]);
        forget(fresh);
        return losses;
      },
      async run() {
        for (const some of batches) step(one, some).dispose();
        // The last weights are there when one of them is read.
        await one.variables.at(-1).data();
      },
      close: () => forget(one),
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
    open: async (given) => (given.kind === "train" ? training(given) : answering(given)),
  });
})();
