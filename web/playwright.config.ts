import { defineConfig } from "@playwright/test";

// Debian's Chromium, told not to look up anything outside.
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export default defineConfig({
  testDir: "tests",
  // Each has an installation of its own: python -m tests.system.website and tests.system.crowded.
  testMatch: process.env.WEB_PASSWORD ? "crowded.spec.ts" : "!(crowded).spec.ts",
  outputDir: "../build/web/results",
  reporter: [["list"]],
  workers: 2, // the stories wait for relays most of the time
  timeout: 600_000, // a bound for a machine that is busy with all other tests; alone it takes a tenth
  expect: { timeout: 90_000 },
  use: {
    baseURL: process.env.WEB_URL,
    actionTimeout: 90_000,
    trace: "retain-on-failure",
    screenshot: "only-on-failure",
    launchOptions: { executablePath: process.env.WEB_CHROMIUM ?? "/usr/bin/chromium", args: FLAGS },
  },
});
