// Indices of any size, made from one that the command line wrote: its first row again and again, each time turned a little.
import { readFileSync, writeFileSync } from "node:fs";

/** Bytes of a number of each type that an index has. */
const BYTES = { I8: 1, I16: 2, U8: 1, F32: 4 };

/** Writes to `to` the index in `from` with `n` optical rows in place of its own. */
export function resized(from, to, n) {
  const file = readFileSync(from);
  const length = Number(file.readBigUInt64LE(0));
  const { __metadata__: metadata, ...arrays } = JSON.parse(file.subarray(8, 8 + length).toString());
  const about = JSON.parse(metadata["specola-index"]);
  about.lrs_ids = Array.from({ length: n }, (_, i) => `made-${i}`);
  const header = { __metadata__: { ...metadata, "specola-index": JSON.stringify(about) } };
  const parts = [];
  let at = 0;
  for (const [name, { dtype, shape, data_offsets: [begin, end] }] of Object.entries(arrays)) {
    let data = file.subarray(8 + length + begin, 8 + length + end);
    if (name.startsWith("lrs.")) {
      const row = shape[1] * BYTES[dtype];
      const rows = Buffer.alloc(n * row);
      for (let i = 0; i < n; i += 1) {
        data.copy(rows, i * row, 0, row);
        // A byte here and there: no two rows in one place, all of them directions.
        if (name === "lrs.vectors") for (let k = 0; k < 8; k += 1) rows[i * row + ((i * 31 + k * 17) % row)] = (i * 7 + k * 91) % 256;
      }
      [data, shape[0]] = [rows, n];
    }
    header[name] = { dtype, shape, data_offsets: [at, at + data.length] };
    parts.push(data);
    at += data.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(to, Buffer.concat([head, json, ...parts]));
}
