/**
 * Every state of every object, drawn by the page it has, with the actions that it allows and no other.
 *
 * The pages are the real ones; what the API says of the object is replaced, once for each state.
 */
import {
  type BrowserContext,
  expect,
  type Locator,
  type Page,
  type Route,
  test,
} from "@playwright/test";
import { SEEN_BY_CUSTOMERS } from "./drawn/customer";
import { type Drawn, type Made, NOT_DRAWN, type Said } from "./drawn/made";
import { SEEN_BY_STAFF } from "./drawn/staff";
import { activateOnce, CUSTOMER, logIn, passwordOf, prefer } from "./site";
import { keyOf, SHOWN, tables, texts } from "./states";

const OBJECTS: Drawn[] = [...SEEN_BY_CUSTOMERS, ...SEEN_BY_STAFF];
const TOLD = tables();

function english(key: string): string {
  const [text] = texts(key);
  if (typeof text !== "string") throw new Error(`${key} is no text`);
  return text;
}

/** Lets the API say something else of these addresses. */
async function say(page: Page, said: Said): Promise<void> {
  // What comes by itself would say how it really is.
  await page.route(
    (url) => /\/(live|events)$/.test(url.pathname),
    (route) => route.abort(),
  );
  for (const [address, answer] of Object.entries(said)) {
    const answered = async (route: Route) => {
      if (route.request().method() !== "GET") return route.fallback();
      if (typeof answer !== "function") return route.fulfill({ json: answer });
      const real = await route.fetch();
      return route.fulfill({ json: answer(await real.json()) });
    };
    await page.route((url) => url.pathname === address, answered);
  }
}

async function buttonsOf(place: Locator, acts: Record<string, string>): Promise<string[]> {
  const seen: string[] = [];
  for (const [action, key] of Object.entries(acts)) {
    const name = new RegExp(`^${english(key).replace(/[()]/g, "\\$&")}( |$)`);
    if ((await place.getByRole("button", { name }).count()) > 0) seen.push(action);
  }
  return seen.sort();
}

/** What somebody may do in a state, of what the page is there for. */
function allowedIn({ name, acts = {}, system = {} }: Drawn, state: string): string[] {
  const moves = TOLD.get(name)?.moves ?? [];
  const all = new Set(moves.filter((one) => one.from === state).map((one) => one.action));
  return [...all].filter((one) => one in acts && !system[state]?.includes(one)).sort();
}

test("every object with states is drawn here", () => {
  const drawn = new Set([...OBJECTS.map((one) => one.name), ...Object.keys(NOT_DRAWN)]);
  expect([...drawn].sort()).toEqual([...TOLD.keys()].sort());
  for (const [name, { acts = {} }] of Object.entries(SHOWN)) {
    const here = OBJECTS.filter((one) => one.name === name).flatMap((one) =>
      Object.keys(one.acts ?? {}),
    );
    const elsewhere = OBJECTS.filter((one) => one.name === name).flatMap(
      (one) => one.elsewhere ?? [],
    );
    expect([...new Set([...here, ...elsewhere])].sort(), name).toEqual(Object.keys(acts).sort());
  }
});

const contexts = new Map<string, BrowserContext>();
test.describe.configure({ mode: "default" });
for (const object of OBJECTS) {
  test(`${object.name} ${object.only ?? ""} on ${object.path}`, async ({ browser }) => {
    const { name, who, acts = {} } = object;
    const context =
      contexts.get(who.name) ??
      (await browser.newContext({ baseURL: process.env.WEB_URL as string }));
    const page = await context.newPage();
    await prefer(page, "en");
    if (!contexts.has(who.name)) {
      await logIn(page, who.email, passwordOf(who.name));
      if (who === CUSTOMER) await activateOnce(page);
    }
    contexts.set(who.name, context);
    const made: Made[] = [...(TOLD.get(name)?.states ?? [])]
      .filter((state) => object.only?.includes(state) ?? true)
      .map((status, at) => ({ id: at + 1, status, may: allowedIn(object, status) }));
    expect(made.length, "states").toBeGreaterThan(0);
    for (const round of object.isOne ? made.map((one) => [one]) : [made]) {
      await page.unrouteAll({ behavior: "ignoreErrors" });
      await say(page, object.said(round));
      await page.goto(object.path);
      await object.before?.(page);
      for (const one of round) {
        const place = object.place(page, one);
        await expect(place, `${name} ${one.status}`).toContainText(
          english(object.word?.(one.status) ?? keyOf(name, one.status)),
        );
        const inside = (await object.open?.(page, place, one)) ?? place;
        await expect
          .poll(() => buttonsOf(inside, acts), {
            message: `what ${name} ${one.status} offers`,
            timeout: 10_000,
          })
          .toEqual(one.may);
        if (object.open) await page.keyboard.press("Escape");
      }
    }
    await page.close();
  });
}
