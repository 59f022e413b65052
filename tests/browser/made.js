// Synthetic spectra: absorption lines of random depth, and noise.
import { writeFileSync } from "node:fs";
import { zipSync } from "fflate";

/** Pixels of each synthetic spectrum: the wavelength range of the model in steps of 1.1e-4 dex. */
export const PIXELS = 1460;

/** A generator of reproducible uniform noise in [-1, 1). */
function noise(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 31 - 1;
  };
}

/** Flux of spectrum `i`: lines of random depth, and noise. */
export function flux(i) {
  const lines = [4102.9, 4227.9, 4341.7, 4384.8, 4862.7, 5168.7, 5174.1, 5185.0, 5270.0, 5329.0];
  const random = noise(i + 1);
  const depths = lines.map(() => 0.35 + 0.2 * random());
  return Float32Array.from({ length: PIXELS }, (_, k) => {
    const wave = wavelength(k);
    const depth = lines.reduce((sum, line, j) => sum + depths[j] * Math.exp(-(((wave - line) / 4) ** 2)), 0);
    return 1000 * (1.3 - wave / 15_000) * (1 - Math.min(depth, 0.9)) * (1 + 0.02 * random());
  });
}

/** Vacuum wavelength of pixel `k`, Å. */
export function wavelength(k) {
  return 10 ** (3.594 + 1.1e-4 * k);
}

/** An array as the content of an `.npy` file. */
function npy(descr, shape, data) {
  const dictionary = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(", ")},), }`;
  const header = `${dictionary.padEnd(64 * Math.ceil((dictionary.length + 11) / 64) - 11)}\n`;
  const preamble = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  return Buffer.concat([preamble, Buffer.from(header), Buffer.from(data.buffer, data.byteOffset, data.byteLength)]);
}

/** Writes an `.npz` bundle of `count` spectra called `star-0`, `star-1` … */
export function writeBundle(path, count) {
  const fluxes = new Float32Array(count * PIXELS);
  for (let i = 0; i < count; i += 1) fluxes.set(flux(i), i * PIXELS);
  const wave = Float64Array.from({ length: PIXELS }, (_, k) => wavelength(k));
  const ids = Buffer.alloc(12 * count);
  for (let i = 0; i < count; i += 1) ids.write(`star-${i}`, 12 * i, "ascii");
  writeFileSync(path, zipSync({
    "wave_vac_aa.npy": npy("<f8", [PIXELS], wave),
    "flux.npy": npy("<f4", [count, PIXELS], fluxes),
    "id.npy": npy("|S12", [count], ids),
  }, { level: 0 }));
}
