/** What a drawn object is made of. */
import type { Locator, Page } from "@playwright/test";
import type { OrderOut } from "../../src/api/schema";
import type { ADMIN } from "../site";

/** An object in one of its states, with what a person may do then. */
export interface Made {
  id: number;
  status: string;
  may: string[];
}

/** What the API answers at an address: something of its own, or its real answer changed. */
// biome-ignore lint/suspicious/noExplicitAny: an answer of any route
export type Said = Record<string, object | ((real: any) => object)>;

export interface Drawn {
  name: string;
  who: typeof ADMIN;
  path: string;
  said: (made: Made[]) => Said;
  /** The page shows one object, not a list with all of its states. */
  isOne?: boolean;
  only?: string[];
  place: (page: Page, one: Made) => Locator;
  word?: (state: string) => string;
  /** Keys of the buttons, by action. */
  acts?: Record<string, string>;
  /** Actions that another page has, which the stories go through. */
  elsewhere?: string[];
  /** What only the system does in some states. */
  system?: Record<string, string[]>;
  before?: (page: Page) => Promise<void>;
  /** Opens what has the buttons. */
  open?: (page: Page, place: Locator, one: Made) => Promise<Locator>;
}

export const NOT_DRAWN = {
  "finance: payment": "an attempt to pay is a line of its order's trace, not an object of a page",
};

export const AT = "2026-01-02T03:04:05Z";
export const NEVER = { error: null, reason: null, note: null, username: null };
export const row = (page: Page, one: Made) => page.locator(`tr[data-row-key="${one.id}"]`).first();
export const main = (page: Page) => page.locator("main");
/** The drawer or dialog that a row's button opens, once it has what is said of this row. */
export const opened =
  (words: (one: Made) => string) =>
  async (page: Page, place: Locator, one: Made): Promise<Locator> => {
    await place.getByRole("button").first().click();
    const inside = page.locator(".ant-drawer-body, .ant-modal-container").last();
    await inside.getByText(words(one)).first().waitFor();
    return inside;
  };
export const list = (field: string, rows: object[]) => ({
  success: true,
  [field]: rows,
  next_before: null,
});

/** An order, which its buyer and the admins see. */
export const order = ({ id, status, may }: Made): OrderOut => ({
  ...{ ...NEVER, id, number: `N${id}`, user_id: 1, kind: "rental", plan_id: 1, plan: "30 days" },
  ...{ duration_days: 30, quantity: 1, list_fen: 100, amount_fen: 100, cash_fen: 100 },
  ...{ bonus_fen: 0, refunded_fen: 0, method: "alipay", distributor_id: null, rental_id: null },
  ...{ created_at: AT, closes_at: AT, paid_at: null, done_at: null, closed_at: null },
  ...{ allowed_actions: may, amount: "1.00", refunded: "0.00" },
  status: status as OrderOut["status"],
});
