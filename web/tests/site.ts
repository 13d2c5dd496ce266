/** What the tests know of the site they try: its accounts, its mails, devices that knock. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, type Page } from "@playwright/test";

function known(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run \`make test-web\``);
  return value;
}

export const ADMIN = { email: "demo-admin@example.com", name: "demo-admin" };
export const CUSTOMER = { email: "demo-customer@example.com", name: "demo-customer" };
export const DISTRIBUTOR = { email: "demo-distributor@example.com", name: "demo-distributor" };
export const PASSWORD = "seven tall ships at sea";

export function passwordOf(name: string): string {
  return JSON.parse(readFileSync(known("WEB_LOGINS"), "utf8"))[name];
}

interface Mail {
  to: string[];
  subject: string;
  text: string;
}

/** Waits for the newest mail to an address that has `pattern` in it, and returns what it caught. */
export async function mailed(address: string, pattern: RegExp): Promise<string> {
  let found: string | undefined;
  await expect(() => {
    const folder = known("WEB_MAILBOX");
    for (const name of readdirSync(folder).sort().reverse()) {
      if (!name.endsWith(".json")) continue;
      const mail: Mail = JSON.parse(readFileSync(join(folder, name), "utf8"));
      found = mail.to.includes(address) ? pattern.exec(mail.text)?.[1] : undefined;
      if (found) return;
    }
    throw new Error(`no mail to ${address} has ${pattern}`);
  }).toPass({ timeout: 60_000 });
  return found as string;
}

/** Sets the language and the appearance before a page is opened. */
export async function prefer(page: Page, language: string, appearance = "light"): Promise<void> {
  await page.addInitScript(
    ([tongue, look]) => {
      localStorage.setItem("derpman.language", tongue as string);
      localStorage.setItem("derpman.appearance", look as string);
    },
    [language, appearance],
  );
}

/** Logs in through the API as a page would: the cookie is the browser's from then on. */
export async function logIn(page: Page, email: string, password: string): Promise<void> {
  const answer = await page.request.post("/api/user/login", {
    data: { email, password, browser: true },
    headers: { "X-Derpman-Page": "1" },
  });
  expect(answer.status(), await answer.text()).toBe(200);
}

export async function asAdmin<T>(page: Page, path: string, data: object): Promise<T> {
  const context = await page
    .context()
    .browser()
    ?.newContext({ baseURL: known("WEB_URL") });
  if (!context) throw new Error("there is no browser");
  const login = await context.request.post("/api/user/login", {
    data: { email: ADMIN.email, password: passwordOf(ADMIN.name) },
  });
  const { token } = await login.json();
  const answer = await context.request.post(path, {
    data,
    headers: { Authorization: `Bearer ${token}` },
  });
  expect(answer.status(), await answer.text()).toBe(200);
  const body = await answer.json();
  await context.close();
  return body as T;
}

export async function newSerial(page: Page): Promise<string> {
  const made = await asAdmin<{ serial_numbers: string[] }>(page, "/api/serial/generate", {
    duration_days: 30,
  });
  return made.serial_numbers[0] as string;
}

/** Gives the customer of the demo relays, if he has none. */
export async function activateOnce(page: Page): Promise<void> {
  const home = await (await page.request.get("/api/user/home")).json();
  if (home.rental) return;
  const answer = await page.request.post("/api/user/activate", {
    data: { code: await newSerial(page) },
    headers: { "X-Derpman-Page": "1" },
  });
  // Another look may have been faster: what counts is that he has relays now.
  const now = await (await page.request.get("/api/user/home")).json();
  expect(now.rental, await answer.text()).not.toBeNull();
}

/** A Tailscale client that was given a derpMap, until it is stopped; `key` is its node key. */
export class Device {
  private lines: string[] = [];
  private readonly child: ChildProcess;

  constructor(derpMap: object) {
    const [program, ...words] = known("WEB_DEVICE").split(" ");
    this.child = spawn(program as string, words, {
      stdio: ["pipe", "pipe", "inherit"],
      cwd: join(import.meta.dirname, "..", ".."),
    });
    this.child.stdin?.write(`${JSON.stringify(derpMap)}\n`);
    this.child.stdout?.on("data", (text: Buffer) => {
      this.lines.push(...text.toString().split("\n").filter(Boolean));
    });
  }

  async key(): Promise<string> {
    await expect.poll(() => this.lines[0] ?? "", { timeout: 60_000 }).toMatch(/^nodekey:/);
    return this.lines[0] as string;
  }

  async is(state: "in" | "out"): Promise<void> {
    await expect.poll(() => this.lines.at(-1), { timeout: 30_000 }).toBe(state);
  }

  stop(): void {
    this.child.stdin?.end();
    this.child.kill();
  }
}

/** Collects what a browser complains about: errors of scripts, refused styles, failed files. */
export function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on("pageerror", (error) => found.push(String(error)));
  page.on("console", (line) => {
    const text = line.text();
    // A visitor's first question who he is has the answer 401, which the browser writes down.
    if (line.type() === "error" && !/status of (401|403|404|409|422|429)/.test(text))
      found.push(text);
  });
  return found;
}
