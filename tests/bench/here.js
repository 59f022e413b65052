// Everything that a browser by itself can measure.
import { adapterKind, enginesFor } from "./engines.js";
import { run } from "./suite.js";

export async function measureHere(options) {
  const adapter = await adapterKind();
  return run((name, given) => enginesFor(name, given, adapter), options);
}
