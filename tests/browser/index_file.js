// Makes an index of any size from an index of the command line program: copies of its first row with small changes.
import { readFileSync, writeFileSync } from "node:fs";

/** Bytes of one number, by its safetensors type. */
const BYTES = { I8: 1, I16: 2, U8: 1, F32: 4 };

/** Writes to `target` the index in `source`, with its optical rows replaced by `n` others. */
export function writeResizedIndex(source, target, n) {
  const file = readFileSync(source);
  const length = Number(file.readBigUInt64LE(0));
  const { __metadata__: metadata, ...arrays } = JSON.parse(file.subarray(8, 8 + length).toString());
  const description = JSON.parse(metadata["specola-index"]);
  description.lrs_ids = Array.from({ length: n }, (_, i) => `synthetic-${i}`);
  // Without the checksum of the source.
  const header = { __metadata__: { "specola-index": JSON.stringify(description) } };
  const parts = [];
  let offset = 0;
  for (const [name, { dtype, shape, data_offsets: [begin, end] }] of Object.entries(arrays)) {
    let data = file.subarray(8 + length + begin, 8 + length + end);
    if (name.startsWith("lrs.")) {
      const rowBytes = shape[1] * BYTES[dtype];
      const rows = Buffer.alloc(n * rowBytes);
      for (let i = 0; i < n; i += 1) {
        data.copy(rows, i * rowBytes, 0, rowBytes);
        // Changes some bytes, so that no two vectors are equal.
        if (name === "lrs.vectors") for (let k = 0; k < 8; k += 1) rows[i * rowBytes + ((i * 31 + k * 17) % rowBytes)] = (i * 7 + k * 91) % 256;
      }
      [data, shape[0]] = [rows, n];
    }
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.length] };
    parts.push(data);
    offset += data.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const headerLength = Buffer.alloc(8);
  headerLength.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(target, Buffer.concat([headerLength, json, ...parts]));
}
