// Who is measured in a browser: names that results are compared by, how many threads, which cases, and where they run.
import { inWorker } from "./remote.js";

const isForward = ({ kind }) => kind === "mlp" || kind === "encoder";
const isOurs = (name, { kind }) => kind !== "limit";
const isTiny = (name) => name.endsWith("-tiny");
const isFullTraining = ({ kind, strategy }) => kind === "train" && strategy === "full";

const specola = (program) => inWorker(`specola.worker.js?program=${program}`, { type: "module" });
const onnxruntime = (backend) => inWorker(`onnxruntime.worker.js?backend=${backend}`, { type: "module" });
const tensorflow = (backend) => inWorker(`tensorflow.worker.js?backend=${backend}`);

/** Shared memory for what two engines hand each other, bytes: four times the keys and values of half an encoder's tokens. */
const SHARED_BYTES = 2 ** 21;

/**
 * Several engines side by side, each with its part of a batch. A single spectrum two of them compute together, where a page may
 * have shared memory.
 */
async function pool(threads) {
  const workers = await Promise.all(Array.from({ length: threads }, () => specola("cpu")));
  let working = workers;
  const memory = threads === 2 && self.crossOriginIsolated ? new SharedArrayBuffer(SHARED_BYTES) : null;
  if (memory) workers.forEach((worker, i) => worker.post({ memory, isFirst: i === 0 }));
  return {
    async ask(question) {
      if (question.do === "run") {
        const begun = performance.now();
        for (let i = 0; i < question.repeats; i += 1) {
          await Promise.all(working.map((worker) => worker.ask({ do: "run", repeats: 1 })));
        }
        return { ms: performance.now() - begun };
      }
      if (question.do !== "open") return (await Promise.all(workers.map((worker) => worker.ask(question))))[0];
      const { kind, batch } = question.case;
      if (memory && kind === "encoder" && batch === 1) {
        working = workers;
        const halved = { do: "open", case: { ...question.case, is_halved: true } };
        return (await Promise.all(workers.map((worker) => worker.ask(halved))))[0];
      }
      const part = Math.ceil(batch / threads);
      working = workers.slice(0, Math.ceil(batch / part));
      const parts = await Promise.all(working.map((worker, i) => {
        const rows = { first: i * part, batch: Math.min(part, batch - i * part) };
        return worker.ask({ do: "open", case: { ...question.case, ...rows } });
      }));
      return { outputs: parts.flatMap(({ outputs }) => outputs) };
    },
    close: () => workers.forEach((worker) => worker.close()),
  };
}

/**
 * `starts`: gives what answers questions; `does`: whether it can run a case. What runs on a GPU has only cases that suit the
 * adapter: all of them on a real one, the tiny ones on one made of software.
 */
export const ENGINES = [
  { engine: "specola-cpu", threads: 1, starts: () => specola("cpu"), does: isOurs },
  { engine: "specola-pool", threads: 2, starts: () => pool(2), does: (name, given) => isForward(given) && !isTiny(name) },
  ...[1, 2].map((threads) => ({
    engine: "onnxruntime-web-wasm", threads, starts: () => onnxruntime("wasm"), does: (name, given) => isForward(given),
  })),
  ...[1, 2].map((threads) => ({
    engine: "tfjs-wasm", threads, starts: () => tensorflow("wasm"), does: (name, given) => isForward(given) || isFullTraining(given),
  })),
  {
    engine: "core", threads: 1, starts: () => inWorker("limits.worker.js", { type: "module" }), does: (name, { kind }) => kind === "limit",
  },
  { engine: "specola-gpu", threads: 1, gpu: true, starts: () => specola("gpu"), does: (name, given) => isForward(given) || given.kind === "train" },
  { engine: "onnxruntime-web-webgpu", threads: 1, gpu: true, starts: () => onnxruntime("webgpu"), does: (name, given) => isForward(given) },
  {
    engine: "tfjs-webgpu", threads: 1, gpu: true, starts: () => tensorflow("webgpu"),
    does: (name, given) => isForward(given) || isFullTraining(given),
  },
];

/** The engines of this browser for a case: those that need a GPU only where there is one that can do it. */
export function enginesFor(name, given, adapter) {
  const suits = adapter === "hardware" || (adapter === "software" && isTiny(name));
  return ENGINES.filter((one) => one.does(name, given) && (!one.gpu || suits));
}

/** What WebGPU computes on here: `"hardware"`, `"software"` or nothing. */
export async function adapterKind() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter) return null;
  const { vendor, architecture, description } = adapter.info;
  const isSoftware = adapter.info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|software/i.test(`${vendor} ${architecture} ${description}`);
  return isSoftware ? "software" : "hardware";
}
