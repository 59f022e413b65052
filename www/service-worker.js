// Caches the page on this device, so that it opens, predicts, fine-tunes and exports without a connection. The engine
// caches the model weights itself (src/model/store.rs), under names derived from their hashes.
//
// All files of one version are cached and served together, so that page and engine always match. A new version is
// fetched while the old one stays active. It waits until no tab uses the old one or the user asks for it
// (www/offline.js).

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

self.addEventListener("message", ({ data }) => {
  if (data === "activate") self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const path = pathOf(event.request.url);
  if (event.request.method === "GET" && Object.hasOwn(hashes, path)) event.respondWith(respond(event.request, path));
});

/** Deletes earlier versions and takes control of open tabs, so that files they fetch later are cached too. */
async function activate() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(CACHE_PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
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
