// The page that anyone can open: measures, shows, and gives the results away.
import { judge } from "./bars.js";
import { CASES } from "./cases.js";
import { ENGINES } from "./engines.js";
import { measureHere } from "./here.js";
import { ratio, time } from "./report.js";

const part = (id) => document.getElementById(id);
const rows = [];

/** An element with text or other elements in it. */
function element(tag, inside, className = "") {
  const made = Object.assign(document.createElement(tag), { className });
  made.append(...[inside].flat());
  return made;
}

/** Where an engine's column stands. */
const place = ({ engine, threads }) => ENGINES.findIndex((one) => one.engine === engine && one.threads === threads);

const title = ({ engine, threads }) => (threads > 1 ? `${engine}, ${threads} threads` : engine);

function cell(row, all) {
  if (!row) return element("td", "");
  if (row.error) return element("td", row.error, "failed");
  const fastest = Math.min(...all.map((one) => one.median_ms ?? Infinity));
  const ours = Math.min(...all.filter(({ engine }) => engine.startsWith("specola")).map((one) => one.median_ms ?? Infinity));
  const range = element("small", `${time(row.min_ms)} – ${time(row.max_ms)}`);
  const against = Number.isFinite(ours) ? [element("small", `${ratio(row.median_ms / ours)} ×`)] : [];
  return element("td", [time(row.median_ms), range, ...against], row.median_ms === fastest ? "fastest" : "");
}

function showTimes() {
  const columns = [...new Set(rows.toSorted((a, b) => place(a) - place(b)).map(title))];
  const head = element("tr", [element("th", ""), ...columns.map((name) => {
    const { version } = rows.find((row) => title(row) === name && row.version) ?? {};
    return element("th", [name, element("small", version ?? "")]);
  })]);
  const body = [...new Set(rows.map((row) => row.case))].map((name) => {
    const all = rows.filter((row) => row.case === name);
    return element("tr", [element("th", name), ...columns.map((column) => cell(all.find((row) => title(row) === column), all))]);
  });
  part("times").replaceChildren(element("thead", head), element("tbody", body));
}

function showBars() {
  const measured = judge(rows).filter(({ value }) => value !== undefined);
  const lines = measured.map(({ line, what, least, most, value, spread, isKept }) => element("tr", [
    element("th", line), element("td", what),
    element("td", [ratio(value), element("small", spread.map(ratio).join(" – "))], isKept ? "kept" : "missed"),
    element("td", least === undefined ? `≤ ${most}` : `≥ ${least}`),
  ]));
  part("bars").replaceChildren(element("tbody", lines));
}

async function start(event) {
  event.preventDefault();
  part("start").disabled = true;
  rows.length = 0;
  const began = Date.now();
  const say = (text) => { part("status").value = text; };
  const found = (more) => {
    rows.push(...more);
    showTimes();
    showBars();
    part("copy").disabled = false;
  };
  try {
    await measureHere({ only: part("only").value, say, found });
    say(`Measured in ${((Date.now() - began) / 1000).toFixed(0)} s.`);
  } catch (error) {
    say(`It ended with an error: ${error.message}`);
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
