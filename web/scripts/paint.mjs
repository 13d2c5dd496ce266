// Says when the largest thing of a page is painted, in a browser whose processor is slowed down:
// `node scripts/paint.mjs [ROUNDS]` beside a site that the environment names. Prints JSON lines.
import { readFileSync } from "node:fs";
import { chromium } from "@playwright/test";

const SLOWER = 4;
const SETTLED_MS = 1500;
const rounds = Number(process.argv[2] ?? 5);
const site = process.env.WEB_URL;
const logins = JSON.parse(readFileSync(process.env.WEB_LOGINS, "utf8"));
const PAGES = [
  { name: "login", path: "/login" },
  { name: "customer", path: "/", who: "demo-customer" },
  { name: "devices", path: "/devices", who: "demo-customer" },
  { name: "distributor", path: "/sales", who: "demo-distributor" },
  { name: "admin", path: "/admin", who: "demo-admin" },
  { name: "users", path: "/admin/users", who: "demo-admin" },
];

const browser = await chromium.launch({
  executablePath: process.env.WEB_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
});

/** The cookies of somebody who is logged in; one log-in serves all rounds. */
async function cookiesOf(who) {
  const context = await browser.newContext({ baseURL: site });
  const answer = await context.request.post("/api/user/login", {
    data: { email: `${who}@example.com`, password: logins[who], browser: true },
    headers: { "X-Derpman-Page": "1" },
  });
  if (!answer.ok()) throw new Error(`${who} cannot log in: ${answer.status()}`);
  const { cookies } = await context.storageState();
  await context.close();
  return cookies;
}

/** Milliseconds to the largest paint of a page that this browser never saw before. */
async function painted(path, cookies) {
  const context = await browser.newContext({
    baseURL: site,
    viewport: { width: 1360, height: 900 },
    locale: "zh-CN",
  });
  await context.addCookies(cookies);
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Emulation.setCPUThrottlingRate", { rate: SLOWER });
  await page.goto(path);
  await page.locator("h1").first().waitFor();
  await page.waitForTimeout(SETTLED_MS);
  const at = await page.evaluate(
    () =>
      new Promise((tell) => {
        new PerformanceObserver((list) => tell(list.getEntries().at(-1).startTime)).observe({
          type: "largest-contentful-paint",
          buffered: true,
        });
      }),
  );
  await context.close();
  return Math.round(at);
}

const jars = { "": [] };
for (const { name, path, who = "" } of PAGES) {
  jars[who] ??= await cookiesOf(who);
  const times = [];
  for (let round = 0; round < rounds; round += 1) times.push(await painted(path, jars[who]));
  process.stdout.write(`${JSON.stringify({ page: name, path, slower: SLOWER, ms: times })}\n`);
}
await browser.close();
