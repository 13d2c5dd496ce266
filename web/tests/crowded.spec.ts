/** 100,000 users, 300 servers, ten years of a customer: pages ask for a page, and stay quick. */
import { expect, type Page, type Response, test } from "@playwright/test";
import { complaints, logIn, prefer } from "./site";

const MOST_BYTES = 300_000;
const MOST_ROWS = 200;
const MOST_ELEMENTS = 12_000;
const PASSWORD = process.env.WEB_PASSWORD ?? "";

/** Watches what a page is sent; an answer of the API that is not bounded fails the test. */
function weighed(page: Page): { path: string; bytes: number }[] {
  const seen: { path: string; bytes: number }[] = [];
  page.on("response", async (answer: Response) => {
    const { pathname } = new URL(answer.url());
    if (!pathname.startsWith("/api/") || pathname.endsWith("/live")) return;
    const body = await answer.body().catch(() => Buffer.alloc(0));
    seen.push({ path: pathname, bytes: body.length });
  });
  return seen;
}

async function isBounded(page: Page): Promise<void> {
  expect(await page.locator("tbody tr[data-row-key]").count()).toBeLessThanOrEqual(MOST_ROWS);
  expect(await page.locator("*").count()).toBeLessThan(MOST_ELEMENTS);
}

/** Scrolls through the whole page, a screen at a time, and says how long its longest task was. */
async function scrolled(page: Page): Promise<number> {
  return page.evaluate(async () => {
    let longest = 0;
    const watch = new PerformanceObserver((list) => {
      for (const one of list.getEntries()) longest = Math.max(longest, one.duration);
    });
    watch.observe({ type: "longtask" });
    for (let at = 0; at < document.documentElement.scrollHeight; at += innerHeight) {
      scrollTo(0, at);
      await new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
    }
    await new Promise((go) => setTimeout(go, 100));
    watch.disconnect();
    return Math.round(longest);
  });
}

const firstCell = (page: Page) => page.locator("tbody tr[data-row-key]").first();

test("an owner turns pages, sorts and searches among 100,000 users", async ({ page }) => {
  const wrong = complaints(page);
  const seen = weighed(page);
  await prefer(page, "en");
  await logIn(page, "user2@example.com", PASSWORD);
  await page.goto("/admin/users");
  await expect(firstCell(page)).toContainText("user100000");
  await page.getByRole("combobox", { name: "Rows a page" }).click();
  await page.getByTitle("200", { exact: true }).click();
  await expect(page.locator("tbody tr[data-row-key]")).toHaveCount(200);
  const tasks = [await scrolled(page)];
  for (let turn = 2; turn <= 4; turn += 1) {
    await page.getByRole("button", { name: "Next page" }).click();
    await expect(page).toHaveURL(/p=/);
    await expect(firstCell(page)).toContainText(`user${100_000 - 200 * (turn - 1)}`);
    tasks.push(await scrolled(page));
  }
  await page.getByRole("columnheader", { name: "Username" }).click();
  await expect(firstCell(page)).toHaveAttribute("data-row-key", "1");
  await page.getByRole("columnheader", { name: "Registered" }).click();
  await expect(page).toHaveURL(/sort=time/);
  await expect(firstCell(page)).toContainText("user1");
  await page.getByRole("textbox", { name: "Username or address begins with" }).fill("user7777");
  await page.keyboard.press("Enter");
  await expect(page.locator("tbody tr[data-row-key]")).toHaveCount(11);
  await isBounded(page);
  for (const path of ["/admin", "/admin/servers", "/admin/finance?tab=orders", "/admin/users/1"]) {
    await page.goto(path);
    await expect(page.locator("h1").first()).toBeVisible();
    await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
    await isBounded(page);
    tasks.push(await scrolled(page));
  }
  process.stdout.write(`longest tasks while scrolling, in ms: ${tasks.join(", ")}\n`);
  expect(seen.filter((one) => one.bytes > MOST_BYTES)).toEqual([]);
  expect(wrong).toEqual([]);
});

test("a customer of ten years reads his pages", async ({ page }) => {
  const wrong = complaints(page);
  const seen = weighed(page);
  await prefer(page, "en");
  await page.goto("/"); // asks for his page before it is known that nobody is logged in
  await page.getByLabel("E-mail").fill("user1@example.com");
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("heading", { name: "My three relays" })).toBeVisible();
  const tasks: number[] = [];
  for (const path of ["/", "/devices", "/acl", "/usage", "/wallet", "/account", "/help"]) {
    await page.goto(path);
    await expect(page.locator("h1").first()).toBeVisible();
    await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
    await isBounded(page);
    tasks.push(await scrolled(page));
  }
  await page.goto("/wallet");
  const orders = page.locator("section", { has: page.getByRole("heading", { name: "Orders" }) });
  await expect(orders.locator("tbody tr[data-row-key]")).toHaveCount(20);
  await orders.getByRole("button", { name: "More" }).click();
  await expect(orders.locator("tbody tr[data-row-key]")).toHaveCount(40);
  process.stdout.write(`longest tasks while scrolling, in ms: ${tasks.join(", ")}\n`);
  expect(seen.filter((one) => one.bytes > MOST_BYTES)).toEqual([]);
  expect(wrong).toEqual([]);
});
