// The spectra that specs drop: fixtures made by a program of this repository, and real ones where there are some.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const FIXTURES = join(ROOT, "tests/fixtures");
const SAMPLES = join(ROOT, "www/samples");

/** The directory of real spectra, if the tests were given one. */
export const REAL = process.env.SPECOLA_REAL;

/** Paths of every fixture of the readers' tests, sorted: most hold a few pixels and are read but not answered. */
export function fixtures() {
  const isSpectrum = (name) => !/\.(py|md|json)$/.test(name);
  return readdirSync(FIXTURES).filter(isSpectrum).sort().map((name) => join(FIXTURES, name));
}

/** Paths of the samples that come with the page: every one of them is answered. */
export function samples() {
  return JSON.parse(readFileSync(join(SAMPLES, "index.json"), "utf8")).map(({ file }) => join(SAMPLES, file));
}

/** Spectra of the lesson that comes with the page. */
export const LESSON = 60;

/** Paths of that lesson: its spectra and their labels. */
export const lesson = () => ["lesson.npz", "lesson.csv"].map((file) => join(SAMPLES, file));

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

/** What the command line prints, run where its models are. */
export const printed = (args) =>
  execFileSync(process.env.SPECOLA_BIN, args, { cwd: ROOT, encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] });

/** What the command line answers for files: one record a spectrum, by column, with the file's bare name. */
export function predictions(files) {
  let table;
  try {
    table = printed(["predict", ...files, "--format", "csv"]);
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
