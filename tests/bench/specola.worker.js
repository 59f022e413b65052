// The engine of Specola for the benchmark (engine/main.rs), built from the crates of the page's engine.
const program = new URL(self.location).searchParams.get("program");
try {
  const { default: init } = await import(`./${program}/bench.js`);
  await init();
} catch (error) {
  self.postMessage(JSON.stringify({ error: String(error) }));
}
