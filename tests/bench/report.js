// Results as text: the targets for a terminal, and the tables of docs/benchmarks.md.
import { evaluateTargets } from "./bars.js";

/** A number with three significant digits, or two if it is below 1. */
export const formatNumber = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(value >= 1 ? 3 : 2));

/** A time with its unit, from milliseconds. */
export function formatTime(ms) {
  return ms >= 1000 ? `${formatNumber(ms / 1000)} s` : `${formatNumber(ms)} ms`;
}

/** One line per target: group, whether it is met, the measured value with its range, the limit, and the quantity. */
export function targetLines(rows) {
  return evaluateTargets(rows).map(({ group, quantity, min, max, value, range, isMet }) => {
    const limit = min === undefined ? `≤ ${max}` : `≥ ${min}`;
    const measured = value === undefined ? "not measured" : `${formatNumber(value)} (${range.map(formatNumber).join("–")})`;
    const outcome = value === undefined ? "–" : isMet ? "met" : "MISSED";
    return `${group}  ${outcome.padEnd(6)}  ${measured.padStart(24)}  ${limit.padStart(6)}  ${quantity}`;
  });
}

const columnName = ({ engine, threads, version }) => `${engine} ${version ?? ""}${threads > 1 ? `, ${threads} threads` : ""}`.trim();

/** Markdown table of medians in ms: one row per case, one column per engine; a cell without measurement is empty. */
function table(rows) {
  const columns = [...new Set(rows.map(columnName))];
  const cases = [...new Set(rows.map((row) => row.case))];
  const cell = (caseName, column) => {
    const row = rows.find((candidate) => candidate.case === caseName && columnName(candidate) === column && candidate.median_ms > 0);
    return row ? formatNumber(row.median_ms) : "";
  };
  const tableRow = (cells) => `| ${cells.join(" | ")} |`;
  return [
    tableRow(["ms, median", ...columns]), tableRow(["---", ...columns.map(() => "--:")]),
    ...cases.map((caseName) => tableRow([caseName, ...columns.map((column) => cell(caseName, column))])),
  ].join("\n");
}

/** Quantities on the horizontal axes of the figures, which engine/figures.rs draws. */
const FIGURES = ["spectra", "labels", "index"];

/** The text of docs/benchmarks.md between its two marks. */
export function resultsMarkdown(rows, { date, machine, browser }) {
  const timedRows = rows.filter((row) => row.median_ms > 0);
  const isNative = ({ engine }) => ["specola-native", "pytorch-cpu"].includes(engine);
  const isLimit = ({ engine }) => engine === "core";
  const measured = evaluateTargets(rows).filter(({ value }) => value !== undefined);
  const targets = measured.map(({ group, quantity, min, max, value, range, isMet }) => {
    const limit = min === undefined ? `≤ ${max}` : `≥ ${min}`;
    const cells = [group, quantity, `${formatNumber(value)} (${range.map(formatNumber).join("–")})`, limit, isMet ? "met" : "missed"];
    return `| ${cells.join(" | ")} |`;
  });
  const limits = timedRows.filter(isLimit).map((row) => {
    const [rate, unit] = [1e3 / row.median_ms, row.case.endsWith("bandwidth") ? "GB/s" : "GFLOP/s"];
    return `${row.case.replace("limit-", "")} ${formatNumber(rate)} ${unit}`;
  });
  return [
    `Measured on ${date}, ${machine}, ${browser}; \`cargo xtask bench --write\` measures it again.${limits.length ? ` The core in WebAssembly: ${limits.join(", ")}.` : ""}`,
    "", "In the browser:", "", table(timedRows.filter((row) => !isNative(row) && !isLimit(row))),
    "", "Natively:", "", table(timedRows.filter(isNative)),
    "", "Targets. A ratio is one of medians; the brackets give its smallest and largest value for the spread of the timings:", "",
    "| group | quantity | measured | target | |", "|---|---|--:|--:|---|", ...targets,
    "", `Growth with the number of ${FIGURES.map((quantity) => `[${quantity}](figures/time-${quantity}.svg)`).join(", ")}.`,
  ].join("\n");
}

const MARKS = ["<!-- bench: begin -->", "<!-- bench: end -->"];

/** Replaces the part of a text between the two marks. */
export function replaceBetweenMarks(text, content) {
  const [begin, end] = MARKS.map((mark) => text.indexOf(mark));
  if (begin < 0 || end < begin) throw new Error(`the file lacks ${MARKS.join(" … ")}`);
  return `${text.slice(0, begin)}${MARKS[0]}\n\n${content}\n\n${text.slice(end)}`;
}
