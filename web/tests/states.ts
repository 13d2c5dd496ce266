/** The states of every object as the back end has them, and where the pages show them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import en from "../src/shared/i18n/en";
import enAdmin from "../src/shared/i18n/en/admin";
import zh from "../src/shared/i18n/zh-CN";
import zhAdmin from "../src/shared/i18n/zh-CN/admin";

// Made from the code's own tables.
const TABLES = join(import.meta.dirname, "..", "..", "docs", "states.md");

export interface Shown {
  /** Below this key stands a word for each state, unless `words` has it elsewhere. */
  prefix: string;
  words?: Record<string, string>;
  /** What a person does, with the page that asks the server whether he may. */
  acts?: Record<string, string>;
  /** What only the system does. */
  own?: string[];
}

const SERVER = "features/servers/ServerActions.tsx";
const USER = "features/users/UserActions.tsx";
export const SHOWN: Record<string, Shown> = {
  acl: { prefix: "acl.status", own: ["supersede", "end", "resume"] },
  "acl: rotation": {
    prefix: "admin:rotations.status",
    acts: { cancel: "features/acllogs/Rotations.tsx" },
    own: ["begin", "finish"],
  },
  "containers: wanted": { prefix: "wanted", own: ["stop", "start", "release"] },
  "devices: device": {
    prefix: "",
    words: { registered: "devices.list", removed: "devices.removedList" },
    acts: {
      remove: "features/devices/DeviceList.tsx",
      register: "features/devices/DeviceList.tsx",
    },
  },
  "devices: knock": {
    prefix: "",
    words: {
      waiting: "devices.knocks",
      blocked: "devices.blockedList",
      approved: "devices.list", // it is a device from then on
    },
    acts: {
      approve: "features/devices/Knocks.tsx",
      block: "features/devices/Knocks.tsx",
      unblock: "features/devices/Knocks.tsx",
    },
    own: ["knock"],
  },
  "devices: linked": {
    prefix: "linked.status",
    acts: { include: "features/devices/Linked.tsx", leave_out: "features/devices/Linked.tsx" },
    own: ["follow"], // the button for it is called include
  },
  distribution: {
    prefix: "sales.status",
    acts: {
      approve: "features/distributors/Applications.tsx",
      refuse: "features/distributors/Applications.tsx",
      withdraw: "features/sales/Applications.tsx",
    },
  },
  finance: {
    prefix: "wallet.status",
    acts: {
      pay: "features/wallet/PayOrder.tsx",
      cancel: "features/finance/Orders.tsx",
      complete: "features/finance/Orders.tsx",
      renew: "features/finance/Orders.tsx",
      refund: "features/finance/Orders.tsx",
    },
    own: ["expire"],
  },
  // Its states are steps of an order's trace, in which each is a line of its own.
  "finance: payment": {
    prefix: "",
    words: {
      open: "wallet.status.pending",
      succeeded: "wallet.status.paid",
      closed: "wallet.status.expired",
    },
    own: ["succeed", "close"],
  },
  "finance: receipt": {
    prefix: "admin:finance.receipt",
    acts: {
      confirm: "features/finance/Receipts.tsx",
      refuse: "features/finance/Receipts.tsx",
    },
  },
  notifications: {
    prefix: "admin:mails.status",
    acts: { requeue: "features/mails/MailsPage.tsx" },
    own: ["lease", "accept", "defer", "refuse"],
  },
  "notifications: message": {
    prefix: "admin:channels.status",
    acts: { requeue: "features/channels/ChannelsPage.tsx" },
    own: ["accept", "refuse"],
  },
  rentals: { prefix: "rentalStatus", acts: { suspend: USER, reinstate: USER, end: USER } },
  "rentals: move": {
    prefix: "admin:moves.status",
    acts: { cancel: "features/moves/Moves.tsx" },
    own: ["prepare", "replace", "switch", "abandon", "finish", "fail"],
  },
  serials: {
    prefix: "admin:serials.status",
    acts: {
      redeem: "features/home/Activate.tsx",
      revoke: "features/serials/SerialsPage.tsx",
    },
    own: ["expire"],
  },
  servers: {
    prefix: "admin:servers.status",
    acts: { check: SERVER, retry: SERVER, give_up: SERVER, remove: SERVER, clean_up: SERVER },
    own: [
      ...["accept", "fail", "doubt", "trust", "lose", "condemn"],
      ...["reappear", "return", "recover"],
    ],
  },
  "servers: upgrade": {
    prefix: "admin:upgrades.status",
    acts: {
      pause: "features/upgrades/UpgradesPage.tsx",
      resume: "features/upgrades/UpgradesPage.tsx",
      abort: "features/upgrades/UpgradesPage.tsx",
    },
    own: ["fail", "finish"],
  },
  "servers: stage": {
    prefix: "admin:upgrades.stage",
    own: ["start", "skip", "finish", "fail", "pass", "retry"], // with resume of its upgrade
  },
  "servers: job": {
    prefix: "admin:servers.jobStatus",
    own: ["start", "finish", "fail"],
  },
  "tailnets: link": {
    prefix: "link.status",
    acts: { replace: "features/acl/Link.tsx" },
    own: ["succeed", "stumble", "refuse"],
  },
  "tailnets: push": {
    prefix: "link.pushStatus",
    acts: { cancel: "features/acl/Pushes.tsx" },
    own: ["finish", "find_equal", "fail"],
  },
  traffic: { prefix: "usage.status", own: ["open", "close"] },
  users: {
    prefix: "userStatus",
    acts: {
      suspend: USER,
      reinstate: USER,
      deregister: "features/account/Deregister.tsx",
    },
    own: ["close"],
  },
};

export interface Table {
  states: Set<string>;
  actions: Set<string>;
  moves: { from: string; action: string }[];
}

export function tables(): Map<string, Table> {
  const found = new Map<string, Table>();
  for (const part of readFileSync(TABLES, "utf8").split(/^## /m).slice(1)) {
    const name = part.slice(0, part.indexOf("\n")).trim();
    const table: Table = { states: new Set(), actions: new Set(), moves: [] };
    for (const [, from, action, to] of part.matchAll(/^\| `(\w+)` \| (\w+) \| `(\w+)` \|$/gm)) {
      table.states.add(from as string).add(to as string);
      table.actions.add(action as string);
      table.moves.push({ from: from as string, action: action as string });
    }
    found.set(name, table);
  }
  return found;
}

/** A text in English and in Chinese, by its key. */
export function texts(key: string): unknown[] {
  const [space, path] = key.includes(":") ? key.split(":") : ["app", key];
  const trees = space === "admin" ? [enAdmin, zhAdmin] : [en, zh];
  return trees.map((tree) =>
    (path as string)
      .split(".")
      .reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], tree),
  );
}

/** The key of the word for a state. */
export function keyOf(name: string, state: string): string {
  const shown = SHOWN[name];
  return shown?.words?.[state] ?? `${shown?.prefix}.${state}`;
}
