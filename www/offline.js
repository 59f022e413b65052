// The page's half of www/service-worker.js. The page's program (src/ui/offline.rs) calls what is in `specolaOffline` and
// hears `specola-update` when a new version is ready to be shown; nothing is reloaded unless it asks.

// Absent on an insecure origin.
const container = navigator.serviceWorker;
const offer = () => dispatchEvent(new Event("specola-update"));

self.specolaOffline = {
  /** Keeps the page on this device, and looks for a new version. Called once what a first answer needs has arrived. */
  async keep() {
    const isFirst = !container?.controller;
    const registration = await container?.register("./service-worker.js");
    if (!registration) return;
    const whenInstalled = (worker) => worker?.addEventListener("statechange", () => {
      if (worker.state === "installed" && container.controller) offer();
    });
    if (registration.waiting && container.controller) offer();
    whenInstalled(registration.installing);
    registration.addEventListener("updatefound", () => whenInstalled(registration.installing));
    // Another tab took the new version: what this one fetches from now on belongs to that.
    if (!isFirst) container.addEventListener("controllerchange", offer);
  },

  /** Shows the new version. */
  async update() {
    const registration = await container?.getRegistration();
    if (!registration?.waiting) return location.reload();
    container.addEventListener("controllerchange", () => location.reload(), { once: true });
    registration.waiting.postMessage("take over");
  },

  /** Keeps nothing of the page any more. */
  async forget() {
    const registration = await container?.getRegistration();
    if (!registration) return;
    await registration.unregister();
    const names = (await caches.keys()).filter((name) => name.startsWith(`specola-page ${registration.scope} `));
    await Promise.all(names.map((name) => caches.delete(name)));
  },
};
