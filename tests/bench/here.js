// The cases that run in this browser.
import { adapterKind, enginesFor } from "./engines.js";
import { runCases } from "./suite.js";

export async function measureHere(options) {
  const adapter = await adapterKind();
  return runCases((name, benchCase) => enginesFor(name, benchCase, adapter), options);
}
