// Takes the screenshot of the README: the page with predictions for its samples. `node screenshot.js FILE.png`
import { closeBrowser, openPage } from "./page.js";

const visit = await openPage({ viewport: { width: 1280, height: 860 } });
await visit.openSample();
await visit.idle();
await visit.page.waitForTimeout(1000);
await visit.page.screenshot({ path: process.argv[2] });
await visit.close();
await closeBrowser();
console.log(process.argv[2]);
