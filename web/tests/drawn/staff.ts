/** What admins and distributors see of objects with states. */
import type {
  ApplicationPart,
  ContainerOut,
  MailLine,
  MessageOut,
  MovePart,
  OneServerOut,
  OneUserOut,
  ReceiptOut,
  RotationPart,
  SerialOut,
  StageOut,
  UpgradePart,
} from "../../src/api/schema";
import type { ChannelOut, JobOut } from "../../src/api/types";
import { ADMIN, DISTRIBUTOR } from "../site";
import { AT, type Drawn, list, type Made, main, NEVER, opened, order, row } from "./made";

const application = ({ id, status, may }: Made): ApplicationPart => ({
  ...{ ...NEVER, id, user_id: 1, plan_id: 1, plan: "30 days", quantity: 10, order_id: null },
  ...{ created_at: AT, decided_at: null, allowed_actions: may },
  status: status as ApplicationPart["status"],
});
const mail = ({ id, status }: Made): MailLine => ({
  ...{ id, message_id: `<${id}@x>`, user_id: null, address: "a@example.com", template: "verify" },
  ...{ locale: "en", subject: `Subject ${id}`, attempts: 1, due_at: AT, created_at: AT },
  ...{ sent_at: null, error: null },
  status: status as MailLine["status"],
});
const channel: ChannelOut = {
  ...{ id: 1, name: "Duty", kind: "webhook", host: "hooks.example.com", has_secret: false },
  ...{ locale: "en", topics: ["alert"], min_severity: "warning", is_enabled: true, error: null },
  ...{ failing_since: null, paused_until: null, sent_at: null, created_at: AT, updated_at: AT },
  allowed_actions: [],
};
const message = ({ id, status, may }: Made): MessageOut => ({
  ...{ id, channel_id: 1, key: `k${id}`, topic: "alert", text: `Message ${id}.`, data: {} },
  ...{ created_at: AT, sent_at: null, error: null, allowed_actions: may },
  status: status as MessageOut["status"],
});
const stage = ({ id, status }: Made): StageOut => ({
  ...{ server_id: id, job_id: null, error: null, message: null, watch_until: null },
  ...{ started_at: null, finished_at: null },
  status: status as StageOut["status"],
});
const upgrade = ({ id, status, may }: Made, servers: StageOut[] = []): UpgradePart => ({
  ...{ id, node_version: "1.0.0", node_sha256: "0".repeat(64), relay_label: "1", error: null },
  ...{ watch_seconds: 60, reason: null, actor_name: "a", created_at: AT, finished_at: null },
  ...{ servers, done: 0, allowed_actions: may },
  status: status as UpgradePart["status"],
});
const job = ({ id, status }: Made): JobOut => ({
  ...{ id, server_id: 1, kind: "check", error: null, actor_name: "a", created_at: AT },
  ...{ finished_at: null, steps: [] },
  status: status as JobOut["status"],
});
const PAGE_OF_USER = "/admin/users/2";
const user =
  (change: object) =>
  (real: OneUserOut): OneUserOut => ({ ...real, user: { ...real.user, role: "user", ...change } });

export const SEEN_BY_STAFF: Drawn[] = [
  {
    name: "acl: rotation",
    who: ADMIN,
    path: "/admin/acl?tab=rotations",
    said: (made) => ({
      "/api/acl/rotations": list(
        "rotations",
        made.map(
          ({ id, status }): RotationPart => ({
            ...{
              id,
              user_id: 1,
              username: "one",
              job_id: null,
              reason: "generated",
              version: null,
            },
            ...{ is_new_ports: false, actor_name: "a", error: null, created_at: AT },
            ...{ begun_at: null, ended_at: null },
            status: status as RotationPart["status"],
          }),
        ),
      ),
    }),
    place: row,
    elsewhere: ["cancel"], // all of a server's at once, on the page of jobs
  },
  {
    name: "containers: wanted",
    who: ADMIN,
    path: "/admin/containers",
    said: (made) => ({
      "/api/container/list": list(
        "containers",
        made.map(
          ({ id, status }): ContainerOut => ({
            ...{ container_id: id, slot: 1, region_id: 900, server_id: 1, region: "x", pin: "" },
            ...{ address: "192.0.2.1", port: 20000, stun_port: 20001, observed: "unknown" },
            ...{ reason: null, is_ready: false, ready_at: null, generation: 1, ends_at: null },
            ...{ user_id: 1, username: "one", rental_id: 1, is_as_wanted: true, restarts: 0 },
            ...{ expires_at: AT, created_at: AT, released_at: null, gone_at: null },
            wanted: status as ContainerOut["wanted"],
          }),
        ),
      ),
    }),
    place: row,
  },
  {
    name: "distribution",
    who: DISTRIBUTOR,
    path: "/sales",
    said: (made) => ({
      "/api/admin/my/applications": list("applications", made.map(application)),
    }),
    place: row,
    acts: { withdraw: "sales.withdraw" },
  },
  {
    name: "distribution",
    who: ADMIN,
    path: "/admin/distributors?tab=applications",
    said: (made) => ({ "/api/admin/applications": list("applications", made.map(application)) }),
    place: row,
    acts: { approve: "admin:distributors.approve", refuse: "admin:distributors.refuse" },
  },
  {
    name: "finance",
    who: ADMIN,
    path: "/admin/finance?tab=orders",
    said: (made) => ({
      "/api/finance/orders": list("orders", made.map(order)),
      ...Object.fromEntries(
        made.map((one) => [
          `/api/finance/orders/${one.id}/trace`,
          { success: true, order: order(one), verdict: `Verdict ${one.id}`, steps: [] },
        ]),
      ),
    }),
    place: row,
    acts: {
      cancel: "admin:finance.act.cancel",
      complete: "admin:finance.act.complete",
      renew: "admin:finance.act.renew",
      refund: "admin:finance.act.refund",
    },
    open: opened((one) => `Verdict ${one.id}`),
  },
  {
    name: "finance: receipt",
    who: ADMIN,
    path: "/admin/finance?tab=receipts",
    said: (made) => ({
      "/api/finance/receipts": list(
        "receipts",
        made.map(
          ({ id, status, may }): ReceiptOut => ({
            ...{ ...NEVER, id, order_id: id, order_number: `N${id}`, amount_fen: 100, user_id: 1 },
            ...{ same_picture: 0, created_at: AT, decided_at: null, decided_by: null },
            ...{ amount: "1.00", allowed_actions: may },
            status: status as ReceiptOut["status"],
          }),
        ),
      ),
    }),
    place: row,
    acts: { confirm: "admin:finance.confirm", refuse: "admin:finance.refuse" },
  },
  {
    name: "notifications",
    who: ADMIN,
    path: "/admin/mails",
    said: (made) => ({
      "/api/notifications/mails": list("mails", made.map(mail)),
      ...Object.fromEntries(
        made.map((one) => [
          `/api/notifications/mails/${one.id}`,
          {
            success: true,
            mail: { ...mail(one), text: `Text ${one.id}`, html: "", allowed_actions: one.may },
          },
        ]),
      ),
    }),
    place: row,
    acts: { requeue: "admin:mails.requeue" },
    open: opened((one) => `Text ${one.id}`),
  },
  {
    name: "notifications: message",
    who: ADMIN,
    path: "/admin/channels",
    said: (made) => ({
      "/api/notifications/channels": { success: true, channels: [channel], topics: ["alert"] },
      "/api/notifications/channels/1/messages": list("messages", made.map(message)),
    }),
    before: (page) => page.getByRole("button", { name: "Messages" }).click(),
    place: (page, { id }) => page.locator("li").filter({ hasText: `Message ${id}.` }),
    acts: { requeue: "admin:channels.requeue" },
  },
  {
    name: "rentals",
    who: ADMIN,
    path: PAGE_OF_USER,
    isOne: true,
    said: ([one]) => ({
      "/api/user/2": user({
        status: one?.status === "suspended" ? "suspended" : "active",
        rental_expiry: one?.status === "ended" ? null : AT,
      }),
    }),
    place: main,
    word: (state) => (state === "suspended" ? "userStatus.suspended" : "userStatus.active"),
    // An account without a rental can be suspended as well: that is the account's own row below.
    acts: { reinstate: "admin:users.reinstate", end: "admin:users.endRental" },
    elsewhere: ["suspend"],
  },
  {
    name: "rentals: move",
    who: ADMIN,
    path: "/admin/moves",
    said: (made) => ({
      "/api/ha/moves": list(
        "moves",
        made.map(
          ({ id, status }): MovePart => ({
            ...{ id, user_id: 1, rental_id: 1, slot: 1, cause: "dead", from_server_id: 1 },
            ...{ to_server_id: null, is_shared: false, tries: 0, error: null, actor_name: "a" },
            ...{ asked_at: AT, begun_at: null, switched_at: null, ended_at: null },
            status: status as MovePart["status"],
          }),
        ),
      ),
    }),
    place: row,
    acts: { cancel: "admin:moves.cancel" },
    system: { preparing: ["cancel"] }, // when its rental ends meanwhile
  },
  {
    name: "serials",
    who: ADMIN,
    path: "/admin/serials",
    isOne: true, // what is chosen stays so
    said: (made) => ({
      "/api/serial/list": list(
        "serials",
        made.map(
          ({ id, status, may }): SerialOut => ({
            ...{ ...NEVER, id, code: `DERP-${id}`, duration_days: 30, plan_id: 1, created_by: 1 },
            ...{ order_id: null, distributor_id: null, distributor: null, user_id: null },
            ...{ created_at: AT, expires_at: AT, used_at: null, allowed_actions: may },
            status: status as SerialOut["status"],
          }),
        ),
      ),
    }),
    place: row,
    acts: { revoke: "admin:serials.revoke" },
    elsewhere: ["redeem"], // a customer types it in
    open: async (page, place) => {
      const box = place.getByRole("checkbox");
      if (await box.isEnabled()) await box.check();
      return main(page);
    },
  },
  {
    name: "servers",
    who: ADMIN,
    path: "/admin/servers/1",
    isOne: true,
    said: ([one]) => ({
      "/api/server/1": (real: OneServerOut): OneServerOut => ({
        ...real,
        job: null,
        server: {
          ...real.server,
          status: one?.status as OneServerOut["server"]["status"],
          allowed_actions: one?.may ?? [],
        },
      }),
    }),
    place: main,
    acts: {
      check: "admin:servers.check",
      retry: "admin:servers.retry",
      give_up: "admin:servers.giveUp",
      remove: "admin:servers.remove",
      clean_up: "admin:servers.cleanUp",
    },
  },
  {
    name: "servers: job",
    who: ADMIN,
    path: "/admin/servers/1",
    isOne: true,
    said: ([one]) => ({
      "/api/server/1": (real: OneServerOut) => ({ ...real, job: one && job(one) }),
      [`/api/server/jobs/${one?.id}`]: { success: true, job: one && job(one) },
    }),
    place: main,
  },
  {
    name: "servers: upgrade",
    who: ADMIN,
    path: "/admin/upgrades",
    said: (made) => ({
      "/api/server/upgrade": list(
        "upgrades",
        made.map((one) => upgrade(one)),
      ),
    }),
    place: row,
    acts: {
      pause: "admin:upgrades.pause",
      resume: "admin:upgrades.resume",
      abort: "admin:upgrades.abort",
    },
  },
  {
    name: "servers: stage",
    who: ADMIN,
    path: "/admin/upgrades",
    said: (made) => ({
      "/api/server/upgrade": list("upgrades", [
        upgrade({ id: 1, status: "running", may: [] }, made.map(stage)),
      ]),
    }),
    before: (page) => page.getByRole("button", { name: "Expand row" }).click(),
    place: (page, { id }) => page.locator("li").filter({ hasText: `#${id} ` }),
  },
  {
    name: "users",
    who: ADMIN,
    path: PAGE_OF_USER,
    isOne: true,
    said: ([one]) => ({ "/api/user/2": user({ status: one?.status, rental_expiry: AT }) }),
    place: main,
    acts: { suspend: "admin:users.suspend", reinstate: "admin:users.reinstate" },
    elsewhere: ["deregister"], // the customer's own, on his account's page
  },
];
