// Engines of this machine outside of a browser, one process each.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { Remote } from "./remote.js";

/** The engine that a program is, with so many threads. */
async function inProcess(program, args, threads) {
  const env = { ...process.env, RAYON_NUM_THREADS: String(threads), OMP_NUM_THREADS: String(threads) };
  const child = spawn(program, args, { env, stdio: ["pipe", "pipe", "inherit"] });
  const remote = new Remote((line) => child.stdin.write(`${line}\n`), () => child.kill());
  createInterface({ input: child.stdout }).on("line", (line) => remote.hear(line));
  child.on("error", (error) => remote.die(`${program}: ${error.message}`));
  child.on("exit", (code) => remote.die(`${program} ended with status ${code}`));
  return remote;
}

const isForward = ({ kind }) => kind === "mlp" || kind === "encoder";

/**
 * The native engines for a case; `python` is the interpreter that has PyTorch, if there is one.
 * @param {{specola: string, python?: string}} programs
 */
export function nativeEngines({ specola, python }) {
  const both = [1, 2].flatMap((threads) => [
    { engine: "specola-native", threads, starts: () => inProcess(specola, [], threads), does: (name, { kind }) => kind !== "limit" },
    python && {
      engine: "pytorch-cpu", threads, starts: () => inProcess(python, ["torch_engine.py"], threads),
      does: (name, given) => isForward(given) || (given.kind === "train" && given.strategy === "full"),
    },
  ]);
  // Only networks compute in threads.
  const isThreaded = (given) => isForward(given) || ["train", "finetune"].includes(given.kind);
  return (name, given) => both.filter((one) => one?.does(name, given) && (one.threads === 1 || isThreaded(given)));
}
