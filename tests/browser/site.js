// HTTP proxy in front of the built page. Specs use it to serve the page below another path, to delay, omit or damage
// files, and to record every request.
import http from "node:http";

const upstream = new URL(process.env.SPECOLA_URL ?? "http://127.0.0.1:8417/");

/**
 * Starts the proxy.
 * @param {object} options
 * @param {string} [options.below] path below which the page is served
 * @param {(path: string) => boolean} [options.hold] files that are delayed until `release` is called
 * @param {(path: string) => boolean} [options.lose] files that give status 404
 * @param {(path: string) => "break" | "damage" | undefined} [options.spoil] files that are truncated, or arrive with a
 *   flipped bit
 * @param {(path: string) => ((text: string) => string) | undefined} [options.change] files whose text is changed
 */
export async function site({ below = "/", hold = () => false, lose = () => false, spoil = () => {}, change = () => {} } = {}) {
  const requests = [];
  let release;
  const released = new Promise((resolve) => { release = resolve; });

  const server = http.createServer(async (request, response) => {
    requests.push(request.url);
    const path = request.url.startsWith(below) ? request.url.slice(below.length).split("?")[0] : null;
    if (path === null || lose(path)) {
      response.writeHead(404, { "content-type": "text/plain" }).end("not here\n");
      return;
    }
    if (hold(path)) await released;
    const { method, headers } = request;
    const edit = change(path);
    if (edit) {
      const upstreamResponse = await fetch(new URL(path, upstream));
      const type = upstreamResponse.headers.get("content-type");
      response.writeHead(200, { "content-type": type, "cache-control": "no-cache" }).end(edit(await upstreamResponse.text()));
      return;
    }
    const relayed = http.request(new URL(path, upstream), { method, headers }, (incoming) => {
      response.writeHead(incoming.statusCode, incoming.headers);
      const harm = spoil(path);
      if (!harm) return incoming.pipe(response);
      incoming.once("data", (piece) => {
        if (harm === "break") {
          response.write(piece, () => response.destroy());
        } else {
          piece[0] ^= 1;
          response.write(piece);
          incoming.pipe(response);
        }
      });
    });
    relayed.on("error", (error) => response.destroy(error));
    // A page that closes during a download must not leave a pending request.
    response.on("close", () => relayed.destroy());
    request.pipe(relayed);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${below}`,
    requests,
    release,
    /** Stops the server. */
    stop() {
      server.close();
      server.closeAllConnections();
    },
    close() {
      release();
      server.closeAllConnections();
      server.close();
    },
  };
}
