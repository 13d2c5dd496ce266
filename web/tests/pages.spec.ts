/** Every page, light and dark, wide and on a phone: looked at by axe, kept as a picture. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { expect, type Page, test } from "@playwright/test";
import {
  ADMIN,
  activateOnce,
  CUSTOMER,
  complaints,
  DISTRIBUTOR,
  logIn,
  passwordOf,
  prefer,
} from "./site";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PICTURES = join(import.meta.dirname, "..", "..", "build", "web", "pages");
const LOOKS = [
  { name: "light", appearance: "light", language: "zh-CN", size: { width: 1360, height: 900 } },
  { name: "dark", appearance: "dark", language: "zh-CN", size: { width: 1360, height: 900 } },
  // English is longer than Chinese: what fits in it on a phone fits.
  { name: "phone", appearance: "light", language: "en", size: { width: 390, height: 844 } },
];
const DOORS = ["/login", "/register", "/reset", "/verify"];
const CUSTOMERS = [
  "/",
  "/devices",
  "/acl",
  "/acl?way=automatic",
  "/acl?way=merge",
  "/acl?way=address",
  "/usage",
  "/wallet",
  "/account",
  "/help",
];
const DISTRIBUTORS = [
  "/sales",
  "/sales/stock",
  "/sales/customers",
  "/sales/downloads",
  "/sales/statements",
];
const ADMINS = [
  "/admin",
  "/admin/users",
  "/admin/users/2",
  "/admin/serials",
  "/admin/distributors",
  "/admin/distributors?tab=applications",
  "/admin/distributors?tab=statements",
  "/admin/plans",
  "/admin/finance",
  "/admin/finance?tab=orders",
  "/admin/finance?tab=receipts",
  "/admin/servers",
  "/admin/servers/1",
  "/admin/moves",
  "/admin/moves?tab=load",
  "/admin/upgrades",
  "/admin/containers",
  "/admin/traffic",
  "/admin/alerts",
  "/admin/alerts?tab=rules",
  "/admin/acl",
  "/admin/acl?tab=downloads",
  "/admin/acl?tab=versions",
  "/admin/acl?tab=usage",
  "/admin/acl?tab=rotations",
  "/admin/acl?tab=jobs",
  "/admin/acl?tab=links",
  "/admin/logs",
  "/admin/logs?tab=user",
  "/admin/logs?tab=history",
  "/admin/logs?tab=server",
  "/admin/mails",
  "/admin/templates",
  "/admin/channels",
  "/admin/receiving",
  "/admin/installation",
  "/admin/roles",
];

interface Violation {
  id: string;
  impact: string;
  nodes: { html: string; failureSummary: string }[];
}

async function look(
  page: Page,
  path: string,
  name: string,
  faults: string[],
  found: string[],
): Promise<void> {
  await page.goto(path);
  await page.locator("main h1").waitFor();
  await page.waitForFunction(
    () => !document.querySelector(".ant-skeleton, .ant-spin-spinning, .table-due"),
    null,
    {
      timeout: 30_000,
    },
  );
  await page.waitForFunction(() =>
    document.getAnimations().every((one) => {
      const isEndless = one.effect?.getComputedTiming().iterations === Number.POSITIVE_INFINITY;
      return isEndless || one.playState === "finished" || one.playState === "idle";
    }),
  );
  faults.push(...found.splice(0).map((one) => `${path} (${name}) console: ${one}`));
  const file = path === "/" ? "home" : path.slice(1).replace(/[/?=&]/g, "-");
  await page.screenshot({ path: join(PICTURES, `${file}-${name}.png`), fullPage: true });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 1) faults.push(`${path} (${name}) is ${wide} pixels too wide`);
  // biome-ignore lint/performance/useDomNodeTextContent: what is hidden is not shown to anybody
  const text = await page.locator("body").innerText();
  const key = /\b(?:admin:)?[a-z][A-Za-z]+\.[a-z][A-Za-z]+\.[a-zA-Z_.]+\b/.exec(
    text.replace(/\S+@\S+/g, ""),
  );
  if (key && !/example\.com|docs\./.test(key[0]))
    faults.push(`${path} (${name}) shows the key ${key[0]}`);
  if (name === "phone") {
    found.splice(0);
    return; // axe has judged the same page light and dark
  }
  await page.evaluate(AXE);
  const audit = await page.evaluate(async () => {
    // @ts-expect-error axe was put into the page
    const result = await window.axe.run(document, { resultTypes: ["violations"] });
    return result.violations as Violation[];
  });
  for (const one of audit) {
    if (one.impact !== "serious" && one.impact !== "critical") continue;
    faults.push(
      `${path} (${name}) ${one.id}: ${one.nodes[0]?.html} ${one.nodes[0]?.failureSummary}`,
    );
  }
  found.splice(0); // pictures and axe put styles into the page, which the policy refuses
}

test.describe.configure({ mode: "parallel" });
for (const { name, appearance, language, size } of LOOKS) {
  test(`pages are whole and can be used by everybody: ${name}`, async ({ browser }) => {
    test.setTimeout(1_800_000);
    const faults: string[] = [];
    const visit = async (paths: string[], who?: { email: string; name: string }) => {
      const context = await browser.newContext({
        viewport: size,
        reducedMotion: "reduce", // charts stand at once
        baseURL: process.env.WEB_URL as string,
      });
      const page = await context.newPage();
      const found = complaints(page);
      await prefer(page, language, appearance);
      if (who) await logIn(page, who.email, passwordOf(who.name));
      if (who === CUSTOMER) await activateOnce(page);
      for (const path of paths) await look(page, path, name, faults, found);
      await context.close();
    };
    await visit(DOORS);
    await visit(CUSTOMERS, CUSTOMER);
    await visit(DISTRIBUTORS, DISTRIBUTOR);
    await visit(ADMINS, ADMIN);
    expect(faults.join("\n")).toBe("");
  });
}
