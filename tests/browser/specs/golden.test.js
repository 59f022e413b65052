// The networks compared with PyTorch in this browser: the checks of four files of tests/model on burn-flex, and the checks
// of whole networks on WebGPU through Chromium's software renderer. `cargo xtask test` builds the program of the checks.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import http from "node:http";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, test } from "node:test";
import { closeBrowser, launchBrowser } from "../page.js";

const PROGRAM = process.env.SPECOLA_GOLDEN;
const TESTS = fileURLToPath(new URL("../../model/", import.meta.url));
/** Files with checks, as in tests/browser/golden/main.rs. */
const FILES = ["heads.rs", "mlp.rs", "networks.rs", "training.rs"];

const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };

const WORKER = `
  import init from "./golden.js";
  try { await init(); } catch (error) { postMessage("FAILED " + error); }
`;

after(closeBrowser);

/** Names of all checks in the sources. */
function checkNames() {
  const checks = FILES.flatMap((name) => [...readFileSync(join(TESTS, name), "utf8").matchAll(/cfg_attr\(test, test\)\]\s*pub\(crate\) fn (\w+)/g)]);
  return checks.map(([, name]) => name).sort();
}

test("every network gives PyTorch's outputs in this browser", { skip: PROGRAM ? false : "SPECOLA_GOLDEN is not set", timeout: 900_000 }, async () => {
  const server = http.createServer((request, response) => {
    const inline = { "/": "<!doctype html><title>Checks</title>", "/worker.js": WORKER }[request.url];
    const type = TYPES[extname(request.url)] ?? TYPES[".html"];
    const path = join(PROGRAM, request.url);
    if (inline === undefined && !existsSync(path)) return response.writeHead(404).end();
    return response.writeHead(200, { "content-type": type }).end(inline ?? readFileSync(path));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await launchBrowser(true);
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    const start = Date.now();
    const lines = await page.evaluate(() => new Promise((resolve) => {
      const received = [];
      const worker = new Worker("worker.js", { type: "module" });
      worker.onmessage = ({ data }) => {
        received.push(data);
        if (data === "done" || data.startsWith("FAILED")) resolve(received);
      };
      worker.onerror = (event) => resolve([...received, `FAILED ${event.message}`]);
      setTimeout(() => resolve([...received, "FAILED no message for 880 s"]), 880_000);
    }));
    const passed = (backend) => lines.filter((line) => line.startsWith(`${backend} `)).map((line) => line.split(" ")[1]).sort();
    const seconds = ((Date.now() - start) / 1000).toFixed(0);
    console.log(`${passed("flex").length} checks on flex, ${passed("webgpu").length} on WebGPU in ${seconds} s`);
    lines.filter((line) => line.startsWith("search ")).forEach((line) => console.log(line));
    assert.deepEqual(lines.filter((line) => line.startsWith("OFF")), []);
    assert.equal(lines.at(-1), "done", lines.slice(-2).join("\n"));
    assert.deepEqual(passed("flex"), checkNames(), "every check ran on flex");
    assert.ok(passed("webgpu").length > 0, "some checks ran on WebGPU");
  } finally {
    await context.close();
    server.close();
  }
});
