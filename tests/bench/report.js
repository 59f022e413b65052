// Results as text: the table of bars for a terminal, and the README's tables.
import { judge } from "./bars.js";

/** Three digits of a number, or two below one. */
export const ratio = (v) => (v >= 100 ? v.toFixed(0) : v.toPrecision(v >= 1 ? 3 : 2));

/** Milliseconds with their unit. */
export function time(ms) {
  return ms >= 1000 ? `${ratio(ms / 1000)} s` : `${ratio(ms)} ms`;
}

/** One line a bar: what was measured, between which limits, what is asked for. */
export function barLines(rows) {
  return judge(rows).map(({ line, what, least, most, value, spread, isKept }) => {
    const bar = least === undefined ? `≤ ${most}` : `≥ ${least}`;
    const found = value === undefined ? "not measured" : `${ratio(value)} (${spread.map(ratio).join("–")})`;
    const verdict = value === undefined ? "–" : isKept ? "kept" : "MISSED";
    return `${line}  ${verdict.padEnd(6)}  ${found.padStart(24)}  ${bar.padStart(6)}  ${what}`;
  });
}

const name = ({ engine, threads, version }) => `${engine} ${version ?? ""}${threads > 1 ? `, ${threads} threads` : ""}`.trim();

/** Markdown: a row a case, a column an engine, milliseconds; a cell that was not measured is empty. */
function table(rows) {
  const columns = [...new Set(rows.map(name))];
  const cases = [...new Set(rows.map((row) => row.case))];
  const cell = (of, column) => {
    const row = rows.find((one) => one.case === of && name(one) === column && one.median_ms > 0);
    return row ? ratio(row.median_ms) : "";
  };
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [
    line(["ms, median", ...columns]), line(["---", ...columns.map(() => "--:")]),
    ...cases.map((one) => line([one, ...columns.map((column) => cell(one, column))])),
  ].join("\n");
}

/** Drawn by engine/figures.rs. */
const FIGURES = ["spectra", "labels", "index"];

/** What stands in the README between its two marks. */
export function readme(rows, { date, machine, browser }) {
  const timed = rows.filter((row) => row.median_ms > 0);
  const isNative = ({ engine }) => ["specola-native", "pytorch-cpu"].includes(engine);
  const isLimit = ({ engine }) => engine === "core";
  const bars = judge(rows).filter(({ value }) => value !== undefined).map(({ line, what, least, most, value, spread, isKept }) => {
    const bar = least === undefined ? `≤ ${most}` : `≥ ${least}`;
    return `| ${line} | ${what} | ${ratio(value)} (${spread.map(ratio).join("–")}) | ${bar} | ${isKept ? "kept" : "missed"} |`;
  });
  const limits = timed.filter(isLimit).map((row) => {
    const [rate, unit] = [1e3 / row.median_ms, row.case.endsWith("bandwidth") ? "GB/s" : "GFLOP/s"];
    return `${row.case.replace("limit-", "")} ${ratio(rate)} ${unit}`;
  });
  return [
    `Measured on ${date}, ${machine}, ${browser}; \`cargo xtask bench\` measures it anew.${limits.length ? ` The core in WebAssembly: ${limits.join(", ")}.` : ""}`,
    "", "In the browser:", "", table(timed.filter((row) => !isNative(row) && !isLimit(row))),
    "", "Natively:", "", table(timed.filter(isNative)),
    "", "Ratios, of medians, with the least and the most that the timings allow:", "",
    "| | | measured | asked for | |", "|---|---|--:|--:|---|", ...bars,
    "", `Growth with the number of ${FIGURES.map((what) => `[${what}](models/figures/time-${what}.svg)`).join(", ")}.`,
  ].join("\n");
}

const MARKS = ["<!-- bench: begin -->", "<!-- bench: end -->"];

/** A text with what stands between the two marks replaced. */
export function between(text, inside) {
  const [begin, end] = MARKS.map((mark) => text.indexOf(mark));
  if (begin < 0 || end < begin) throw new Error(`the README has no ${MARKS.join(" … ")}`);
  return `${text.slice(0, begin)}${MARKS[0]}\n\n${inside}\n\n${text.slice(end)}`;
}
