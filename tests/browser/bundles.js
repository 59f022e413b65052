// Bundles of many synthetic spectra (.npz), written row by row.
import { closeSync, openSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";

/** Number of different spectra; further rows repeat them. */
const UNIQUE = 97;
const PIXELS = 3909;
const LINES = [[4102.9, 0.4], [4341.7, 0.4], [4862.7, 0.4], [5176.0, 0.3], [6564.6, 0.3]];

const logWave = (pixel) => 3.5682 + 1e-4 * pixel;

/** The flux of a star: a slope, Balmer lines, and a ripple that differs between the rows. */
function flux(row) {
  return Float32Array.from({ length: PIXELS }, (_, pixel) => {
    const wave = 10 ** logWave(pixel);
    const depth = LINES.reduce((sum, [centre, depth]) => sum + depth * Math.exp(-(((wave - centre) / 6) ** 2)), 0);
    return 1000 * (1.2 - wave / 20_000) * (1 - depth + 0.01 * Math.sin((row + 1) * pixel * 0.37));
  });
}

const bytesOf = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);

function npyHeader(descr, shape) {
  let header = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`;
  header = `${header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11)}\n`;
  const length = Buffer.alloc(2);
  length.writeUInt16LE(header.length);
  return Buffer.concat([Buffer.from("\x93NUMPY\x01\x00", "latin1"), length, Buffer.from(header)]);
}

/** Writes a bundle of `rows` LAMOST-like spectra with inverse variances and the ids `star-0`, `star-1`, …. */
export function writeBundle(path, rows) {
  const file = openSync(path, "w");
  let position = 0;
  const directory = [];
  const write = (bytes) => { writeSync(file, bytes); position += bytes.length; };
  const number = (size, value) => {
    const bytes = Buffer.alloc(size);
    bytes.writeUIntLE(value, 0, Math.min(size, 6));
    return bytes;
  };
  /** A stored entry. Its size and checksum are computed from the pieces before they are written. */
  const entry = (name, pieces) => {
    let [size, checksum] = [0, 0];
    for (const piece of pieces()) {
      size += piece.length;
      checksum = crc32(piece, checksum);
    }
    const sizes = Buffer.concat([number(4, checksum), number(4, size), number(4, size), number(2, name.length)]);
    directory.push(Buffer.concat([
      Buffer.from("PK\x01\x02\x14\x00\x14\x00\x00\x00\x00\x00\x00\x00\x21\x00", "latin1"),
      sizes, Buffer.alloc(12), number(4, position), Buffer.from(name),
    ]));
    write(Buffer.concat([Buffer.from("PK\x03\x04\x14\x00\x00\x00\x00\x00\x00\x00\x21\x00", "latin1"), sizes, number(2, 0), Buffer.from(name)]));
    for (const piece of pieces()) write(piece);
  };
  const unique = Array.from({ length: Math.min(rows, UNIQUE) }, (_, row) => bytesOf(flux(row)));
  const ivar = bytesOf(new Float32Array(PIXELS).fill(0.01));
  const waves = Float64Array.from({ length: PIXELS }, (_, pixel) => logWave(pixel));
  entry("loglam_vac.npy", () => [npyHeader("<f8", `(${PIXELS},)`), bytesOf(waves)]);
  entry("flux.npy", function* () {
    yield npyHeader("<f4", `(${rows}, ${PIXELS})`);
    for (let row = 0; row < rows; row += 1) yield unique[row % unique.length];
  });
  entry("ivar.npy", function* () {
    yield npyHeader("<f4", `(${rows}, ${PIXELS})`);
    for (let row = 0; row < rows; row += 1) yield ivar;
  });
  entry("id.npy", function* () {
    yield npyHeader("|S12", `(${rows},)`);
    for (let row = 0; row < rows; row += 1) yield Buffer.from(`star-${row}`.padEnd(12, "\0"));
  });
  const start = position;
  directory.forEach(write);
  const count = number(2, directory.length);
  write(Buffer.concat([Buffer.from("PK\x05\x06\0\0\0\0", "latin1"), count, count, number(4, position - start), number(4, start), number(2, 0)]));
  closeSync(file);
}
