/** What a customer sees of objects with states. */
import type {
  DevicePart,
  HomeOut,
  KnockPart,
  LinkedPart,
  LinkPart,
  PastRentalPart,
  PeriodPart,
  PushLine,
  TrafficOut,
  VersionPart,
} from "../../src/api/schema";
import { CUSTOMER } from "../site";
import { AT, type Drawn, list, type Made, main, opened, order, row } from "./made";

const link = ({ status }: Made, wants_push = false): LinkPart => ({
  ...{ id: 1, kind: "tailscale", address: "", tailnet: "-", client_id: "k", has_secret: true },
  ...{ wants_push, wants_devices: true, is_automatic: false, trouble: null, trouble_at: null },
  ...{ succeeded_at: null, paused_until: null, pushed_at: null, pushed_version_id: null },
  ...{ looked_at: null, held_removals: 0, created_at: AT, allowed_actions: [] },
  status: status as LinkPart["status"],
});
const push = ({ id, status, may }: Made): PushLine => ({
  ...{ id, kind: "push", is_automatic: false, asked_by: "a", version_id: null, undoes_id: null },
  ...{ trouble: null, attempts: 1, unregistered: null, created_at: AT, done_at: null },
  allowed_actions: may,
  status: status as PushLine["status"],
});
const device = ({ id, status }: Made): DevicePart => ({
  ...{ id, node_key: `nodekey:${"0".repeat(63)}${id}`, name: `made-up-${id}`, system: "" },
  ...{ source: "manual", status, created_at: AT, removed_at: null, last_seen_at: null },
  connections: [],
});
const knock = ({ id, status, may }: Made): KnockPart => ({
  ...{ id, node_key: `nodekey:${"0".repeat(63)}${id}`, ip_address: "192.0.2.1", location: "" },
  ...{ slot: 1, count: 1, status, first_at: AT, last_at: AT, allowed_actions: may },
});
const period = ({ id, status }: Made): PeriodPart => ({
  ...{ id: 100 + id, number: id, starts_at: AT, ends_at: AT, limit_bytes: 100, granted_bytes: 0 },
  ...{ used_bytes: 1, left_bytes: 99, level: 0, at_quota: "stop", over_at: null },
  throttle_bytes_per_second: 0,
  status: status as PeriodPart["status"],
});

export const SEEN_BY_CUSTOMERS: Drawn[] = [
  {
    name: "acl",
    who: CUSTOMER,
    path: "/acl",
    said: (made) => ({
      "/api/acl/versions": list(
        "versions",
        made.map(
          ({ id, status }): VersionPart => ({
            ...{ id, user_id: 1, rental_id: 1, version: id, reason: "activated", digest: "0" },
            ...{ created_at: AT, expires_at: AT, ended_at: null },
            status: status as VersionPart["status"],
          }),
        ),
      ),
    }),
    place: row,
  },
  {
    name: "devices: device",
    who: CUSTOMER,
    path: "/devices",
    only: ["registered"],
    said: (made) => ({
      "/api/user/home": (real: HomeOut) => ({ ...real, devices: made.map(device) }),
    }),
    place: (page) => page.locator(".card").filter({ hasText: "made-up-1" }),
    acts: { remove: "action.remove" },
  },
  {
    name: "devices: device",
    who: CUSTOMER,
    path: "/devices",
    only: ["removed"],
    said: (made) => ({ "/api/security/devices": list("devices", made.map(device)) }),
    before: (page) => page.getByRole("button", { name: "Removed" }).click(),
    place: (page) => page.locator(".card").filter({ hasText: "made-up-1" }),
    acts: { register: "devices.again" },
  },
  {
    name: "devices: knock",
    who: CUSTOMER,
    path: "/devices",
    only: ["waiting"],
    said: (made) => ({
      "/api/user/home": (real: HomeOut) => ({ ...real, knocks: made.map(knock) }),
    }),
    place: (page) => page.locator(".card").filter({ hasText: "192.0.2.1" }),
    acts: { approve: "devices.approve", block: "devices.block", unblock: "devices.unblock" },
  },
  {
    name: "devices: knock",
    who: CUSTOMER,
    path: "/devices",
    only: ["blocked"],
    said: (made) => ({ "/api/security/knocks": list("knocks", made.map(knock)) }),
    before: (page) => page.getByRole("button", { name: "Blocked" }).click(),
    place: (page) => page.locator(".card").filter({ hasText: "192.0.2.1" }),
    acts: { approve: "devices.approve", block: "devices.block", unblock: "devices.unblock" },
  },
  {
    name: "devices: linked",
    who: CUSTOMER,
    path: "/devices",
    said: (made) => ({
      "/api/security/link/devices": {
        ...{ success: true, held_removals: 0, looked_at: AT },
        devices: made.map(
          ({ id, status, may }): LinkedPart => ({
            ...{ id: 100 + id, stable_id: `s${id}`, node_key: "", name: `linked-${id}`, status },
            ...{ system: "linux", addresses: "", is_ephemeral: false, device_id: null },
            ...{ missing_since: null, allowed_actions: may },
          }),
        ),
      },
    }),
    place: (page, { id }) => page.locator("tr").filter({ hasText: `linked-${id}` }),
    acts: { include: "linked.include", leave_out: "linked.leave_out" },
  },
  {
    name: "finance",
    who: CUSTOMER,
    path: "/wallet",
    said: (made) => ({ "/api/finance/orders": list("orders", made.map(order)) }),
    place: row,
    acts: { pay: "wallet.pay" },
  },
  {
    name: "rentals",
    who: CUSTOMER,
    path: "/wallet",
    said: (made) => ({
      "/api/user/rentals": list(
        "rentals",
        made.map(
          ({ id, status }): PastRentalPart => ({
            ...{ id, user_id: 1, resumes_id: null, started_at: AT, expires_at: AT, ended_at: null },
            ...{ end_reason: null, terms: [] },
            status: status as PastRentalPart["status"],
          }),
        ),
      ),
    }),
    place: row,
  },
  {
    name: "tailnets: link",
    who: CUSTOMER,
    path: "/acl?way=automatic",
    isOne: true,
    said: ([one]) => ({ "/api/acl/link": { success: true, link: one && link(one) } }),
    place: main,
    acts: { replace: "action.edit" },
  },
  {
    name: "tailnets: push",
    who: CUSTOMER,
    path: "/acl?way=automatic",
    said: (made) => ({
      "/api/acl/link": { success: true, link: link({ id: 1, status: "working", may: [] }, true) },
      "/api/acl/pushes": list("pushes", made.map(push)),
      ...Object.fromEntries(
        made.map((one) => [
          `/api/acl/pushes/${one.id}`,
          { success: true, push: { ...push(one), diff: "" } },
        ]),
      ),
    }),
    place: (page, { id }) => page.locator("section[aria-label] li").nth(id - 1),
    acts: { cancel: "action.cancel" },
    open: opened(() => "Written"),
  },
  {
    name: "traffic",
    who: CUSTOMER,
    path: "/usage",
    said: (made) => ({
      "/api/traffic/mine": (real: TrafficOut): TrafficOut => ({
        ...real,
        traffic: { ...real.traffic, history: made.map(period) },
      }),
    }),
    place: (page, { id }) => page.locator(`tr[data-row-key="${100 + id}"]`),
  },
];
