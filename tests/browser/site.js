// HTTP proxy in front of the built page. Specs use it to serve the page below another path, to delay, omit or damage
// files, and to record every request.
import http from "node:http";

const upstream = new URL(process.env.SPECOLA_URL ?? "http://127.0.0.1:8417/");

/**
 * Starts the proxy.
 * @param {object} options
 * @param {string} [options.basePath] path below which the page is served
 * @param {(path: string) => boolean} [options.delay] files that are delayed until `release` is called
 * @param {(path: string) => boolean} [options.omit] files that give status 404
 * @param {(path: string) => "truncate" | "flip" | undefined} [options.damage] files that are truncated, or arrive with
 *   a flipped bit
 * @param {(path: string) => ((text: string) => string) | undefined} [options.edit] files whose text is edited
 */
export async function startSite({ basePath = "/", delay = () => false, omit = () => false, damage = () => {}, edit = () => {} } = {}) {
  const requests = [];
  let release;
  const released = new Promise((resolve) => { release = resolve; });

  const server = http.createServer(async (request, response) => {
    requests.push(request.url);
    const path = request.url.startsWith(basePath) ? request.url.slice(basePath.length).split("?")[0] : null;
    if (path === null || omit(path)) {
      response.writeHead(404, { "content-type": "text/plain" }).end("no such file\n");
      return;
    }
    if (delay(path)) await released;
    const { method, headers } = request;
    const editText = edit(path);
    if (editText) {
      const upstreamResponse = await fetch(new URL(path, upstream));
      const type = upstreamResponse.headers.get("content-type");
      response.writeHead(200, { "content-type": type, "cache-control": "no-cache" }).end(editText(await upstreamResponse.text()));
      return;
    }
    const upstreamRequest = http.request(new URL(path, upstream), { method, headers }, (incoming) => {
      response.writeHead(incoming.statusCode, incoming.headers);
      const fault = damage(path);
      if (!fault) return incoming.pipe(response);
      incoming.once("data", (chunk) => {
        if (fault === "truncate") {
          response.write(chunk, () => response.destroy());
        } else {
          chunk[0] ^= 1;
          response.write(chunk);
          incoming.pipe(response);
        }
      });
    });
    upstreamRequest.on("error", (error) => response.destroy(error));
    // A page that closes during a download must not leave a pending request.
    response.on("close", () => upstreamRequest.destroy());
    request.pipe(upstreamRequest);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${basePath}`,
    requests,
    release,
    /** Stops the server; delayed files stay delayed. */
    stop() {
      server.close();
      server.closeAllConnections();
    },
    /** Releases the delayed files and stops the server. */
    close() {
      release();
      server.closeAllConnections();
      server.close();
    },
  };
}
