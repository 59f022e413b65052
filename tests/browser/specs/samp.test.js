// Other programs on this computer: a hub that answers as JSAMP 1.3.7 does, with an atlas and a notebook connected.
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
  c1: { name: "Aladin", hears: ["coord.pointAt.sky", "table.load.votable"] },
  c2: { name: "notebook", hears: ["table.load.votable"] },
};

/** What the hub answers to a method, given the texts of its parameters. */
const METHODS = {
  register: () => struct({ "samp.hub-id": text("hub"), "samp.self-id": text("c9"), "samp.private-key": text("wk:7&amp;x") }),
  declareMetadata: () => text(""),
  getSubscribedClients: ([, kind]) => struct(Object.fromEntries(
    Object.entries(CLIENTS).filter(([, { hears }]) => hears.includes(kind)).map(([id]) => [id, struct({})]),
  )),
  getMetadata: ([, id]) => struct({ "samp.name": text(CLIENTS[id].name) }),
  notifyAll: () => list([text("c1")]),
  callAndWait: () => struct({ "samp.status": text("samp.ok"), "samp.result": struct({}) }),
  unregister: () => text(""),
};

const HEADERS = {
  "access-control-allow-origin": "*", "access-control-allow-headers": "Content-Type", "content-type": "text/xml",
};

/** The answer to a call, which is kept. */
function answer(calls, body) {
  const method = /<methodName>samp\.webhub\.(\w+)</.exec(body)[1];
  const parameters = [...body.matchAll(/<string>([^<]*)<\/string>/g)].map(([, value]) => value);
  calls.push({ method, parameters });
  return `<?xml version='1.0' encoding='UTF-8'?>\n<methodResponse><params><param>\n${METHODS[method](parameters)}\n</param></params></methodResponse>`;
}

/** Answers for the hub, and keeps what it was asked. */
async function hub(visit) {
  const calls = [];
  await visit.page.route(HUB, async (route) => {
    if (route.request().method() === "OPTIONS") return route.fulfill({ status: 200, headers: HEADERS });
    return route.fulfill({ status: 200, headers: HEADERS, body: answer(calls, route.request().postData()) });
  });
  return calls;
}

/** Opens two spectra whose headers say RA 120.5°, Dec −1.25° (tests/fixtures/make.py), and the dialogue. */
async function dialogue(visit) {
  await visit.ready();
  await visit.choose(fixtures().filter((path) => /lamost_dr(2|10)\.fits$/.test(path)));
  await visit.page.waitForFunction(() => document.querySelectorAll('[data-testid="row"]').length === 2);
  await visit.idle();
  await visit.part("take-away").click();
}

const says = (visit, pattern) => visit.page.waitForFunction(
  (source) => new RegExp(source).test(document.querySelector('[data-testid="samp-said"]').textContent), pattern.source,
);

scenario("the selected star's place and the table go to other programs, after Connect and not before", async (visit) => {
  const calls = await hub(visit);
  await dialogue(visit);
  assert.equal(calls.length, 0, "nothing is asked of the hub before Connect");
  assert.equal((await visit.part("uploaded").textContent()).trim(), "0 bytes uploaded");

  await visit.part("samp-connect").click();
  await says(visit, /Connected; Aladin, notebook listen\. Aladin can only open tables that lie at an address/);
  assert.deepEqual(calls.filter((c) => c.method === "declareMetadata").map((c) => c.parameters[0]), ["wk:7&amp;x"], "the hub's own key");

  await visit.part("samp-point").click();
  await says(visit, /^The place of .* went to 1 program\.$/);
  assert.equal(calls.at(-1).method, "notifyAll");
  assert.deepEqual(calls.at(-1).parameters, ["wk:7&amp;x", "coord.pointAt.sky", "120.500000", "-1.250000"]);

  await visit.part("samp-table").click();
  await says(visit, /^notebook opened the table\.$/);
  const sent = calls.filter((c) => c.method === "callAndWait");
  assert.deepEqual(sent.map((c) => c.parameters[1]), ["c2"], "only to the program that can open it");
  const url = sent[0].parameters.find((value) => value.startsWith("data:"));
  const table = Buffer.from(url.split(",")[1], "base64").toString();
  for (const { id } of await visit.rows()) assert.ok(table.includes(`<TD>${id}</TD>`), `${id} in ${table.slice(0, 300)}`);

  assert.match(await visit.part("uploaded").textContent(), /0 bytes uploaded; [\d.]+ [kM]B to SAMP/);
  await visit.part("samp-disconnect").click();
  await visit.part("samp-connect").waitFor();
  for (let i = 0; i < 50 && calls.at(-1).method !== "unregister"; i += 1) await visit.page.waitForTimeout(100);
  assert.equal(calls.at(-1).method, "unregister");
  assert.ok(visit.strangers.every((url) => url === HUB), "and nobody else was asked");
  visit.strangers = [];
});

scenario("the other programs follow the selection while that is asked for", async (visit) => {
  const calls = await hub(visit);
  await dialogue(visit);
  await visit.part("samp-connect").click();
  await says(visit, /^Connected/);
  await visit.part("samp-follow").check();
  await says(visit, /^The place of/);
  await visit.page.keyboard.press("Escape");
  const before = calls.length;
  await visit.page.keyboard.press("j");
  for (let i = 0; i < 50 && calls.length === before; i += 1) await visit.page.waitForTimeout(100);
  assert.deepEqual(calls.slice(before).map((c) => c.method), ["notifyAll"]);
  visit.strangers = [];
});

// The last word of a page that goes is seen by a server alone.
scenario("whoever leaves the page signs off", async (visit) => {
  const calls = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    response.writeHead(200, HEADERS).end(request.method === "POST" ? answer(calls, body) : "");
  });
  await new Promise((resolve) => server.listen(Number(new URL(HUB).port), "localhost", resolve));
  try {
    await dialogue(visit);
    await visit.part("samp-connect").click();
    await says(visit, /^Connected/);
    await visit.page.goto("about:blank");
    for (let i = 0; i < 50 && calls.at(-1).method !== "unregister"; i += 1) await visit.page.waitForTimeout(100);
    assert.deepEqual([calls.at(-1).method, calls.at(-1).parameters], ["unregister", ["wk:7&amp;x"]]);
  } finally {
    server.close();
    server.closeAllConnections();
  }
  visit.strangers = [];
});

scenario("without a hub the page says so, and Connect can be tried again", async (visit) => {
  await visit.page.route(HUB, (route) => route.abort("connectionrefused"));
  await dialogue(visit);
  await visit.part("samp-connect").click();
  await says(visit, /^Not connected: no SAMP hub answers on this computer/);
  assert.ok(await visit.part("samp-connect").isEnabled());
  visit.strangers = [];
}, { expects: [/ERR_CONNECTION_REFUSED/, /ERR_FAILED/] });
