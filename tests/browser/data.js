// Spectra for the specs: fixtures of this repository, and real files if they are available.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const FIXTURES = join(ROOT, "tests/fixtures");
const SAMPLES = join(ROOT, "www/samples");

/** Directory of real spectra; undefined where there are none. */
export const REAL_DIR = process.env.SPECOLA_REAL;

/** Paths of all fixtures of the reader tests, sorted; most have only a few pixels and get no prediction. */
export function fixtures() {
  const isSpectrum = (name) => !/\.(py|md|json)$/.test(name);
  return readdirSync(FIXTURES).filter(isSpectrum).sort().map((name) => join(FIXTURES, name));
}

/** Paths of the samples of the page; each one gets a prediction. */
export function samples() {
  return JSON.parse(readFileSync(join(SAMPLES, "index.json"), "utf8")).map(({ file }) => join(SAMPLES, file));
}

/** Number of spectra in the sample training set. */
export const N_TRAINING = 60;

/** Paths of the sample training set: its spectra and their labels. */
export const trainingSet = () => ["training-set.npz", "training-set.csv"].map((file) => join(SAMPLES, file));

/** Paths of the real files of a survey, sorted. */
export function realFiles(survey) {
  const dir = join(REAL_DIR, "files", survey);
  return readdirSync(dir).filter((name) => /\.fits(\.gz)?$/.test(name)).sort().map((name) => join(dir, name));
}

/** Folder of awkward inputs beside the real spectra, one folder a case; undefined where there is none. */
export const CASES_DIR = REAL_DIR && existsSync(join(REAL_DIR, "../cases")) ? join(REAL_DIR, "../cases") : undefined;

/** The awkward inputs: name, paths of the files, and paths of files that are refused or passed over in silence. */
export function awkwardCases() {
  const isCase = (name) => existsSync(join(CASES_DIR, name, "expected.json"));
  return readdirSync(CASES_DIR).filter(isCase).sort().map((name) => {
    const dir = join(CASES_DIR, name);
    const { files, refused = [] } = JSON.parse(readFileSync(join(dir, "expected.json"), "utf8"));
    const all = files ?? readdirSync(dir).filter((file) => file !== "expected.json").sort();
    return { name, paths: all.map((file) => join(dir, file)), refused };
  });
}

/** A temporary directory, removed when the process ends. */
export function temporaryDirectory() {
  const dir = mkdtempSync(join(tmpdir(), "specola-"));
  process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Standard output of the command line program, run in the repository root. */
export const runCli = (args) =>
  execFileSync(process.env.SPECOLA_BIN, args, { cwd: ROOT, encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] });

/**
 * Predictions of the command line program: one record per spectrum, by column name, with the file name without path.
 */
export function cliPredictions(files) {
  let table;
  try {
    table = runCli(["predict", ...files, "--format", "csv"]);
  } catch (error) {
    // Exit status 1: some files could not be read; the output has the predictions of the other files.
    if (error.status !== 1) throw error;
    table = error.stdout;
  }
  const [header, ...lines] = csvRows(table);
  return lines.map((cells) => {
    const record = Object.fromEntries(header.map((name, i) => [name, cells[i]]));
    return { ...record, file: basename(record.file) };
  });
}

/** Cells of a CSV table; a quoted cell may have commas, doubled quotes and line breaks. */
function csvRows(table) {
  const rows = [[]];
  for (const [, quoted, plain, end] of table.matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n|$)/g)) {
    rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === "\n") rows.push([]);
    if (end === "") break;
  }
  return rows.filter((row) => row.length > 1);
}
