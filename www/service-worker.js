// Keeps the page on this device, so that it opens, answers, teaches and exports without a connection. The weights are kept
// by the engine itself (src/model/store.rs), under names that are their content.
//
// All files of a version are kept together and shown together: a page of yesterday never meets an engine of today. A new
// version is fetched beside the old one and waits until no tab shows that any more, or until somebody asks for it
// (www/offline.js).

// Written by the build (xtask/src/offline.rs): hashes by path, of what every visit needs and of what some fetch later.
const BUILD = { version: "", first: {}, later: {} };

const { scope } = self.registration;

/** The caches of this page; another copy of it, below another path of this host, has its own. */
const OURS = `specola-page ${scope} `;

const CACHE = OURS + BUILD.version;
const hashes = { ...BUILD.first, ...BUILD.later };
const address = (path) => new URL(path, scope).href;

self.addEventListener("install", (event) => {
  event.waitUntil(Promise.all(Object.keys(BUILD.first).map(take)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(takeOver());
});

self.addEventListener("message", ({ data }) => {
  if (data === "take over") self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const path = pathOf(event.request.url);
  if (event.request.method === "GET" && Object.hasOwn(hashes, path)) event.respondWith(answer(event.request, path));
});

/** Drops earlier versions and serves the tabs that are open, so that what they fetch later is there offline too. */
async function takeOver() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(OURS) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

/** What a file is called in the list: its path below the page, whatever is asked of it. */
function pathOf(url) {
  const bare = url.split(/[?#]/)[0];
  if (!bare.startsWith(scope)) return undefined;
  const path = bare.slice(scope.length);
  return ["", "index.html"].includes(path) ? "./" : path;
}

/** Fetches a file, which must be the one that was built, and keeps it. */
async function take(path) {
  // Revalidated: a host's own cache may still have the file of an earlier version.
  const fetched = await fetch(address(path), { cache: "no-cache", integrity: hashes[path] });
  if (!fetched.ok) throw new Error(`${path}: the server answers ${fetched.status}`);
  const cache = await caches.open(CACHE);
  await cache.put(address(path), fetched.clone());
  return fetched;
}

async function answer(request, path) {
  const found = await caches.match(address(path), { cacheName: CACHE, ignoreVary: true });
  if (found) {
    // A script's `import.meta.url` is its answer's address; a bare answer has that of the request, with its query.
    return found.url === request.url ? found : new Response(found.body, found);
  }
  // Not kept yet, or forgotten on demand: then it is not kept again.
  return Object.hasOwn(BUILD.later, path) && (await caches.has(CACHE)) ? take(path) : fetch(request);
}
