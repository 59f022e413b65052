// The networks against PyTorch's numbers in this browser: every check of tests/golden_*.rs on burn-flex, and those of the
// small networks on WebGPU through Chromium's software renderer. `cargo xtask test` builds the program of the checks.
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import http from "node:http";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, test } from "node:test";
import { closeBrowser, launched } from "../page.js";

const PROGRAM = process.env.SPECOLA_GOLDEN;
const TESTS = fileURLToPath(new URL("../../", import.meta.url));

const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };

const WORKER = `
  import init from "./golden.js";
  try { await init(); } catch (error) { postMessage("FAILED " + error); }
`;

after(closeBrowser);

/** Names of all checks in the sources. */
function written() {
  const files = readdirSync(TESTS).filter((name) => /^golden_.*\.rs$/.test(name) && name !== "golden_preprocess.rs");
  const checks = files.flatMap((name) => [...readFileSync(join(TESTS, name), "utf8").matchAll(/cfg_attr\(test, test\)\]\s*pub\(crate\) fn (\w+)/g)]);
  return checks.map(([, name]) => name).sort();
}

test("the networks give PyTorch's numbers in this browser", { skip: PROGRAM ? false : "its program is not built", timeout: 900_000 }, async () => {
  const server = http.createServer((request, response) => {
    const inline = { "/": "<!doctype html><title>Checks</title>", "/worker.js": WORKER }[request.url];
    const type = TYPES[extname(request.url)] ?? TYPES[".html"];
    const path = join(PROGRAM, request.url);
    if (inline === undefined && !existsSync(path)) return response.writeHead(404).end();
    return response.writeHead(200, { "content-type": type }).end(inline ?? readFileSync(path));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await launched(true);
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    const started = Date.now();
    const said = await page.evaluate(() => new Promise((resolve) => {
      const said = [];
      const worker = new Worker("worker.js", { type: "module" });
      worker.onmessage = ({ data }) => {
        said.push(data);
        if (data === "done" || data.startsWith("FAILED")) resolve(said);
      };
      worker.onerror = (event) => resolve([...said, `FAILED ${event.message}`]);
      setTimeout(() => resolve([...said, "FAILED nothing more came"]), 880_000);
    }));
    const passed = (place) => said.filter((line) => line.startsWith(`${place} `)).map((line) => line.split(" ")[1]).sort();
    const seconds = ((Date.now() - started) / 1000).toFixed(0);
    console.log(`${passed("flex").length} checks on flex, ${passed("webgpu").length} on WebGPU in ${seconds} s`);
    said.filter((line) => line.startsWith("search ")).forEach((line) => console.log(line));
    assert.deepEqual(said.filter((line) => line.startsWith("OFF")), []);
    assert.equal(said.at(-1), "done", said.slice(-2).join("\n"));
    assert.deepEqual(passed("flex"), written(), "every check ran on flex");
    assert.ok(passed("webgpu").length > 0, "and some on WebGPU");
  } finally {
    await context.close();
    server.close();
  }
});
