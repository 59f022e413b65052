// SAMP, the connection to other astronomy programs on this computer: a simulated hub replies like JSAMP 1.3.7, with a
// sky atlas and a notebook connected.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { fixtures } from "../data.js";
import { scenario } from "../scenario.js";

const HUB = "http://localhost:21012/";

const text = (value) => `<value>${value}</value>`;
const struct = (members) => `<value><struct>${Object.entries(members)
  .map(([name, value]) => `<member>\n  <name>${name}</name>\n  ${value}</member>`).join("\n")}</struct></value>`;
const list = (values) => `<value><array><data>${values.join("\n")}</data></array></value>`;

const CLIENTS = {
  c1: { name: "Aladin", subscriptions: ["coord.pointAt.sky", "table.load.votable"] },
  c2: { name: "notebook", subscriptions: ["table.load.votable"] },
};

/** The hub's reply to each method, given the texts of its parameters. */
const METHODS = {
  register: () => struct({ "samp.hub-id": text("hub"), "samp.self-id": text("c9"), "samp.private-key": text("wk:7&amp;x") }),
  declareMetadata: () => text(""),
  getSubscribedClients: ([, mtype]) => struct(Object.fromEntries(
    Object.entries(CLIENTS).filter(([, { subscriptions }]) => subscriptions.includes(mtype)).map(([id]) => [id, struct({})]),
  )),
  getMetadata: ([, id]) => struct({ "samp.name": text(CLIENTS[id].name) }),
  notifyAll: () => list([text("c1")]),
  callAndWait: () => struct({ "samp.status": text("samp.ok"), "samp.result": struct({}) }),
  unregister: () => text(""),
};

const HEADERS = {
  "access-control-allow-origin": "*", "access-control-allow-headers": "Content-Type", "content-type": "text/xml",
};

/** The hub's reply to the call in a request body. Adds the call to `calls`. */
function reply(calls, body) {
  const method = /<methodName>samp\.webhub\.(\w+)</.exec(body)[1];
  const parameters = [...body.matchAll(/<string>([^<]*)<\/string>/g)].map(([, value]) => value);
  calls.push({ method, parameters });
  return `<?xml version='1.0' encoding='UTF-8'?>\n<methodResponse><params><param>\n${METHODS[method](parameters)}\n</param></params></methodResponse>`;
}

/** Replies in place of a hub. Returns the list of calls, which grows. */
async function simulateHub(visit) {
  const calls = [];
  await visit.page.route(HUB, async (route) => {
    if (route.request().method() === "OPTIONS") return route.fulfill({ status: 200, headers: HEADERS });
    return route.fulfill({ status: 200, headers: HEADERS, body: reply(calls, route.request().postData()) });
  });
  return calls;
}

/** Opens two spectra at RA 120.5°, Dec −1.25° (tests/fixtures/make.py), then the export dialogue. */
async function openDialogue(visit) {
  await visit.ready();
  await visit.choose(fixtures().filter((path) => /lamost_dr(2|10)\.fits$/.test(path)));
  await visit.page.waitForFunction(() => document.querySelectorAll('[data-testid="row"]').length === 2);
  await visit.idle();
  await visit.part("export").click();
}

/** Waits until the message about SAMP matches the pattern. */
const waitForStatus = (visit, pattern) => visit.page.waitForFunction(
  (source) => new RegExp(source).test(document.querySelector('[data-testid="samp-status"]').textContent), pattern.source,
);

scenario("position and table are sent to other programs by SAMP, only after Connect", async (visit) => {
  const calls = await simulateHub(visit);
  await openDialogue(visit);
  assert.equal(calls.length, 0, "no request to the hub before Connect");
  assert.equal((await visit.part("uploaded").textContent()).trim(), "0 bytes uploaded");

  await visit.part("samp-connect").click();
  await waitForStatus(visit, /Connected to Aladin, notebook\. Aladin cannot open a table from a page/);
  assert.deepEqual(calls.filter((c) => c.method === "declareMetadata").map((c) => c.parameters[0]), ["wk:7&amp;x"], "the call has the key from the hub");

  await visit.part("samp-point").click();
  await waitForStatus(visit, /^Sent the position of .* to 1 program\.$/);
  assert.equal(calls.at(-1).method, "notifyAll");
  assert.deepEqual(calls.at(-1).parameters, ["wk:7&amp;x", "coord.pointAt.sky", "120.500000", "-1.250000"]);

  await visit.part("samp-table").click();
  await waitForStatus(visit, /^notebook opened the table\.$/);
  const tableCalls = calls.filter((c) => c.method === "callAndWait");
  assert.deepEqual(tableCalls.map((c) => c.parameters[1]), ["c2"], "the table goes only to the program that can open it");
  const url = tableCalls[0].parameters.find((value) => value.startsWith("data:"));
  const table = Buffer.from(url.split(",")[1], "base64").toString();
  for (const { id } of await visit.rows()) assert.ok(table.includes(`<TD>${id}</TD>`), `${id} in ${table.slice(0, 300)}`);

  assert.match(await visit.part("uploaded").textContent(), /0 bytes uploaded; [\d.]+ [kM]B to SAMP/);
  await visit.part("samp-disconnect").click();
  await visit.part("samp-connect").waitFor();
  for (let i = 0; i < 50 && calls.at(-1).method !== "unregister"; i += 1) await visit.page.waitForTimeout(100);
  assert.equal(calls.at(-1).method, "unregister");
  assert.ok(visit.foreignRequests.every((address) => address === HUB), "no request to another address");
  visit.foreignRequests = [];
});

scenario("each newly selected position is sent while the box is ticked", async (visit) => {
  const calls = await simulateHub(visit);
  await openDialogue(visit);
  await visit.part("samp-connect").click();
  await waitForStatus(visit, /^Connected/);
  await visit.part("samp-follow").check();
  await waitForStatus(visit, /^Sent the position of/);
  await visit.page.keyboard.press("Escape");
  const before = calls.length;
  await visit.page.keyboard.press("j");
  for (let i = 0; i < 50 && calls.length === before; i += 1) await visit.page.waitForTimeout(100);
  assert.deepEqual(calls.slice(before).map((c) => c.method), ["notifyAll"]);
  visit.foreignRequests = [];
});

// Playwright does not see the last request of a page that closes, so this test needs a real server.
scenario("the page unregisters from the hub when it is closed", async (visit) => {
  const calls = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    response.writeHead(200, HEADERS).end(request.method === "POST" ? reply(calls, body) : "");
  });
  await new Promise((resolve) => server.listen(Number(new URL(HUB).port), "localhost", resolve));
  try {
    await openDialogue(visit);
    await visit.part("samp-connect").click();
    await waitForStatus(visit, /^Connected/);
    await visit.page.goto("about:blank");
    for (let i = 0; i < 50 && calls.at(-1).method !== "unregister"; i += 1) await visit.page.waitForTimeout(100);
    assert.deepEqual([calls.at(-1).method, calls.at(-1).parameters], ["unregister", ["wk:7&amp;x"]]);
  } finally {
    server.close();
    server.closeAllConnections();
  }
  visit.foreignRequests = [];
});

scenario("the page reports that no hub runs, and Connect stays available", async (visit) => {
  await visit.page.route(HUB, (route) => route.abort("connectionrefused"));
  await openDialogue(visit);
  await visit.part("samp-connect").click();
  await waitForStatus(visit, /^Not connected: no SAMP hub runs on this computer/);
  assert.ok(await visit.part("samp-connect").isEnabled());
  visit.foreignRequests = [];
}, { allowedMessages: [/ERR_CONNECTION_REFUSED/, /ERR_FAILED/] });
