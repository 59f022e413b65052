// What the workers of the peers share: answering questions, and timing.

/**
 * Answers the questions of `remote.js`.
 * @param {object} engine `start(question)` → version; `open(case)` → a job: `run()` → outputs, `close()`
 */
export function serve(engine) {
  let job = null;
  const answer = async (question) => {
    switch (question.do) {
      case "start":
        return { version: await engine.start(question) };
      case "open":
        await job?.close();
        job = null;
        job = await engine.open(question.case);
        return { outputs: Array.from(await job.compared()) };
      case "run": {
        const begun = performance.now();
        for (let i = 0; i < question.repeats; i += 1) await job.run();
        return { ms: performance.now() - begun };
      }
      default:
        await job?.close();
        job = null;
        return {};
    }
  };
  // One after the other, as they were asked.
  let last = Promise.resolve();
  self.onmessage = ({ data }) => {
    last = last.then(() => answer(JSON.parse(data))).catch((error) => ({ error: String(error?.message ?? error) }));
    last = last.then((said) => self.postMessage(JSON.stringify(said)));
  };
  self.postMessage("{}");
}
