// Starts the engine in a module worker (Trunk's output for the `engine` binary); with `?program=gpu` the GPU engine,
// with `?program=trainer` a training worker.
//
// Trunk's loader hides the reason when an engine does not start. This loader posts the reason as a string, which the
// page handles as a fatal error (src/engine/client.rs).
//
// The worker is started from a blob (see src/engine/client.rs), so its own location does not contain the site's
// address.
self.scriptUrl = import.meta.url;

// Written by the build.
const VERSION = "";

try {
  const { searchParams, search } = new URL(import.meta.url);
  if ((searchParams.get("v") ?? VERSION) !== VERSION) {
    throw new Error("this tab is of an earlier version than the files on the server; reload the page");
  }
  const requested = searchParams.get("program");
  const program = ["gpu", "trainer"].includes(requested) ? requested : "engine";
  const { default: init } = await import(`./${program}.js${search}`);
  // Exposed, so that tests and developer tools can read the memory size.
  self.engine = await init({ module_or_path: new URL(`./${program}_bg.wasm${search}`, import.meta.url) });
} catch (error) {
  postMessage(`The compute engine could not be loaded: ${error?.message ?? error}`);
}
