// Specola's own program (engine/main.rs), built of the very crates that the page's engine is.
const program = new URL(self.location).searchParams.get("program");
try {
  const { default: init } = await import(`./${program}/bench.js`);
  await init();
} catch (error) {
  self.postMessage(JSON.stringify({ error: String(error) }));
}
