import type { QueryKey } from "@tanstack/react-query";
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { summaryQuery } from "@/features/sales/queries";
import { isStaff, meQuery } from "@/shared/auth/session";
import { loadStaffTexts } from "@/shared/i18n";
import { homeQuery } from "@/shared/live/keys";
import { client } from "./client";
import { Crashed, NotFound, Waiting } from "./fallbacks";

/** Every filter of a page stands in its address, as plain text. */
export type Search = Record<string, string | undefined>;

function plain(search: Record<string, unknown>): Search {
  return Object.fromEntries(
    Object.entries(search).flatMap(([name, value]) =>
      value === undefined || value === null || value === "" ? [] : [[name, String(value)]],
    ),
  );
}

const MOMENT_MS = 500;

/** Loads what a page shows, and waits a moment for it: then it is drawn once, with its data. */
function ready(query: { queryKey: QueryKey }) {
  return () =>
    Promise.race([
      client.prefetchQuery(query),
      new Promise<void>((go) => setTimeout(go, MOMENT_MS)),
    ]);
}

const root = createRootRoute({
  component: Outlet,
  notFoundComponent: NotFound,
  errorComponent: Crashed,
});

const door = createRoute({
  getParentRoute: () => root,
  id: "door",
  component: lazyRouteComponent(() => import("./Door"), "Door"),
});

const doors = [
  createRoute({
    getParentRoute: () => door,
    path: "/login",
    validateSearch: plain,
    beforeLoad: async () => {
      const me = await client.ensureQueryData(meQuery).catch(() => null);
      if (me) throw redirect({ to: isStaff(me) ? "/admin" : "/" });
    },
    component: lazyRouteComponent(() => import("@/features/door/LoginPage"), "LoginPage"),
  }),
  createRoute({
    getParentRoute: () => door,
    path: "/register",
    validateSearch: plain,
    component: lazyRouteComponent(() => import("@/features/door/RegisterPage"), "RegisterPage"),
  }),
  createRoute({
    getParentRoute: () => door,
    path: "/verify",
    component: lazyRouteComponent(() => import("@/features/door/VerifyPage"), "VerifyPage"),
  }),
  createRoute({
    getParentRoute: () => door,
    path: "/reset",
    component: lazyRouteComponent(() => import("@/features/door/ResetPage"), "ResetPage"),
  }),
];

const inside = createRoute({
  getParentRoute: () => root,
  id: "inside",
  beforeLoad: async ({ location }) => {
    const me = await client.ensureQueryData(meQuery);
    if (!me) throw redirect({ to: "/login", search: { next: location.href } });
    if (isStaff(me)) await loadStaffTexts();
  },
  component: lazyRouteComponent(() => import("./Shell"), "Shell"),
});

const customer = createRoute({
  getParentRoute: () => inside,
  id: "customer",
  beforeLoad: async () => {
    if (isStaff(await client.ensureQueryData(meQuery))) throw redirect({ to: "/admin" });
  },
});

const customerPages = [
  createRoute({
    getParentRoute: () => customer,
    path: "/",
    loader: ready(homeQuery),
    component: lazyRouteComponent(() => import("@/features/home/HomePage"), "HomePage"),
  }),
  createRoute({
    getParentRoute: () => customer,
    path: "/devices",
    validateSearch: plain,
    loader: ready(homeQuery),
    component: lazyRouteComponent(() => import("@/features/devices/DevicesPage"), "DevicesPage"),
  }),
  createRoute({
    getParentRoute: () => customer,
    path: "/acl",
    validateSearch: plain,
    component: lazyRouteComponent(() => import("@/features/acl/AclPage"), "AclPage"),
  }),
  createRoute({
    getParentRoute: () => customer,
    path: "/usage",
    validateSearch: plain,
    component: lazyRouteComponent(() => import("@/features/usage/UsagePage"), "UsagePage"),
  }),
  createRoute({
    getParentRoute: () => customer,
    path: "/wallet",
    validateSearch: plain,
    component: lazyRouteComponent(() => import("@/features/wallet/WalletPage"), "WalletPage"),
  }),
  createRoute({
    getParentRoute: () => customer,
    path: "/help",
    component: lazyRouteComponent(() => import("@/features/help/HelpPage"), "HelpPage"),
  }),
];

const distributor = createRoute({
  getParentRoute: () => inside,
  path: "/sales",
  beforeLoad: async () => {
    const me = await client.ensureQueryData(meQuery);
    if (me?.role !== "distributor") throw redirect({ to: "/" });
  },
});

const selling = <Path extends string>(
  path: Path,
  component: Parameters<typeof lazyRouteComponent>,
  loader?: () => Promise<void>,
) =>
  createRoute({
    getParentRoute: () => distributor,
    path,
    validateSearch: plain,
    ...(loader ? { loader } : {}),
    component: lazyRouteComponent(...component),
  });

const salesPages = [
  selling("/", [() => import("@/features/sales/SalesPage"), "SalesPage"], ready(summaryQuery)),
  selling("/stock", [() => import("@/features/sales/StockPage"), "StockPage"]),
  selling("/customers", [() => import("@/features/sales/CustomersPage"), "CustomersPage"]),
  selling("/downloads", [() => import("@/features/sales/CustomersPage"), "DownloadsPage"]),
  selling("/statements", [() => import("@/features/sales/StatementsPage"), "StatementsPage"]),
];

const account = createRoute({
  getParentRoute: () => inside,
  path: "/account",
  component: lazyRouteComponent(() => import("@/features/account/AccountPage"), "AccountPage"),
});

const admin = createRoute({
  getParentRoute: () => inside,
  path: "/admin",
  beforeLoad: async () => {
    if (!isStaff(await client.ensureQueryData(meQuery))) throw redirect({ to: "/" });
  },
});

const staff = <Path extends string>(path: Path, component: Parameters<typeof lazyRouteComponent>) =>
  createRoute({
    getParentRoute: () => admin,
    path,
    validateSearch: plain,
    component: lazyRouteComponent(...component),
  });

const adminPages = [
  staff("/", [() => import("@/features/overview/OverviewPage"), "OverviewPage"]),
  staff("/users", [() => import("@/features/users/UsersPage"), "UsersPage"]),
  staff("/users/$userId", [() => import("@/features/users/UserPage"), "UserPage"]),
  staff("/serials", [() => import("@/features/serials/SerialsPage"), "SerialsPage"]),
  staff("/servers", [() => import("@/features/servers/ServersPage"), "ServersPage"]),
  staff("/servers/$serverId", [() => import("@/features/servers/ServerPage"), "ServerPage"]),
  staff("/moves", [() => import("@/features/moves/MovesPage"), "MovesPage"]),
  staff("/upgrades", [() => import("@/features/upgrades/UpgradesPage"), "UpgradesPage"]),
  staff("/containers", [() => import("@/features/containers/ContainersPage"), "ContainersPage"]),
  staff("/acl", [() => import("@/features/acllogs/AclLogsPage"), "AclLogsPage"]),
  staff("/alerts", [() => import("@/features/alerts/AlertsPage"), "AlertsPage"]),
  staff("/logs", [() => import("@/features/logs/LogsPage"), "LogsPage"]),
  staff("/mails", [() => import("@/features/mails/MailsPage"), "MailsPage"]),
  staff("/distributors", [
    () => import("@/features/distributors/DistributorsPage"),
    "DistributorsPage",
  ]),
  staff("/plans", [() => import("@/features/plans/PlansPage"), "PlansPage"]),
  staff("/finance", [() => import("@/features/finance/FinancePage"), "FinancePage"]),
  staff("/traffic", [() => import("@/features/traffic/TrafficPage"), "TrafficPage"]),
  staff("/templates", [() => import("@/features/templates/TemplatesPage"), "TemplatesPage"]),
  staff("/installation", [
    () => import("@/features/installation/InstallationPage"),
    "InstallationPage",
  ]),
  staff("/receiving", [() => import("@/features/receiving/ReceivingPage"), "ReceivingPage"]),
  staff("/roles", [() => import("@/features/roles/RolesPage"), "RolesPage"]),
  staff("/channels", [() => import("@/features/channels/ChannelsPage"), "ChannelsPage"]),
];

const tree = root.addChildren([
  door.addChildren(doors),
  inside.addChildren([
    customer.addChildren(customerPages),
    distributor.addChildren(salesPages),
    account,
    admin.addChildren(adminPages),
  ]),
]);

export const router = createRouter({
  routeTree: tree,
  defaultPendingComponent: Waiting,
  defaultErrorComponent: Crashed,
  defaultNotFoundComponent: NotFound,
  defaultPreload: "intent",
  scrollRestoration: true,
  parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
  stringifySearch: (search) => {
    const text = new URLSearchParams(plain(search) as Record<string, string>).toString();
    return text ? `?${text}` : "";
  },
});

// A page that shows somebody's data must not stay when his log-in has ended.
let wasKnown = false;
client.getQueryCache().subscribe((event) => {
  if (event.query.queryKey[0] !== "me") return;
  if (event.type === "removed" || event.query.state.data) {
    wasKnown = event.type !== "removed";
  } else if (wasKnown && event.query.state.data === null) {
    wasKnown = false;
    client.removeQueries({ predicate: (query) => query.queryKey[0] !== "me" });
    router.navigate({ to: "/login", search: { next: router.state.location.href, ended: "1" } });
  }
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
