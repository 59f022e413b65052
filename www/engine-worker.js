// Starts the compute engine (Trunk's output for the `engine` binary) in a module worker, with `?program=gpu` the GPU engine,
// or with `?program=trainer` a trainer.
//
// Why not Trunk's own loader: it hides why an engine does not start. Here the reason is posted as a string, which the
// page takes for the engine's last words (src/engine/client.rs).
//
// The worker is started from a blob (src/engine/client.rs says why), so its own location says nothing about the site.
self.scriptUrl = import.meta.url;
try {
  const wanted = new URL(import.meta.url).searchParams.get("program");
  const program = ["gpu", "trainer"].includes(wanted) ? wanted : "engine";
  const { default: init } = await import(`./${program}.js`);
  // Kept, so that the tests and whoever opens the developer tools see how much memory it has.
  self.engine = await init({ module_or_path: new URL(`./${program}_bg.wasm`, import.meta.url) });
} catch (error) {
  postMessage(`The compute engine could not be loaded: ${error?.message ?? error}`);
}
