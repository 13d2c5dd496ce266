import {
  AlertOutlined,
  AuditOutlined,
  BankOutlined,
  BarChartOutlined,
  CloudServerOutlined,
  ClusterOutlined,
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
import { isStaff, type Me } from "@/shared/auth/session";
import type { common } from "@/shared/i18n/zh-CN/common";
import { homeKey, overviewKey } from "@/shared/live/keys";

type Word = keyof (typeof common)["nav"];
type Item = { to: ComponentProps<typeof Link>["to"]; word: Word; icon: ReactNode; exact?: boolean };
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
  { items: [{ to: "/admin", word: "overview", icon: <DashboardOutlined />, exact: true }] },
  {
    word: "business",
    items: [
      { to: "/admin/users", word: "users", icon: <TeamOutlined /> },
      { to: "/admin/serials", word: "serials", icon: <TagsOutlined /> },
      { to: "/admin/distributors", word: "distributors", icon: <ShopOutlined /> },
      { to: "/admin/plans", word: "plans", icon: <GiftOutlined /> },
      { to: "/admin/finance", word: "finance", icon: <WalletOutlined /> },
    ],
  },
  {
    word: "operation",
    items: [
      { to: "/admin/servers", word: "servers", icon: <CloudServerOutlined /> },
      { to: "/admin/containers", word: "containers", icon: <ClusterOutlined /> },
      { to: "/admin/moves", word: "moves", icon: <SwapOutlined /> },
      { to: "/admin/upgrades", word: "upgrades", icon: <RocketOutlined /> },
      { to: "/admin/traffic", word: "traffic", icon: <BarChartOutlined /> },
      { to: "/admin/alerts", word: "alerts", icon: <AlertOutlined /> },
    ],
  },
  {
    word: "records",
    items: [
      { to: "/admin/acl", word: "aclLogs", icon: <ShareAltOutlined /> },
      { to: "/admin/logs", word: "logs", icon: <AuditOutlined /> },
      { to: "/admin/mails", word: "mails", icon: <MailOutlined /> },
    ],
  },
  { word: "settings", items: [{ to: "/account", word: "account", icon: <SettingOutlined /> }] },
];
const SUPER: Item[] = [
  { to: "/admin/roles", word: "roles", icon: <SafetyOutlined /> },
  { to: "/admin/receiving", word: "receiving", icon: <BankOutlined /> },
  { to: "/admin/templates", word: "templates", icon: <FileTextOutlined /> },
  { to: "/admin/channels", word: "channels", icon: <NotificationOutlined /> },
];

function groupsOf(me: Me): Group[] {
  if (me.role === "distributor") {
    return [SELLING, ...CUSTOMER.map((group) => ({ ...group, word: "renting" as const }))];
  }
  if (!isStaff(me)) return CUSTOMER;
  if (me.role !== "super_admin") return STAFF;
  return STAFF.map((group) =>
    group.word === "settings" ? { ...group, items: [...SUPER, ...group.items] } : group,
  );
}

/** The menu of whoever is logged in; only what is there for him. */
export function Menu({ me, label }: { me: Me; label: string }) {
  const { t } = useTranslation();
  const counts = useCounts(me);
  return (
    <nav aria-label={label}>
      {groupsOf(me).map((group) => (
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
  const { data: overview } = useQuery<{ alerts: Record<string, number> }>({
    queryKey: overviewKey,
    enabled: false,
  });
  if (!staff) return { devices: home?.knocks.length ?? 0 };
  const open = overview?.alerts ?? {};
  return { alerts: (open.critical ?? 0) + (open.warning ?? 0) };
}
