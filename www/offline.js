// Page side of www/service-worker.js. The page program (src/ui/offline.rs) calls the functions in `specolaOffline` and
// listens for `specola-update`, the event for a new version. The page reloads only when the user asks for it.

// Undefined on an insecure origin.
const container = navigator.serviceWorker;
const announceUpdate = () => dispatchEvent(new Event("specola-update"));
const version = document.querySelector("meta[name=specola-version]")?.content;

// For the life of this tab: the service worker keeps the files of the version.
const lockName = `specola-page ${new URL("./", location.href).href} ${version}`;
navigator.locks?.request(lockName, { mode: "shared" }, () => new Promise(() => {}));

self.specolaOffline = {
  /** Registers the service worker and checks for a new version. Called once the engine and its weights have loaded. */
  async register() {
    const isFirst = !container?.controller;
    const registration = await container?.register("./service-worker.js");
    if (!registration) return;
    registration.active?.postMessage("clean");
    const whenInstalled = (worker) => worker?.addEventListener("statechange", () => {
      if (worker.state === "installed" && container.controller) announceUpdate();
    });
    if (registration.waiting && container.controller) announceUpdate();
    whenInstalled(registration.installing);
    registration.addEventListener("updatefound", () => whenInstalled(registration.installing));
    // Another tab activated the new version: files that this tab fetches from now on belong to it.
    if (!isFirst) container.addEventListener("controllerchange", announceUpdate);
  },

  /** Activates the new version and reloads the page. */
  async update() {
    const registration = await container?.getRegistration();
    if (!registration?.waiting) return location.reload();
    container.addEventListener("controllerchange", () => location.reload(), { once: true });
    registration.waiting.postMessage("activate");
  },

  /** Unregisters the service worker and deletes the caches of the page. */
  async remove() {
    const registration = await container?.getRegistration();
    if (!registration) return;
    await registration.unregister();
    const names = (await caches.keys()).filter((name) => name.startsWith(`specola-page ${registration.scope} `));
    await Promise.all(names.map((name) => caches.delete(name)));
  },
};
