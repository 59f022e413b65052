// The engines that run in a browser: the name for results, the number of threads, the supported cases and the worker.
import { startWorker } from "./remote.js";

const isForward = ({ kind }) => kind === "mlp" || kind === "encoder";
const isSpecolaCase = (name, { kind }) => kind !== "limit";
const isTiny = (name) => name.endsWith("-tiny");
const isFullTraining = ({ kind, strategy }) => kind === "train" && strategy === "full";

const specola = (program) => startWorker(`specola.worker.js?program=${program}`, { type: "module" });
const onnxruntime = (backend) => startWorker(`onnxruntime.worker.js?backend=${backend}`, { type: "module" });
const tensorflow = (backend) => startWorker(`tensorflow.worker.js?backend=${backend}`);

/** Shared memory of two engines, bytes: four times the keys and values of half of an encoder's tokens. */
const SHARED_BYTES = 2 ** 21;

/**
 * Starts several engines that work in parallel, each on its part of a batch. Two engines can also share a single
 * spectrum, half of its tokens each, if the page has shared memory.
 */
async function startPool(threads) {
  const workers = await Promise.all(Array.from({ length: threads }, () => specola("cpu")));
  let active = workers;
  const memory = threads === 2 && self.crossOriginIsolated ? new SharedArrayBuffer(SHARED_BYTES) : null;
  if (memory) workers.forEach((worker, i) => worker.post({ memory, isFirst: i === 0 }));
  return {
    async send(request) {
      if (request.do === "run") {
        const start = performance.now();
        for (let i = 0; i < request.repeats; i += 1) {
          await Promise.all(active.map((worker) => worker.send({ do: "run", repeats: 1 })));
        }
        return { ms: performance.now() - start };
      }
      if (request.do !== "open") return (await Promise.all(workers.map((worker) => worker.send(request))))[0];
      const { kind, batch } = request.case;
      if (memory && kind === "encoder" && batch === 1) {
        active = workers;
        const openHalf = { do: "open", case: { ...request.case, is_halved: true } };
        return (await Promise.all(workers.map((worker) => worker.send(openHalf))))[0];
      }
      const share = Math.ceil(batch / threads);
      active = workers.slice(0, Math.ceil(batch / share));
      const responses = await Promise.all(active.map((worker, i) => {
        const rows = { first: i * share, batch: Math.min(share, batch - i * share) };
        return worker.send({ do: "open", case: { ...request.case, ...rows } });
      }));
      return { outputs: responses.flatMap(({ outputs }) => outputs) };
    },
    close: () => workers.forEach((worker) => worker.close()),
  };
}

/**
 * Every engine. `start` returns a client of it (remote.js); `supports` says whether it can run a case. An engine on
 * the GPU runs every supported case on a real GPU, but only the tiny cases on a software renderer.
 */
export const ENGINES = [
  { engine: "specola-cpu", threads: 1, start: () => specola("cpu"), supports: isSpecolaCase },
  { engine: "specola-pool", threads: 2, start: () => startPool(2), supports: (name, benchCase) => isForward(benchCase) && !isTiny(name) },
  ...[1, 2].map((threads) => ({
    engine: "onnxruntime-web-wasm", threads, start: () => onnxruntime("wasm"), supports: (name, benchCase) => isForward(benchCase),
  })),
  ...[1, 2].map((threads) => ({
    engine: "tfjs-wasm", threads, start: () => tensorflow("wasm"), supports: (name, benchCase) => isForward(benchCase) || isFullTraining(benchCase),
  })),
  {
    engine: "core", threads: 1, start: () => startWorker("limits.worker.js", { type: "module" }), supports: (name, { kind }) => kind === "limit",
  },
  { engine: "specola-gpu", threads: 1, needsGpu: true, start: () => specola("gpu"), supports: (name, benchCase) => isForward(benchCase) || benchCase.kind === "train" },
  { engine: "onnxruntime-web-webgpu", threads: 1, needsGpu: true, start: () => onnxruntime("webgpu"), supports: (name, benchCase) => isForward(benchCase) },
  {
    engine: "tfjs-webgpu", threads: 1, needsGpu: true, start: () => tensorflow("webgpu"),
    supports: (name, benchCase) => isForward(benchCase) || isFullTraining(benchCase),
  },
];

/** The engines of this browser for a case; `adapter` is the result of `adapterKind`. */
export function enginesFor(name, benchCase, adapter) {
  const isGpuUsable = adapter === "hardware" || (adapter === "software" && isTiny(name));
  return ENGINES.filter(({ supports, needsGpu }) => supports(name, benchCase) && (!needsGpu || isGpuUsable));
}

/** Kind of the WebGPU adapter: `"hardware"`, `"software"`, or `null` without WebGPU. */
export async function adapterKind() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter) return null;
  const { vendor, architecture, description } = adapter.info;
  const isSoftware = adapter.info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|software/i.test(`${vendor} ${architecture} ${description}`);
  return isSoftware ? "software" : "hardware";
}
