import {
  AlertOutlined,
  AuditOutlined,
  BankOutlined,
  BarChartOutlined,
  CloudServerOutlined,
  ClusterOutlined,
  ControlOutlined,
  DashboardOutlined,
  FileTextOutlined,
  GiftOutlined,
  LaptopOutlined,
  MailOutlined,
  MedicineBoxOutlined,
  NotificationOutlined,
  RocketOutlined,
  SafetyOutlined,
  SettingOutlined,
  ShareAltOutlined,
  ShopOutlined,
  SwapOutlined,
  TagsOutlined,
  TeamOutlined,
  WalletOutlined,
} from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ComponentProps, ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { type Rights, useRights } from "@/shared/auth/rights";
import { isStaff, type Me } from "@/shared/auth/session";
import type { common } from "@/shared/i18n/zh-CN/common";
import { homeKey, overviewKey } from "@/shared/live/keys";

type Word = keyof (typeof common)["nav"];
type Item = {
  to: ComponentProps<typeof Link>["to"];
  word: Word;
  icon: ReactNode;
  exact?: boolean;
  /** What an admin's role must permit. */
  needs?: string;
};
type Group = { word?: Word; items: Item[] };

const CUSTOMER: Group[] = [
  {
    items: [
      { to: "/", word: "home", icon: <DashboardOutlined />, exact: true },
      { to: "/devices", word: "devices", icon: <LaptopOutlined /> },
      { to: "/acl", word: "acl", icon: <ShareAltOutlined /> },
      { to: "/usage", word: "usage", icon: <BarChartOutlined /> },
      { to: "/wallet", word: "wallet", icon: <WalletOutlined /> },
      { to: "/account", word: "account", icon: <SettingOutlined /> },
      { to: "/help", word: "help", icon: <MedicineBoxOutlined /> },
    ],
  },
];
const SELLING: Group = {
  word: "selling",
  items: [
    { to: "/sales", word: "sales", icon: <ShopOutlined />, exact: true },
    { to: "/sales/stock", word: "stock", icon: <TagsOutlined /> },
    { to: "/sales/customers", word: "myCustomers", icon: <TeamOutlined /> },
    { to: "/sales/downloads", word: "downloads", icon: <ShareAltOutlined /> },
    { to: "/sales/statements", word: "statements", icon: <AuditOutlined /> },
  ],
};
const STAFF: Group[] = [
  {
    items: [
      {
        to: "/admin",
        word: "overview",
        needs: "monitoring.read",
        icon: <DashboardOutlined />,
        exact: true,
      },
    ],
  },
  {
    word: "business",
    items: [
      { to: "/admin/users", word: "users", needs: "users.read", icon: <TeamOutlined /> },
      { to: "/admin/serials", word: "serials", needs: "serials.read", icon: <TagsOutlined /> },
      {
        to: "/admin/distributors",
        word: "distributors",
        needs: "distribution.read",
        icon: <ShopOutlined />,
      },
      { to: "/admin/plans", word: "plans", needs: "finance.read", icon: <GiftOutlined /> },
      { to: "/admin/finance", word: "finance", needs: "finance.read", icon: <WalletOutlined /> },
    ],
  },
  {
    word: "operation",
    items: [
      {
        to: "/admin/servers",
        word: "servers",
        needs: "servers.read",
        icon: <CloudServerOutlined />,
      },
      {
        to: "/admin/containers",
        word: "containers",
        needs: "containers.read",
        icon: <ClusterOutlined />,
      },
      { to: "/admin/moves", word: "moves", needs: "ha.read", icon: <SwapOutlined /> },
      { to: "/admin/upgrades", word: "upgrades", needs: "servers.read", icon: <RocketOutlined /> },
      { to: "/admin/traffic", word: "traffic", needs: "traffic.read", icon: <BarChartOutlined /> },
      { to: "/admin/alerts", word: "alerts", needs: "alerts.read", icon: <AlertOutlined /> },
    ],
  },
  {
    word: "records",
    items: [
      { to: "/admin/acl", word: "aclLogs", needs: "acl.read", icon: <ShareAltOutlined /> },
      { to: "/admin/logs", word: "logs", needs: "logs.read", icon: <AuditOutlined /> },
      { to: "/admin/mails", word: "mails", needs: "notifications.read", icon: <MailOutlined /> },
    ],
  },
  { word: "settings", items: [{ to: "/account", word: "account", icon: <SettingOutlined /> }] },
];
const SUPER: Item[] = [
  { to: "/admin/roles", word: "roles", icon: <SafetyOutlined /> },
  { to: "/admin/receiving", word: "receiving", icon: <BankOutlined /> },
  { to: "/admin/templates", word: "templates", icon: <FileTextOutlined /> },
  { to: "/admin/channels", word: "channels", icon: <NotificationOutlined /> },
  { to: "/admin/installation", word: "installation", icon: <ControlOutlined /> },
];

/** What an admin may see of a group; one who sees his own customers only has their list. */
function permitted(group: Group, rights: Rights): Group {
  const items = group.items.filter(
    ({ needs }) => !needs || (needs === "users.read" ? rights.may(needs) : rights.mayAll(needs)),
  );
  return { ...group, items };
}

function groupsOf(me: Me, rights: Rights): Group[] {
  if (me.role === "distributor") {
    return [SELLING, ...CUSTOMER.map((group) => ({ ...group, word: "renting" as const }))];
  }
  if (!isStaff(me)) return CUSTOMER;
  if (me.role !== "super_admin") {
    return STAFF.map((group) => permitted(group, rights)).filter((group) => group.items.length);
  }
  return STAFF.map((group) =>
    group.word === "settings" ? { ...group, items: [...SUPER, ...group.items] } : group,
  );
}

/** The menu of whoever is logged in; only what is there for him. */
export function Menu({ me, label }: { me: Me; label: string }) {
  const { t } = useTranslation();
  const counts = useCounts(me);
  const rights = useRights();
  return (
    <nav aria-label={label}>
      {groupsOf(me, rights).map((group) => (
        <div key={group.word ?? "first"}>
          {group.word && <div className="nav-group">{t(`nav.${group.word}`)}</div>}
          <ul className="nav-list">
            {group.items.map((item) => (
              <li key={item.word}>
                <Link
                  to={item.to}
                  className="nav-link"
                  activeOptions={{ exact: item.exact ?? false, includeSearch: false }}
                >
                  {item.icon}
                  <span>{t(`nav.${item.word}`)}</span>
                  {counts[item.word] ? (
                    <span className="nav-count">{counts[item.word]}</span>
                  ) : null}
                </Link>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </nav>
  );
}

/** What waits for somebody, as the live stream says. */
function useCounts(me: Me): Partial<Record<Word, number>> {
  const staff = isStaff(me);
  const { data: home } = useQuery<{ knocks: unknown[] }>({ queryKey: homeKey, enabled: false });
  const { data: overview } = useQuery<{
    alerts: Record<string, number>;
    receipts_waiting: number;
    applications_waiting: number;
  }>({
    queryKey: overviewKey,
    enabled: false,
  });
  if (!staff) return { devices: home?.knocks.length ?? 0 };
  const open = overview?.alerts ?? {};
  return {
    alerts: (open.critical ?? 0) + (open.warning ?? 0),
    finance: overview?.receipts_waiting ?? 0,
    distributors: overview?.applications_waiting ?? 0,
  };
}
