import { afterEach, expect, test, vi } from "vitest";
import { askEarly, fetchOnce } from "./early";

const SITE = "http://localhost";
const fetched: string[] = [];

vi.stubGlobal("fetch", async (what: string | Request) => {
  const path = typeof what === "string" ? what : new URL(what.url).pathname;
  fetched.push(path);
  return new Response(`${path} ${fetched.length}`);
});
afterEach(() => {
  fetched.length = 0;
});

const read = async (path: string, method = "GET") =>
  (await fetchOnce(new Request(SITE + path, { method }))).text();

test("an early answer is given to whoever asks first, and once", async () => {
  askEarly("/api/a?x=1");
  expect(await read("/api/a?x=1")).toBe("/api/a?x=1 1");
  expect(await read("/api/a?x=1")).toBe("/api/a 2");
  expect(await read("/api/b")).toBe("/api/b 3");
});

test("after a log-in nobody is given what a visitor was answered", async () => {
  askEarly("/api/user/home");
  await read("/api/user/login", "POST");
  expect(await read("/api/user/home")).toBe("/api/user/home 3");
});
