// An engine behind a line of JSON: in a worker of this page, or in a process of this machine.

/**
 * Asks one question after the other. `post` sends a line; the answers are given to `hear`, in the order of the questions.
 * An answer that carries an error fails its question; so does the end of the engine.
 */
export class Remote {
  #waiting = [];
  #dead = null;

  constructor(post, end) {
    this.post = post;
    this.end = end;
  }

  ask(question) {
    if (this.#dead) return Promise.reject(this.#dead);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.post(JSON.stringify(question));
    });
  }

  hear(line) {
    const answer = JSON.parse(line);
    const { resolve, reject } = this.#waiting.shift() ?? {};
    if (answer.error) reject?.(new Error(answer.error));
    else resolve?.(answer);
  }

  die(why) {
    this.#dead = new Error(why);
    this.#waiting.splice(0).forEach(({ reject }) => reject(this.#dead));
  }

  close() {
    this.end();
    this.die("it was closed");
  }
}

/** An engine in a worker of this page; the worker posts a first line when it listens. */
export async function inWorker(url, options) {
  const worker = new Worker(url, options);
  const remote = new Remote((line) => worker.postMessage(line), () => worker.terminate());
  const listening = new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      worker.onmessage = (event) => remote.hear(event.data);
      const { error } = JSON.parse(data);
      if (error) reject(new Error(error));
      else resolve();
    };
    worker.onerror = (event) => {
      const why = `${url}: ${event.message ?? "it could not be loaded"}`;
      reject(new Error(why));
      remote.die(why);
    };
  });
  await listening;
  return remote;
}
