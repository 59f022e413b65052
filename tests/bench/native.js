// Native engines on this computer, one process each.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { EngineClient } from "./remote.js";

/** Starts a program that is an engine, with this number of threads; returns its client. */
async function startProcess(program, args, threads) {
  const env = { ...process.env, RAYON_NUM_THREADS: String(threads), OMP_NUM_THREADS: String(threads) };
  const child = spawn(program, args, { env, stdio: ["pipe", "pipe", "inherit"] });
  const client = new EngineClient((line) => child.stdin.write(`${line}\n`), () => child.kill());
  createInterface({ input: child.stdout }).on("line", (line) => client.receive(line));
  child.on("error", (error) => client.fail(`${program}: ${error.message}`));
  child.on("exit", (code) => client.fail(`${program} ended with status ${code}`));
  return client;
}

const isForward = ({ kind }) => kind === "mlp" || kind === "encoder";

/**
 * Returns a function that gives the native engines for a case. `python` is an interpreter with PyTorch; without it,
 * PyTorch is not measured.
 * @param {{specola: string, python?: string}} programs
 */
export function nativeEngines({ specola, python }) {
  const engines = [1, 2].flatMap((threads) => [
    { engine: "specola-native", threads, start: () => startProcess(specola, [], threads), supports: (name, { kind }) => kind !== "limit" },
    python && {
      engine: "pytorch-cpu", threads, start: () => startProcess(python, ["torch_engine.py"], threads),
      supports: (name, benchCase) => isForward(benchCase) || (benchCase.kind === "train" && benchCase.strategy === "full"),
    },
  ]);
  // Only networks compute in several threads.
  const isThreaded = (benchCase) => isForward(benchCase) || ["train", "finetune"].includes(benchCase.kind);
  return (name, benchCase) => engines.filter(
    (engine) => engine?.supports(name, benchCase) && (engine.threads === 1 || isThreaded(benchCase)),
  );
}
