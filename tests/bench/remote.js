// Client of an engine, which runs in a worker of this page or in a process of this computer. Requests and responses are
// lines of JSON.

/**
 * Sends requests to an engine. `post` sends a line to the engine; the engine's lines go to `receive`, in the order of
 * the requests. A request fails if its response has an error, or if the engine ends. `terminate` ends the engine.
 */
export class EngineClient {
  #pending = [];
  #failure = null;

  constructor(post, terminate) {
    this.post = post;
    this.terminate = terminate;
  }

  /** Sends a request and waits for its response. */
  send(request) {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
      this.post(JSON.stringify(request));
    });
  }

  /** Receives a line of the engine, the response to the first pending request. */
  receive(line) {
    const response = JSON.parse(line);
    const { resolve, reject } = this.#pending.shift() ?? {};
    if (response.error) reject?.(new Error(response.error));
    else resolve?.(response);
  }

  /** Fails all pending and later requests. */
  fail(reason) {
    this.#failure = new Error(reason);
    this.#pending.splice(0).forEach(({ reject }) => reject(this.#failure));
  }

  close() {
    this.terminate();
    this.fail("the engine was closed");
  }
}

/** Starts an engine in a worker of this page; returns its client. The worker posts a first line when it is ready. */
export async function startWorker(url, options) {
  const worker = new Worker(url, options);
  const client = new EngineClient((line) => worker.postMessage(line), () => worker.terminate());
  const ready = new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      worker.onmessage = (event) => client.receive(event.data);
      const { error } = JSON.parse(data);
      if (error) reject(new Error(error));
      else resolve();
    };
    worker.onerror = (event) => {
      const reason = `${url}: ${event.message ?? "the worker could not be loaded"}`;
      reject(new Error(reason));
      client.fail(reason);
    };
  });
  await ready;
  return client;
}
