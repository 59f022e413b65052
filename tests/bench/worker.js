// Shared by the workers of the engines other than Specola: the responses to requests, and the timing.

/**
 * Responds to the requests of `remote.js`.
 * @param {object} engine `start(request)` → version; `open(case)` → a job: `outputs()` → numbers to compare with the
 *   other engines, `run()`, `close()`
 */
export function serve(engine) {
  let job = null;
  const respond = async (request) => {
    switch (request.do) {
      case "start":
        return { version: await engine.start(request) };
      case "open":
        await job?.close();
        job = null;
        job = await engine.open(request.case);
        return { outputs: Array.from(await job.outputs()) };
      case "run": {
        const start = performance.now();
        for (let i = 0; i < request.repeats; i += 1) await job.run();
        return { ms: performance.now() - start };
      }
      default:
        await job?.close();
        job = null;
        return {};
    }
  };
  // Requests are handled one after the other, in their order.
  let last = Promise.resolve();
  self.onmessage = ({ data }) => {
    last = last.then(() => respond(JSON.parse(data))).catch((error) => ({ error: String(error?.message ?? error) }));
    last = last.then((response) => self.postMessage(JSON.stringify(response)));
  };
  self.postMessage("{}");
}
