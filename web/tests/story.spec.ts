/** The customer's story, from the registration to a device that is connected and cut off again. */
import { expect, test } from "@playwright/test";
import { complaints, Device, mailed, newSerial, PASSWORD, prefer } from "./site";

const WORDS = {
  "zh-CN": {
    username: "用户名",
    email: "邮箱",
    password: "密码",
    register: "注册",
    code: "验证码",
    verify: "验证",
    verified: "邮箱已验证",
    login: "登录",
    serial: "序列号",
    activate: "激活",
    ready: "正常",
    acl: "ACL 配置",
    show: "显示内容",
    devices: "设备",
    approve: "允许",
    connected: "已连接",
    remove: "移除",
    name: "名称",
    logout: "退出登录",
    wrong: "序列号输入有误",
  },
  en: {
    username: "Username",
    email: "E-mail",
    password: "Password",
    register: "Register",
    code: "Code",
    verify: "Verify",
    verified: "Your address is verified",
    login: "Log in",
    serial: "Serial number",
    activate: "Activate",
    ready: "Running",
    acl: "ACL",
    show: "Show it",
    devices: "Devices",
    approve: "Approve",
    connected: "Connected",
    remove: "Remove",
    name: "Name",
    logout: "Log out",
    wrong: "has a typing error",
  },
} as const;

/** The derpMap of a snippet, as a control server that was given the policy hands it out. */
function derpMapOf(snippet: string): object {
  const bare = snippet.replace(/^\s*\/\/.*$/gm, "").replace(/,(\s*[}\]])/g, "$1");
  const text = bare.trim().replace(/,$/, "");
  const { derpMap } = JSON.parse(text.startsWith("{") ? text : `{${text}}`);
  expect(Object.keys(derpMap.Regions)).toHaveLength(3);
  return derpMap;
}

for (const [language, words] of Object.entries(WORDS)) {
  test(`a customer registers, activates, connects a device and cuts it off (${language})`, async ({
    page,
  }) => {
    const found = complaints(page);
    const name = `mei-${language.toLowerCase()}`;
    const email = `${name}@example.com`;
    await prefer(page, language);

    await page.goto("/register");
    await page.getByLabel(words.username).fill(name);
    await page.getByLabel(words.email).fill(email);
    await page.getByLabel(words.password, { exact: true }).fill(PASSWORD);
    await page.locator("form button[type=submit]").click();
    await page.getByLabel(words.code).fill(await mailed(email, /\n {4}([0-9A-Z-]{6,12})\n/));
    await page.getByRole("button", { name: words.verify }).click();

    await expect(page).toHaveURL(/\/login/);
    await page.getByLabel(words.email).fill(email);
    await page.getByLabel(words.password, { exact: true }).fill(PASSWORD);
    await page.locator("form button[type=submit]").click();
    await expect(page.locator(".steps > li.done")).toHaveCount(1);

    const serial = await newSerial(page);
    await page
      .getByLabel(words.serial)
      .fill(`${serial.slice(0, -1)}${serial.endsWith("A") ? "B" : "A"}`);
    await page.locator("form button[type=submit]").click();
    await expect(page.getByRole("alert").filter({ hasText: words.wrong })).toBeVisible();
    await page.getByLabel(words.serial).fill(serial.toLowerCase());
    await page.locator("form button[type=submit]").click();
    await expect(page.locator(".steps > li.done")).toHaveCount(2);
    // The stream turns each relay green, without a reload.
    await expect(page.locator(".card .dot.good", { hasText: words.ready })).toHaveCount(3);

    await page.getByRole("navigation").getByRole("link", { name: words.acl }).click();
    await page.getByRole("button", { name: words.show }).click();
    const document = page.locator(".code-block");
    await expect(document).toContainText('"derpMap"');
    const pasted = derpMapOf((await document.textContent()) ?? "");

    const device = new Device(pasted);
    try {
      const key = await device.key();
      await device.is("out");
      await page.getByRole("navigation").getByRole("link", { name: words.devices }).click();
      await expect(page.getByTitle(key)).toBeVisible();
      await page.getByRole("button", { name: words.approve }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel(words.name).fill("laptop");
      await dialog.getByRole("button", { name: words.approve }).click();
      await device.is("in");
      const row = page.getByRole("row", { name: /laptop/ });
      await expect(row).toContainText(words.connected);
      await page.getByRole("navigation").getByRole("link").first().click();
      await expect(page.locator(".steps")).toHaveCount(0); // all four steps are done
      await page.getByRole("navigation").getByRole("link", { name: words.devices }).click();
      await row.getByRole("button", { name: `${words.remove} laptop` }).click();
      await page.getByRole("dialog").getByRole("button", { name: words.remove }).click();
      await device.is("out");
      await expect(row).toHaveCount(0);
    } finally {
      device.stop();
    }
    await page.getByRole("button", { name: words.logout }).click();
    await expect(page).toHaveURL(/\/login/);
    await page.goto("/devices");
    await expect(page).toHaveURL(/\/login\?next=/);
    expect(found).toEqual([]);
  });
}
