// Taking results away and bringing them back: tables, figures, links, session files, and what a browser keeps.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { samples } from "../data.js";
import { open } from "../page.js";
import { scenario } from "../scenario.js";

const picture = (visit, id) => visit.part(id).locator("canvas").evaluate((canvas) => canvas.toDataURL());

/** All samples, answered, with the dialogue open. */
async function dialogue(visit) {
  await visit.ready();
  await visit.choose(samples());
  await visit.answers(2);
  await visit.idle();
  await visit.part("take-away").click();
}

/** Presses a button of the dialogue and returns the file that comes, with what the dialogue says of it. */
async function saved(visit, id) {
  const coming = visit.page.waitForEvent("download");
  await visit.part(id).click();
  const download = await coming;
  await visit.page.waitForFunction(
    (name) => document.querySelector('[data-testid="take-away-said"]').textContent.startsWith(name),
    download.suggestedFilename(),
  );
  const said = await visit.part("take-away-said").innerText();
  return { name: download.suggestedFilename(), path: await download.path(), bytes: readFileSync(await download.path()), said };
}

/** Copies the link and returns it. */
async function link(visit) {
  await visit.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await visit.part("copy-link").click();
  await visit.page.waitForFunction(() => /Link copied/.test(document.querySelector('[data-testid="take-away-said"]').textContent));
  return visit.page.evaluate(() => navigator.clipboard.readText());
}

/** Another person's visit, who opens an address before anything else. */
async function follow(fragment, options = {}) {
  const visit = await open(options);
  await visit.page.goto("about:blank");
  await visit.page.goto(`${visit.host.url}#${fragment}`);
  await visit.part("drop-zone").waitFor();
  return visit;
}

const shown = async (visit) => (await visit.rows()).map(({ id, flags, values }) => (
  { id, flags, values: Object.fromEntries(Object.entries(values).map(([label, { text }]) => [label, text])) }
));

scenario("every table, the spectra and the figures are saved and say what they hold", async (visit) => {
  await dialogue(visit);
  const n = (await visit.rows()).length;
  for (const [id, begins] of [["table-ecsv", "# %ECSV"], ["table-votable", "<?xml"], ["table-fits", "SIMPLE"]]) {
    const { bytes, said } = await saved(visit, id);
    assert.equal(bytes.subarray(0, begins.length).toString(), begins);
    assert.match(said, new RegExp(`: ${n} rows by lrs-mlp \\d+`), said);
  }
  const spectra = await saved(visit, "save-spectra");
  assert.equal(spectra.bytes.toString().split("\n")[0], "id,wavelength,flux");
  const svg = await saved(visit, "save-svg");
  assert.match(svg.bytes.toString().slice(0, 60), /width="180mm"/);
  await visit.part("figure-width").selectOption("88 mm");
  const png = await saved(visit, "save-png");
  // PNG: width in IHDR, dots a metre in pHYs.
  assert.equal(png.bytes.readUInt32BE(16), Math.floor(88 / 25.4 * 600));
  assert.equal(png.bytes.subarray(37, 41).toString(), "pHYs");
  assert.equal(png.bytes.readUInt32BE(41), 23622);
});

scenario("the dialogue is worked by keyboard", async (visit) => {
  await dialogue(visit);
  const coming = visit.page.waitForEvent("download");
  await visit.part("table-csv").focus();
  await visit.part("table-votable").focus();
  await visit.page.keyboard.press("Enter");
  assert.match((await coming).suggestedFilename(), /\.vot$/);
  await visit.page.keyboard.press("Escape");
  assert.equal(await visit.part("take-away-dialog").isVisible(), false);
});

scenario("a link shows the same results to somebody else, without an engine", async (visit) => {
  await dialogue(visit);
  const address = await link(visit);
  const n = (await visit.rows()).length;
  console.log(`link of ${n} results: ${address.length} characters`);
  assert.ok(address.length <= (n === 1 ? 2000 : 8000));
  const there = await shown(visit);
  const pictures = [];
  for (let person = 0; person < 2; person += 1) {
    const other = await follow(address.split("#")[1], { lose: (path) => path.startsWith("engine") });
    await other.answers(n);
    assert.deepEqual(await shown(other), there);
    assert.match(await other.part("origin").innerText(), /came with a link/);
    await other.part("plot-model").scrollIntoViewIfNeeded();
    await other.page.waitForTimeout(500);
    pictures.push(await picture(other, "plot-model"));
    await other.close();
  }
  assert.equal(pictures[0], pictures[1], "the same picture for everybody");
  assert.ok(pictures[0].length > 5000, "something is drawn");
});

scenario("a hostile address gives a message and nothing else", async (visit) => {
  await visit.ready();
  const hostile = ["s1.AAAA", "s1.", "s9.AAAA", "s1.<img src=x onerror=alert(1)>", "<script>alert(1)</script>", `s1.${"A".repeat(100000)}`];
  visit.page.on("dialog", () => assert.fail("a script ran"));
  for (const fragment of hostile) {
    await visit.page.evaluate((f) => { location.hash = f; }, fragment);
    await visit.part("notice").waitFor();
    assert.match(await visit.part("notice").innerText(), /Nothing is shown of the page's address/);
    assert.equal((await visit.rows()).length, 0);
    await visit.part("notice").getByText("Dismiss").click();
  }
});

scenario("a session file reopens exactly", async (visit) => {
  await dialogue(visit);
  const session = await saved(visit, "save-session");
  const there = await shown(visit);
  await visit.page.keyboard.press("Escape");
  const pictures = async (of) => {
    await of.part("row").first().click();
    await of.part("plot-model").scrollIntoViewIfNeeded();
    await of.page.waitForTimeout(500);
    return [await picture(of, "plot-raw"), await picture(of, "plot-model")];
  };
  const before = await pictures(visit);
  const other = await open();
  await other.choose([{ name: "saved.specola", mimeType: "application/zip", buffer: session.bytes }]);
  await other.answers(there.length);
  assert.deepEqual(await shown(other), there);
  assert.deepEqual(await pictures(other), before);
  await other.choose([{ name: "bad.specola", mimeType: "application/zip", buffer: Buffer.from("no zip") }]);
  await other.part("skipped").waitFor();
  assert.match(await other.part("skipped").innerText(), /no session file/);
  other.mustBeQuiet();
  await other.close();
});

scenario("the next visit offers what was open, and forgets it when told", async (visit) => {
  await visit.ready();
  await visit.choose(samples());
  await visit.answers(2);
  await visit.idle();
  // What was said of a spectrum comes back with it.
  const before = await shown(visit);
  await visit.part("assume-medium").selectOption("air");
  await visit.page.waitForFunction(
    (was) => {
      const cell = document.querySelector('[data-testid="row"] [data-testid="cell-rv"]');
      return cell.dataset.value !== undefined && cell.textContent.trim() !== was;
    },
    before[0].values.rv,
  );
  const there = await shown(visit);
  await visit.page.reload();
  await visit.part("restore").waitFor();
  assert.equal((await visit.rows()).length, 0, "it asks first");
  await visit.part("restore-yes").click();
  await visit.answers(2);
  await visit.idle();
  assert.deepEqual(await shown(visit), there);
  await visit.part("forget").click();
  await visit.page.getByText("is forgotten").waitFor();
  assert.deepEqual(await visit.page.evaluate(async () => (await indexedDB.databases()).map((d) => d.name)), []);
  await visit.page.reload();
  await visit.ready();
  assert.equal(await visit.part("restore").count(), 0);
});

scenario("cites the method, the program and the surveys whose spectra are there", async (visit) => {
  await dialogue(visit);
  await visit.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await visit.part("copy-bibtex").click();
  await visit.part("take-away-said").getByText(/BibTeX copied: \d+ entries/).waitFor();
  const text = await visit.page.evaluate(() => navigator.clipboard.readText());
  const keys = [...text.matchAll(/^@\w+\{([^,]+),$/gm)].map(([, key]) => key);
  for (const key of ["Zhao2025SpecCLIP", "Specola", "SanchezBlazquez2006"]) assert.ok(keys.includes(key), `${keys}`);
  assert.ok(!keys.includes("DESI2022"), "none of these is from DESI");
});
