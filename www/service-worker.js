// Caches the page on this device, so that it opens, predicts, fine-tunes and exports without a connection. The engine
// caches the model weights itself (src/model/store.rs), under names derived from their hashes.
//
// All files of one version are cached and served together, so that page and engine always match. A new version is
// fetched while the old one stays active. It waits until no tab uses the old one or the user asks for it
// (www/offline.js). Other tabs then keep the files of their version until they are closed: what they request names the
// version (`?v=`), and they hold a lock with its name.

// Written by the build (xtask/src/offline.rs): hashes by path; `first` are needed by every visit, `later` only on
// demand.
const BUILD = { version: "", first: {}, later: {} };

const { scope } = self.registration;

/** Prefix of the cache names of this page; copies at other paths of the host have their own. */
const CACHE_PREFIX = `specola-page ${scope} `;

const CACHE = CACHE_PREFIX + BUILD.version;
const hashes = { ...BUILD.first, ...BUILD.later };
const urlOf = (path) => new URL(path, scope).href;

self.addEventListener("install", (event) => {
  event.waitUntil(Promise.all(Object.keys(BUILD.first).map(fetchAndCache)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(activate());
});

self.addEventListener("message", (event) => {
  if (event.data === "activate") self.skipWaiting();
  if (event.data === "clean") event.waitUntil(deleteUnused());
});

self.addEventListener("fetch", (event) => {
  const path = pathOf(event.request.url);
  if (event.request.method === "GET" && Object.hasOwn(hashes, path)) event.respondWith(respond(event.request, path));
});

/** Takes control of open tabs, so that files they fetch later are cached too. */
async function activate() {
  await deleteUnused();
  await self.clients.claim();
}

/** Deletes earlier versions that no tab uses. */
async function deleteUnused() {
  // The name of a version that is fetched or waits is not known here.
  if (self.registration.installing || self.registration.waiting) return;
  const { held } = await navigator.locks.query();
  const used = new Set([CACHE, ...held.map((lock) => lock.name)]);
  const unused = (await caches.keys()).filter((name) => name.startsWith(CACHE_PREFIX) && !used.has(name));
  await Promise.all(unused.map((name) => caches.delete(name)));
}

/** The path of a file relative to the page, without query and fragment; undefined outside the page. */
function pathOf(url) {
  const plainUrl = url.split(/[?#]/)[0];
  if (!plainUrl.startsWith(scope)) return undefined;
  const path = plainUrl.slice(scope.length);
  return ["", "index.html"].includes(path) ? "./" : path;
}

/** Fetches a file, checks it against the hash of the build, and caches it. */
async function fetchAndCache(path) {
  // Revalidated: an HTTP cache may still have the file of an earlier version.
  const response = await fetch(urlOf(path), { cache: "no-cache", integrity: hashes[path] });
  if (!response.ok) throw new Error(`${path} could not be fetched: HTTP status ${response.status}`);
  const cache = await caches.open(CACHE);
  await cache.put(urlOf(path), response.clone());
  return response;
}

/** True if a cached file is the file of the build. Browsers check the integrity of fetched files, but not of cached ones. */
async function isWhole(cached, path) {
  const [algorithm, expected] = hashes[path].split(/-(.*)/s);
  const digest = await crypto.subtle.digest(algorithm.replace("sha", "SHA-"), await cached.clone().arrayBuffer());
  return btoa(String.fromCharCode(...new Uint8Array(digest))) === expected;
}

/** The response to a request of the page: the cached file, or else the file from the server. */
async function respond(request, path) {
  const version = new URL(request.url).searchParams.get("v") ?? BUILD.version;
  if (version !== BUILD.version) {
    const earlier = await caches.match(urlOf(path), { cacheName: CACHE_PREFIX + version, ignoreVary: true });
    // The server has no file of that version any more.
    return earlier ? new Response(earlier.body, earlier) : new Response("", { status: 410 });
  }
  const cached = await caches.match(urlOf(path), { cacheName: CACHE, ignoreVary: true });
  if (cached && await isWhole(cached, path)) {
    // `import.meta.url` of a script is the URL of its response. A new Response without URL gets the request URL with
    // its query.
    return cached.url === request.url ? cached : new Response(cached.body, cached);
  }
  // A damaged file is replaced.
  if (cached) return fetchAndCache(path);
  // The file is not cached yet. After the user has cleared the local data, it is not cached again.
  return Object.hasOwn(BUILD.later, path) && (await caches.has(CACHE)) ? fetchAndCache(path) : fetch(request);
}
