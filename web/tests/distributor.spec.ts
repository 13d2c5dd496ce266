/** The distributor's story: he applies, an admin approves, and a customer activates what he got. */
import { expect, type Locator, test } from "@playwright/test";
import { ADMIN, CUSTOMER, complaints, DISTRIBUTOR, logIn, passwordOf, prefer } from "./site";

const WORDS = {
  "zh-CN": {
    apply: "申请序列号",
    plan: "套餐",
    days: "30 天",
    quantity: "数量",
    send: "提交申请",
    waiting: "待审批",
    approve: "批准",
    approved: "已批准",
    unused: "未激活",
    buy: "购买序列号",
    method: "支付方式",
    credit: "信用额度",
    price: "标价 ¥39.00，折扣 ¥7.80，应付 ¥31.20",
    order: "购买",
    made: "1 个序列号",
  },
  en: {
    apply: "Apply for serial numbers",
    plan: "Plan",
    days: "30 days",
    quantity: "How many",
    send: "Apply",
    waiting: "Waiting",
    approve: "Approve",
    approved: "Approved",
    unused: "Unused",
    buy: "Buy serial numbers",
    method: "Pay by",
    credit: "Credit",
    price: "List price ¥39.00, discount ¥7.80, to pay ¥31.20",
    order: "Buy",
    made: "1 serial numbers",
  },
} as const;

/** Opens a select and chooses; a click that meets a list while it is still moving is made again. */
async function choose(box: Locator, option: string): Promise<void> {
  const list = box.page().locator(".ant-select-dropdown:not(.ant-select-dropdown-hidden)");
  await expect(async () => {
    if ((await list.count()) === 0) await box.click({ timeout: 5_000 });
    const wanted = list.locator(".ant-select-item-option", { hasText: option }).first();
    await wanted.click({ timeout: 5_000 });
    await expect(list).toHaveCount(0, { timeout: 3_000 });
  }).toPass({ timeout: 90_000 });
}

for (const [language, words] of Object.entries(WORDS)) {
  test(`a distributor applies, is approved, and his customer activates (${language})`, async ({
    browser,
  }) => {
    const open = async (who: { email: string; name: string }) => {
      const context = await browser.newContext({ baseURL: process.env.WEB_URL as string });
      const page = await context.newPage();
      const found = complaints(page);
      await prefer(page, language);
      await logIn(page, who.email, passwordOf(who.name));
      return { page, found };
    };
    const his = await open(DISTRIBUTOR);
    await his.page.goto("/sales");
    await his.page.getByRole("button", { name: words.apply }).click();
    const form = his.page.getByRole("dialog");
    await choose(form.getByLabel(words.plan), words.days);
    await form.getByLabel(words.quantity).fill("3");
    await form.getByRole("button", { name: words.send }).click();
    await expect(his.page.getByText(words.waiting).first()).toBeVisible();

    const admins = await open(ADMIN);
    await admins.page.goto("/admin/distributors?tab=applications&status=pending");
    await admins.page.getByRole("button", { name: words.approve }).first().click();
    await admins.page.getByRole("dialog").getByRole("button", { name: words.approve }).click();
    await expect(admins.page.getByRole("dialog")).toBeHidden();

    await his.page.goto("/sales/stock?status=unused");
    const code = his.page.locator("td .mono").first();
    await expect(code).toBeVisible();
    const customer = await open(CUSTOMER);
    const home = await (await customer.page.request.get("/api/user/home")).json();
    const way = home.rental ? "/api/user/renew" : "/api/user/activate";
    const activated = await customer.page.request.post(way, {
      data: { code: await code.textContent() },
      headers: { "X-Derpman-Page": "1" },
    });
    expect(activated.status(), await activated.text()).toBe(200);
    await his.page.goto("/sales/customers");
    await expect(his.page.getByText(CUSTOMER.name)).toBeVisible();

    await his.page.goto("/sales");
    await his.page.getByRole("button", { name: words.buy }).click();
    const shop = his.page.getByRole("dialog");
    await choose(shop.getByLabel(words.plan), words.days);
    await choose(shop.getByLabel(words.method), words.credit);
    await expect(shop.getByText(words.price)).toBeVisible();
    await shop.getByRole("button", { name: words.order, exact: true }).click();
    await expect(shop.getByText(words.made)).toBeVisible();
    for (const one of [his, admins, customer]) {
      expect(one.found).toEqual([]);
      await one.page.context().close();
    }
  });
}
