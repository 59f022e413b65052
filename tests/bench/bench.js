// The benchmark page, which anyone can open: measures, shows the results, and copies them on request.
import { evaluateTargets } from "./bars.js";
import { CASES } from "./cases.js";
import { ENGINES } from "./engines.js";
import { measureHere } from "./here.js";
import { formatNumber, formatTime } from "./report.js";

const part = (id) => document.getElementById(id);
const rows = [];

/** An element that contains text or other elements. */
function element(tag, content, className = "") {
  const created = Object.assign(document.createElement(tag), { className });
  created.append(...[content].flat());
  return created;
}

/** Position of an engine's column in the table. */
const columnIndex = (row) => ENGINES.findIndex(({ engine, threads }) => engine === row.engine && threads === row.threads);

const title = ({ engine, threads }) => (threads > 1 ? `${engine}, ${threads} threads` : engine);

/** Table cell of a row; `caseRows` are the rows of all engines in the same case. */
function cell(row, caseRows) {
  if (!row) return element("td", "");
  if (row.error) return element("td", row.error, "failed");
  const fastest = (compared) => Math.min(...compared.map(({ median_ms: median }) => median ?? Infinity));
  const fastestSpecola = fastest(caseRows.filter(({ engine }) => engine.startsWith("specola")));
  const range = element("small", `${formatTime(row.min_ms)} – ${formatTime(row.max_ms)}`);
  const relative = Number.isFinite(fastestSpecola) ? [element("small", `${formatNumber(row.median_ms / fastestSpecola)} ×`)] : [];
  return element("td", [formatTime(row.median_ms), range, ...relative], row.median_ms === fastest(caseRows) ? "fastest" : "");
}

function showTimes() {
  const columns = [...new Set(rows.toSorted((a, b) => columnIndex(a) - columnIndex(b)).map(title))];
  const header = element("tr", [element("th", ""), ...columns.map((name) => {
    const { version } = rows.find((row) => title(row) === name && row.version) ?? {};
    return element("th", [name, element("small", version ?? "")]);
  })]);
  const body = [...new Set(rows.map((row) => row.case))].map((name) => {
    const caseRows = rows.filter((row) => row.case === name);
    const cells = columns.map((column) => cell(caseRows.find((row) => title(row) === column), caseRows));
    return element("tr", [element("th", name), ...cells]);
  });
  part("times").replaceChildren(element("thead", header), element("tbody", body));
}

function showTargets() {
  const measured = evaluateTargets(rows).filter(({ value }) => value !== undefined);
  const tableRows = measured.map(({ group, quantity, min, max, value, range, isMet }) => element("tr", [
    element("th", group), element("td", quantity),
    element("td", [formatNumber(value), element("small", range.map(formatNumber).join(" – "))], isMet ? "kept" : "missed"),
    element("td", min === undefined ? `≤ ${max}` : `≥ ${min}`),
  ]));
  part("bars").replaceChildren(element("tbody", tableRows));
}

async function start(event) {
  event.preventDefault();
  part("start").disabled = true;
  rows.length = 0;
  const startTime = Date.now();
  const onStatus = (text) => { part("status").value = text; };
  const onRows = (newRows) => {
    rows.push(...newRows);
    showTimes();
    showTargets();
    part("copy").disabled = false;
  };
  try {
    await measureHere({ only: part("only").value, onStatus, onRows });
    onStatus(`Measured in ${((Date.now() - startTime) / 1000).toFixed(0)} s.`);
  } catch (error) {
    onStatus(`The benchmark stopped with an error: ${error.message}`);
  }
  part("start").disabled = false;
}

const groups = [...new Set(Object.keys(CASES).map((name) => name.split("-").slice(0, 2).join("-")))];
part("only").append(new Option("all", ""), ...groups.map((name) => new Option(`${name}…`, name)));
part("controls").addEventListener("submit", start);
part("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(JSON.stringify(rows, null, 1));
  part("status").value = "The results are in the clipboard.";
});
