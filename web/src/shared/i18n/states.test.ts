/** Every state of every object is named on some page, with the actions that somebody has there. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { keyOf, SHOWN, tables, texts } from "../../../tests/states";

const SOURCE = join(import.meta.dirname, "..", "..");

/** What stands in the file for actions whose name is not a word of it. */
const CALLED: Record<string, RegExp> = {
  "devices: device remove": /devices\/\{device_id\}\/remove/,
  "devices: device register": /"\/api\/security\/devices"/,
  "distribution approve": /allowed_actions\.length > 0[\s\S]*approve\.mutate/,
  "distribution refuse": /allowed_actions\.length > 0[\s\S]*refuse/,
  "finance pay": /allowed_actions\.includes\("pay"\)/,
  "finance cancel": /order\.allowed_actions\.map/,
  "finance complete": /order\.allowed_actions\.map/,
  "finance renew": /order\.allowed_actions\.map/,
  "finance refund": /order\.allowed_actions\.map/,
  "acl: rotation cancel": /!one\.is_over &&[\s\S]*\/cancel|\/cancel[\s\S]*!one\.is_over &&/,
  "rentals: move cancel": /one\.status === "waiting" &&/,
  "rentals suspend": /user\.status === "active"[\s\S]*setDialog\("suspend"\)/,
  "rentals reinstate": /user\.status === "suspended"[\s\S]*users\.reinstate/,
  "rentals end": /user\.rental_expiry &&[\s\S]*setDialog\("end"\)/,
  "serials redeem": /\/api\/user\/activate/,
  "tailnets: link replace": /\/api\/acl\/link\/change/,
  "users suspend": /user\.status === "active"[\s\S]*setDialog\("suspend"\)/,
  "users reinstate": /user\.status === "suspended"[\s\S]*users\.reinstate/,
  "users deregister": /\/api\/user\/deregister/,
};

const TOLD = tables();

test("every object with states is known here, and no other", () => {
  expect(TOLD.size).toBeGreaterThan(20);
  expect(Object.keys(SHOWN).sort()).toEqual([...TOLD.keys()].sort());
});

describe.each([...TOLD])("%s", (name, table) => {
  const shown = SHOWN[name] ?? { prefix: "" };

  test.each([...table.states])("state %s has a word in both languages", (state) => {
    const key = keyOf(name, state);
    for (const text of texts(key)) expect(text, key).toBeTypeOf("string");
  });

  test("every action is somebody's", () => {
    const acts = Object.keys(shown.acts ?? {});
    expect([...acts, ...(shown.own ?? [])].sort()).toEqual([...table.actions].sort());
  });

  test.each(Object.entries(shown.acts ?? {}))("action %s stands where it may", (action, file) => {
    const source = readFileSync(join(SOURCE, file), "utf8");
    const asked =
      CALLED[`${name} ${action}`] ??
      new RegExp(`(allowed_actions\\??\\.?\\.includes|may)\\((action|"${action}")\\)`);
    expect(source).toMatch(asked);
    if (asked.source.includes("(action|")) expect(source).toContain(`"${action}"`);
  });
});
