// The built page behind a small relay, so that a spec can serve it below another path, hold files back or lose them,
// and see every request that reaches the server, whoever in the browser made it.
import http from "node:http";

const upstream = new URL(process.env.SPECOLA_URL ?? "http://127.0.0.1:8417/");

/**
 * Starts a relay.
 * @param {object} options
 * @param {string} [options.below] path that the page is served below
 * @param {(path: string) => boolean} [options.hold] files that wait until `release` is called
 * @param {(path: string) => boolean} [options.lose] files that are not found
 * @param {(path: string) => "break" | "damage" | undefined} [options.spoil] files that break off in the middle, or arrive
 *   with a bit turned
 * @param {(path: string) => ((text: string) => string) | undefined} [options.change] files that have another content
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
    const how = change(path);
    if (how) {
      const answer = await fetch(new URL(path, upstream));
      const type = answer.headers.get("content-type");
      response.writeHead(200, { "content-type": type, "cache-control": "no-cache" }).end(how(await answer.text()));
      return;
    }
    const relayed = http.request(new URL(path, upstream), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      const harm = spoil(path);
      if (!harm) return answer.pipe(response);
      answer.once("data", (piece) => {
        if (harm === "break") {
          response.write(piece, () => response.destroy());
        } else {
          piece[0] ^= 1;
          response.write(piece);
          answer.pipe(response);
        }
      });
    });
    relayed.on("error", (error) => response.destroy(error));
    // A page that is closed in the middle of a download leaves nothing waiting behind.
    response.on("close", () => relayed.destroy());
    request.pipe(relayed);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${below}`,
    requests,
    release,
    /** Answers nobody any more. */
    cut() {
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
