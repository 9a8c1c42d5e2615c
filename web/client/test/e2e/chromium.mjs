// Headless Chromium with a profile of its own.
import {mkdtemp, rm} from "node:fs/promises";
import {tmpdir} from "node:os";
import path from "node:path";
import {chromium} from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

/** A browser context; its `end()` closes the browser and removes the profile. */
export async function launch(options = {}) {
  const profile = await mkdtemp(path.join(tmpdir(), "headgate-chromium-"));
  const remove = () => rm(profile, {recursive: true, force: true});
  try {
    const context = await chromium.launchPersistentContext(profile, {executablePath: CHROMIUM, headless: true, args: FLAGS, ...options});
    context.end = async () => {
      await context.close();
      await remove();
    };
    return context;
  } catch (error) {
    await remove();
    throw error;
  }
}
