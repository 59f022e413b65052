// A slow link: a relay that lets so many bytes a second through, over all connections together. The browser's own
// emulation leaves out what workers fetch, and that is most of it.
import http from "node:http";
import { Transform } from "node:stream";

/** Round trip of such a link, ms: every answer begins that much later. */
const LATENCY_MS = 20;

/** Starts a relay to `upstream`. */
export async function slowly(upstream, bytesPerSecond) {
  // When the link will have sent all that was given to it.
  let free = 0;
  const limited = () => new Transform({
    transform(piece, encoding, done) {
      free = Math.max(free, performance.now()) + (1000 * piece.length) / bytesPerSecond;
      setTimeout(done, free - performance.now(), null, piece);
    },
  });
  const server = http.createServer((request, response) => {
    const { method, headers, url } = request;
    const relayed = http.request(new URL(url, upstream), { method, headers }, (answer) => {
      setTimeout(() => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(limited()).pipe(response);
      }, LATENCY_MS);
    });
    relayed.on("error", (error) => response.destroy(error));
    response.on("close", () => relayed.destroy());
    relayed.end();
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
