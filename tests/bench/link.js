// A slow connection: an HTTP proxy with a limited rate, bytes per second, over all connections together. The browser's
// own emulation does not slow the requests of workers, and workers fetch most of the bytes.
import http from "node:http";
import { Transform } from "node:stream";

/** Round-trip time of the connection, ms: the delay before each response. */
const LATENCY_MS = 20;

/** Starts the proxy in front of `upstream`. */
export async function startSlowProxy(upstream, bytesPerSecond) {
  // Time at which the connection has sent all bytes so far.
  let idleFrom = 0;
  const rateLimit = () => new Transform({
    transform(chunk, encoding, callback) {
      idleFrom = Math.max(idleFrom, performance.now()) + (1000 * chunk.length) / bytesPerSecond;
      setTimeout(callback, idleFrom - performance.now(), null, chunk);
    },
  });
  const server = http.createServer((request, response) => {
    const { method, headers, url } = request;
    const upstreamRequest = http.request(new URL(url, upstream), { method, headers }, (incoming) => {
      setTimeout(() => {
        response.writeHead(incoming.statusCode, incoming.headers);
        incoming.pipe(rateLimit()).pipe(response);
      }, LATENCY_MS);
    });
    upstreamRequest.on("error", (error) => response.destroy(error));
    response.on("close", () => upstreamRequest.destroy());
    upstreamRequest.end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
