/** The admin's story of a server: added over SSH, watched as it comes up, drained, and removed. */
import { expect, test } from "@playwright/test";
import { ADMIN, complaints, logIn, passwordOf, prefer } from "./site";

const WORDS = {
  "zh-CN": {
    add: "添加服务器",
    ip: "IP",
    region: "地区",
    key: "私钥",
    done: "完成",
    healthy: "正常",
    drain: "停止分配",
    draining: "不再分配新用户",
    undrain: "恢复分配",
    remove: "移除",
    removed: "已移除",
  },
  en: {
    add: "Add a server",
    ip: "IP",
    region: "Region",
    key: "Private key",
    done: "Done",
    healthy: "Healthy",
    drain: "Drain",
    draining: "Takes no new users",
    undrain: "Take new users again",
    remove: "Remove",
    removed: "Removed",
  },
} as const;

const servers: { ip: string; key: string }[] = JSON.parse(process.env.WEB_SERVERS ?? "[]");

Object.entries(WORDS).forEach(([language, words], at) => {
  test(`an admin adds a server, watches it come up, drains and removes it (${language})`, async ({
    page,
  }) => {
    const server = servers[at];
    test.skip(!server, "no bare server to add: this machine has no fleet (it needs root)");
    if (!server) return;
    const found = complaints(page);
    await prefer(page, language);
    await logIn(page, ADMIN.email, passwordOf(ADMIN.name));

    await page.goto("/admin/servers");
    await page.getByRole("button", { name: words.add }).click();
    const form = page.getByRole("dialog");
    await form.getByLabel(words.ip, { exact: true }).fill(server.ip);
    await form.getByLabel(words.region, { exact: true }).fill("Hangzhou");
    await form.getByLabel(words.key, { exact: true }).fill("not a key");
    await form.getByRole("button", { name: words.add }).click();
    await expect(form.getByRole("alert")).toBeVisible(); // and nothing that was typed is lost
    await expect(form.getByLabel(words.ip, { exact: true })).toHaveValue(server.ip);
    await form.getByLabel(words.key, { exact: true }).fill(server.key);
    await form.getByRole("button", { name: words.add }).click();

    // Its page shows the steps as they are done, without a reload.
    await expect(page).toHaveURL(/\/admin\/servers\/\d+/);
    await expect(page.locator("ol.list .dot.good").first()).toBeVisible();
    await expect(page.locator(".card .dot.good", { hasText: words.done })).toBeVisible();
    await expect(page.locator(".card .dot.good", { hasText: words.healthy })).toBeVisible();

    await page.getByRole("button", { name: words.drain, exact: true }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: words.drain, exact: true }).click();
    await expect(page.getByRole("term").filter({ hasText: words.draining })).toBeVisible();
    await page.getByRole("button", { name: words.undrain }).click();
    await expect(page.getByRole("term").filter({ hasText: words.draining })).toBeHidden();

    await page.getByRole("button", { name: words.remove, exact: true }).click();
    await dialog.getByRole("button", { name: words.remove, exact: true }).click();
    await expect(page.locator(".card .dot", { hasText: words.removed })).toBeVisible();
    await expect(page.getByRole("button", { name: words.remove, exact: true })).toHaveCount(0);
    expect(found).toEqual([]);
  });
});
