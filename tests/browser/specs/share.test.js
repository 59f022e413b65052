// Export and import of results: tables, figures, links, session files, and the files stored in the browser.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { assertAccessible } from "../accessible.js";
import { picture } from "../canvas.js";
import { samples } from "../data.js";
import { openPage } from "../page.js";
import { scenario } from "../scenario.js";

/** Opens all samples, waits for the predictions and opens the export dialogue. */
async function openDialogue(visit) {
  await visit.ready();
  await visit.choose(samples());
  await visit.predictions(2);
  await visit.idle();
  await visit.part("export").click();
}

/** Presses a button of the dialogue. Returns the content of the saved file and the dialogue's message. */
async function save(visit, id) {
  const downloadEvent = visit.page.waitForEvent("download");
  await visit.part(id).click();
  const download = await downloadEvent;
  await visit.page.waitForFunction(
    (name) => document.querySelector('[data-testid="export-status"]').textContent.startsWith(name),
    download.suggestedFilename(),
  );
  const message = await visit.part("export-status").innerText();
  return { bytes: readFileSync(await download.path()), message };
}

/** Copies the link and returns it. */
async function copyLink(visit) {
  await visit.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await visit.part("copy-link").click();
  await visit.page.waitForFunction(() => /Link copied/.test(document.querySelector('[data-testid="export-status"]').textContent));
  return visit.page.evaluate(() => navigator.clipboard.readText());
}

/** Opens the page in a new profile with this fragment in its address. */
async function openFragment(fragment, options = {}) {
  const visit = await openPage(options);
  await visit.page.goto("about:blank");
  await visit.page.goto(`${visit.host.url}#${fragment}`);
  await visit.part("drop-zone").waitFor();
  return visit;
}

/** Id, flags and displayed values of each row. */
const shownRows = async (visit) => (await visit.rows()).map(({ id, flags, values }) => (
  { id, flags, values: Object.fromEntries(Object.entries(values).map(([label, { text }]) => [label, text])) }
));

scenario("tables, spectra and figures are saved, and the page summarises each table", async (visit) => {
  await openDialogue(visit);
  const n = (await visit.rows()).length;
  for (const [id, signature] of [["table-ecsv", "# %ECSV"], ["table-votable", "<?xml"], ["table-fits", "SIMPLE"]]) {
    const { bytes, message } = await save(visit, id);
    assert.equal(bytes.subarray(0, signature.length).toString(), signature);
    assert.match(message, new RegExp(`: ${n} rows by lrs-mlp \\d+`), message);
  }
  const spectra = await save(visit, "save-spectra");
  assert.equal(spectra.bytes.toString().split("\n")[0], "id,wavelength,flux");
  const svg = await save(visit, "save-svg");
  assert.match(svg.bytes.toString().slice(0, 60), /width="180mm"/);
  await visit.part("figure-width").selectOption("88 mm");
  const png = await save(visit, "save-png");
  // PNG: the width in pixels is in IHDR, the resolution in pixels per metre in pHYs.
  assert.equal(png.bytes.readUInt32BE(16), Math.floor(88 / 25.4 * 600));
  assert.equal(png.bytes.subarray(37, 41).toString(), "pHYs");
  assert.equal(png.bytes.readUInt32BE(41), 23622);
});

scenario("the export dialogue works by keyboard", async (visit) => {
  await openDialogue(visit);
  const download = visit.page.waitForEvent("download");
  await visit.part("table-csv").focus();
  await visit.part("table-votable").focus();
  await visit.page.keyboard.press("Enter");
  assert.match((await download).suggestedFilename(), /\.vot$/);
  await visit.page.keyboard.press("Escape");
  assert.equal(await visit.part("export-dialog").isVisible(), false);
});

scenario("a link shows the same results to other users, without the engine", async (visit) => {
  await openDialogue(visit);
  const address = await copyLink(visit);
  const n = (await visit.rows()).length;
  console.log(`link of ${n} results: ${address.length} characters`);
  assert.ok(address.length <= (n === 1 ? 2000 : 8000));
  const expected = await shownRows(visit);
  const pictures = [];
  for (let user = 0; user < 2; user += 1) {
    const other = await openFragment(address.split("#")[1], { omit: (path) => path.startsWith("engine") });
    await other.predictions(n);
    assert.deepEqual(await shownRows(other), expected);
    assert.match(await other.part("origin").innerText(), /results? from a link, shown as saved/);
    await other.part("plot-normalised").scrollIntoViewIfNeeded();
    await other.page.waitForTimeout(500);
    pictures.push(await picture(other, "plot-normalised"));
    await other.close();
  }
  assert.equal(pictures[0], pictures[1], "every user sees the same plot");
  assert.ok(pictures[0].length > 5000, "the plot is not empty");
});

scenario("a damaged or malicious link only gives an error message", async (visit) => {
  await visit.ready();
  const fragments = ["s1.AAAA", "s1.", "s9.AAAA", "s1.<img src=x onerror=alert(1)>", "<script>alert(1)</script>", `s1.${"A".repeat(100000)}`];
  visit.page.on("dialog", () => assert.fail("a script ran"));
  for (const fragment of fragments) {
    await visit.page.evaluate((hash) => { location.hash = hash; }, fragment);
    await visit.part("notice").waitFor();
    assert.match(await visit.part("notice").innerText(), /The results in the page address could not be read/);
    assert.equal((await visit.rows()).length, 0);
    await visit.part("notice").getByText("Dismiss").click();
  }
});

scenario("a session file restores the table and the plots exactly", async (visit) => {
  await openDialogue(visit);
  const session = await save(visit, "save-session");
  const expected = await shownRows(visit);
  await visit.page.keyboard.press("Escape");
  const plots = async (opened) => {
    await opened.part("row").first().click();
    await opened.part("plot-normalised").scrollIntoViewIfNeeded();
    await opened.page.waitForTimeout(500);
    return [await picture(opened, "plot-raw"), await picture(opened, "plot-normalised")];
  };
  const before = await plots(visit);
  const other = await openPage();
  await other.choose([{ name: "saved.specola", mimeType: "application/zip", buffer: session.bytes }]);
  await other.predictions(expected.length);
  assert.deepEqual(await shownRows(other), expected);
  assert.deepEqual(await plots(other), before);
  await other.choose([{ name: "bad.specola", mimeType: "application/zip", buffer: Buffer.from("no zip") }]);
  await other.part("skipped").waitFor();
  assert.match(await other.part("skipped").innerText(), /not a session file/);
  other.assertNoProblems();
  await other.close();
});

scenario("the next visit offers to restore the files, and Clear local data deletes them", async (visit) => {
  await visit.ready();
  await visit.choose(samples());
  await visit.predictions(2);
  await visit.idle();
  // The assumptions about a spectrum are restored with it.
  const before = await shownRows(visit);
  await visit.part("assume-medium").selectOption("air");
  await visit.page.waitForFunction(
    (previous) => {
      const cell = document.querySelector('[data-testid="row"] [data-testid="cell-rv"]');
      return cell.dataset.value !== undefined && cell.textContent.trim() !== previous;
    },
    before[0].values.rv,
  );
  const expected = await shownRows(visit);
  await visit.page.reload();
  await visit.part("restore").waitFor();
  assert.equal((await visit.rows()).length, 0, "the page asks before it restores them");
  await visit.part("restore-yes").click();
  await visit.predictions(2);
  await visit.idle();
  assert.deepEqual(await shownRows(visit), expected);
  await visit.part("clear-local-data").click();
  await visit.page.getByText("have been deleted").waitFor();
  assert.deepEqual(await visit.page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name)), []);
  await visit.page.reload();
  await visit.ready();
  assert.equal(await visit.part("restore").count(), 0);
});

scenario("no tab and no cleared page replaces what another session saved", async (visit) => {
  const [first, second] = samples();
  await visit.ready();
  await visit.choose([first]);
  await visit.predictions(1);
  await visit.idle();
  // Another tab of the same browser, while the first one is open, is not offered its files.
  const tab = await visit.page.context().newPage();
  await tab.goto(visit.page.url());
  await tab.locator('[data-testid="engine-status"]').waitFor({ state: "attached" });
  await tab.waitForTimeout(500);
  assert.equal(await tab.getByTestId("restore").count(), 0);
  await tab.close();

  // Files opened before the question is answered leave the earlier session in the list, and so does clearing the page.
  await visit.page.reload();
  await visit.ready();
  await visit.part("restore").waitFor();
  await visit.choose([second]);
  await visit.predictions(1);
  await visit.idle();
  assert.equal(await visit.part("restore-yes").count(), 1);
  await visit.part("clear").click();
  await visit.page.reload();
  await visit.ready();
  await visit.part("earlier-sessions").locator("summary").click();
  assert.match(await visit.part("earlier-sessions").innerText(), /1 earlier session[^]*On \d+ \w+ \d+, \d\d:\d\d you had \S+ \(\d+ kB\) open/);
  assert.equal(await visit.part("restore-yes").count(), 2);
  await assertAccessible(visit, "two earlier sessions");
  await visit.part("restore-yes").last().click();
  await visit.predictions(1);
  // On a page with spectra the others are in one line.
  await visit.part("earlier-sessions").locator("summary").click();
  await visit.part("restore-yes").first().click();
  await visit.predictions(2);
  await visit.idle();
  assert.equal(await visit.part("restore").count(), 0);

  // Both are one session now.
  await visit.page.reload();
  await visit.ready();
  await visit.part("restore").waitFor();
  assert.match(await visit.part("restore").innerText(), /you had 2 files/);
  await visit.part("restore-no").click();
  await visit.part("restore").waitFor({ state: "detached" });
  await visit.page.reload();
  await visit.ready();
  assert.equal(await visit.part("restore").count(), 0);
});

scenario("a browser that keeps nothing says so, and asks before assumptions are lost", async (visit) => {
  await visit.ready();
  await visit.page.addInitScript(() => {
    IDBFactory.prototype.open = () => { throw new DOMException("not allowed here", "SecurityError"); };
  });
  await visit.page.reload();
  await visit.ready();
  await visit.choose(samples().slice(0, 1));
  await visit.predictions(1);
  await visit.idle();
  await visit.part("not-saved").waitFor();
  assert.match(await visit.part("not-saved").innerText(), /does not keep the open files for the next visit/);
  await assertAccessible(visit, "nothing is saved");
  let asked = 0;
  visit.page.on("dialog", async (dialog) => { asked += 1; await dialog.accept(); });
  await visit.page.reload();
  await visit.ready();
  assert.equal(asked, 0, "the files alone are on the disk");
  await visit.choose(samples().slice(0, 1));
  await visit.predictions(1);
  await visit.part("assume-medium").selectOption("air");
  await visit.idle();
  await visit.page.reload();
  await visit.ready();
  assert.equal(asked, 1);
});

scenario("the BibTeX citation contains the method, the program and the surveys of the spectra", async (visit) => {
  await openDialogue(visit);
  await visit.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await visit.part("copy-bibtex").click();
  await visit.part("export-status").getByText(/BibTeX copied: \d+ entries/).waitFor();
  const text = await visit.page.evaluate(() => navigator.clipboard.readText());
  const keys = [...text.matchAll(/^@\w+\{([^,]+),$/gm)].map(([, key]) => key);
  for (const key of ["Zhao2025SpecCLIP", "Specola", "SanchezBlazquez2006"]) assert.ok(keys.includes(key), `${keys}`);
  assert.ok(!keys.includes("DESI2022"), "no spectrum is from DESI");
});
