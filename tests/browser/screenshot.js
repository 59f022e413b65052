// Takes the picture of the README: the page with its samples answered. `node screenshot.js FILE.png`
import { closeBrowser, open } from "./page.js";

const visit = await open({ viewport: { width: 1280, height: 860 } });
await visit.sample();
await visit.idle();
await visit.page.waitForTimeout(1000);
await visit.page.screenshot({ path: process.argv[2] });
await visit.close();
await closeBrowser();
console.log(process.argv[2]);
