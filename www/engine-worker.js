// Starts the engine in a module worker (Trunk's output for the `engine` binary); with `?program=gpu` the GPU engine,
// with `?program=trainer` a training worker.
//
// Trunk's loader hides the reason when an engine does not start. This loader posts the reason as a string, which the
// page handles as a fatal error (src/engine/client.rs).
//
// The worker is started from a blob (see src/engine/client.rs), so its own location does not contain the site's
// address.
self.scriptUrl = import.meta.url;
try {
  const requested = new URL(import.meta.url).searchParams.get("program");
  const program = ["gpu", "trainer"].includes(requested) ? requested : "engine";
  const { default: init } = await import(`./${program}.js`);
  // Exposed, so that tests and developer tools can read the memory size.
  self.engine = await init({ module_or_path: new URL(`./${program}_bg.wasm`, import.meta.url) });
} catch (error) {
  postMessage(`The compute engine could not be loaded: ${error?.message ?? error}`);
}
