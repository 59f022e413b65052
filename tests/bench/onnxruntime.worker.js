// The engine onnxruntime-web, on `?backend=wasm` or `?backend=webgpu`.
import { encoder, mlp } from "./onnx.js";
import { ENCODERS, PIXELS, tokenCount, tokens } from "./networks.js";
import { inputs } from "./numbers.js";
import { serve } from "./worker.js";

const backend = new URL(self.location).searchParams.get("backend");
let ort;

serve({
  async start({ threads }) {
    ort = await import(`./peers/ort/ort.${backend}.min.mjs`);
    ort.env.wasm.numThreads = threads;
    ort.env.wasm.wasmPaths = new URL("./peers/ort/", self.location).href;
    return ort.env.versions.web ?? ort.env.versions.common;
  },

  async open(benchCase) {
    const model = benchCase.kind === "mlp" ? mlp(benchCase) : encoder(benchCase);
    const session = await ort.InferenceSession.create(model, { executionProviders: [backend], graphOptimizationLevel: "all" });
    const { batch } = benchCase;
    const pixels = benchCase.kind === "mlp" ? benchCase.widths[0] : PIXELS;
    const x = inputs(benchCase, pixels);
    const run = async () => {
      const sizes = ENCODERS[benchCase.size];
      const rows = sizes ? tokens(x, batch, sizes) : x;
      const shape = sizes ? [batch, tokenCount(sizes), sizes.length + 1] : [batch, pixels];
      const outputs = await session.run({ x: new ort.Tensor("float32", rows, shape) });
      return outputs[session.outputNames[0]].getData();
    };
    return { run, outputs: run, close: () => session.release() };
  },
});
