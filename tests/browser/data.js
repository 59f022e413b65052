// The spectra that specs drop: fixtures made by a program of this repository, and real ones where there are some.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const FIXTURES = fileURLToPath(new URL("../fixtures/", import.meta.url));

/** The directory of real spectra, if the tests were given one. */
export const REAL = process.env.SPECOLA_REAL;

/** A fixture's path. */
export function fixture(name) {
  return join(FIXTURES, name);
}

/** Paths of every fixture, sorted. */
export function fixtures() {
  if (!existsSync(FIXTURES)) return [];
  return readdirSync(FIXTURES).filter((name) => !name.endsWith(".md")).sort().map(fixture);
}

/** Paths of the real files of a survey, sorted. */
export function realFiles(survey) {
  const dir = join(REAL, "files", survey);
  return readdirSync(dir).filter((name) => /\.fits(\.gz)?$/.test(name)).sort().map((name) => join(dir, name));
}

/** A directory for a spec's own files, removed when the process ends. */
export function scratch() {
  const dir = mkdtempSync(join(tmpdir(), "specola-"));
  process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** What the command line answers for files: one record a spectrum, by column, with the file's bare name. */
export function predictions(files) {
  let table;
  try {
    table = execFileSync(process.env.SPECOLA_BIN, ["predict", ...files, "--format", "csv"], {
      encoding: "utf8",
      maxBuffer: 1 << 28,
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch (error) {
    // Status 1: some files were not read; the rest is there.
    if (error.status !== 1) throw error;
    table = error.stdout;
  }
  const [head, ...lines] = table.trim().split("\n").map((line) => line.split(","));
  return lines.map((cells) => {
    const record = Object.fromEntries(head.map((name, i) => [name, cells[i]]));
    return { ...record, file: basename(record.file) };
  });
}
