import { useQuery } from "@tanstack/react-query";
import { Link, Navigate } from "@tanstack/react-router";
import { Table } from "antd";
import { useTranslation } from "react-i18next";
import type { RegionOut } from "@/api/schema";
import { useRights } from "@/shared/auth/rights";
import { bytes, rate, relative } from "@/shared/format/format";
import { overviewQuery } from "@/shared/live/keys";
import { Loaded } from "@/shared/ui/Loaded";
import { Blank, Card, Page, State } from "@/shared/ui/Page";
import { serverTone, severityTone } from "@/shared/ui/tones";
import { Business } from "./Business";
import { Figure } from "./Figure";

/** The admin's first page: how everything is, live. */
export function OverviewPage() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const rights = useRights();
  const query = useQuery({ ...overviewQuery, enabled: !rights.ownOnly });
  if (rights.ownOnly) return <Navigate to="/admin/users" replace />;
  return (
    <Page title={t("admin:overview.title")}>
      <Loaded query={query}>
        {(seen) => {
          const wanted = seen.relays.filter((one) => one.wanted === "running");
          const count = (list: typeof wanted) => list.reduce((sum, one) => sum + one.relays, 0);
          const ready = count(wanted.filter((one) => one.observed === "ready"));
          const total = count(wanted);
          const stuck = count(
            seen.relays.filter(
              (one) =>
                one.wanted !== "running" &&
                one.observed !== (one.wanted === "stopped" ? "stopped" : "gone"),
            ),
          );
          const differing = total - ready + stuck;
          return (
            <>
              <div className="figures">
                <Business seen={seen} />
                <Figure
                  title={t("admin:overview.servers")}
                  value={Object.values(seen.servers).reduce((a, b) => a + b, 0)}
                  to="/admin/servers"
                >
                  <Strip servers={seen.servers} />
                  {Object.entries(seen.servers).map(([status, servers]) => (
                    <State key={status} tone={serverTone(status)}>
                      {t(`admin:servers.status.${status}` as never)} {servers}
                    </State>
                  ))}
                </Figure>
                <Figure
                  title={t("admin:overview.relays")}
                  value={t("admin:overview.relaysReady", { ready, wanted: total })}
                  to="/admin/containers"
                  {...(differing ? { search: { is_differing: "true" } } : {})}
                >
                  <State tone={differing ? "warn" : "good"}>
                    {differing
                      ? t("admin:overview.differing", { count: differing })
                      : t("admin:overview.inStep")}
                  </State>
                </Figure>
                <Figure
                  title={t("admin:overview.users")}
                  value={seen.users.user ?? 0}
                  to="/admin/users"
                >
                  <span className="muted small">
                    {t("admin:overview.usersHint", {
                      distributors: seen.users.distributor ?? 0,
                      staff: (seen.users.admin ?? 0) + (seen.users.super_admin ?? 0),
                      suspended: seen.suspended,
                    })}
                  </span>
                </Figure>
                <Figure
                  title={t("admin:overview.rate")}
                  value={rate(seen.rate_bytes_per_second)}
                  to="/admin/traffic"
                >
                  <span className="muted small">
                    {t("admin:overview.month", {
                      month: bytes(seen.month_traffic_bytes),
                      total: bytes(seen.traffic_bytes),
                    })}
                  </span>
                </Figure>
                <Figure
                  title={t("admin:overview.usedUp")}
                  value={seen.customers_used_up}
                  to="/admin/traffic"
                />
                <Figure
                  title={t("admin:overview.mails")}
                  value={seen.mails_waiting + seen.mails_refused}
                  to="/admin/mails"
                >
                  <span className="muted small">
                    {t("admin:overview.mailsHint", {
                      waiting: seen.mails_waiting,
                      refused: seen.mails_refused,
                    })}
                  </span>
                </Figure>
              </div>
              <Card
                title={t("admin:overview.alerts")}
                extra={<Link to="/admin/alerts">{t("admin:overview.alertsAll")}</Link>}
              >
                {seen.newest_alerts.length === 0 ? (
                  <State tone="good">{t("admin:overview.alertsNone")}</State>
                ) : (
                  <ul className="list">
                    {seen.newest_alerts.map((one) => (
                      <li key={one.id} className="row between">
                        <State tone={severityTone(one.severity)}>
                          {t(`admin:alerts.severity.${one.severity}`)}
                        </State>
                        <span style={{ flex: "1 1 240px" }}>
                          {i18n.language === "zh-CN" ? one.message_zh || one.message : one.message}
                        </span>
                        <span className="muted small">{relative(one.last_at, i18n.language)}</span>
                      </li>
                    ))}
                  </ul>
                )}
              </Card>
              <Card title={t("admin:overview.regions")}>
                <Table
                  rowKey="region"
                  size="small"
                  pagination={{ pageSize: 20, hideOnSinglePage: true, showSizeChanger: false }}
                  dataSource={troubledFirst(seen.regions)}
                  locale={{
                    emptyText: (
                      <Blank
                        title={t("admin:overview.noServers")}
                        hint={t("admin:overview.noServersHint")}
                      >
                        <Link to="/admin/servers">{t("admin:servers.add")}</Link>
                      </Blank>
                    ),
                  }}
                  columns={[
                    {
                      key: "region",
                      title: t("field.region"),
                      render: (_, one) => (
                        <Link to="/admin/servers" search={{ region: one.region }}>
                          {one.region}
                        </Link>
                      ),
                    },
                    {
                      key: "healthy",
                      title: t("admin:overview.healthy"),
                      render: (_, one) => (
                        <State tone={one.healthy === one.servers ? "good" : "warn"}>
                          {one.healthy} / {one.servers}
                        </State>
                      ),
                    },
                    {
                      key: "users",
                      title: t("admin:servers.users"),
                      align: "right",
                      dataIndex: "users",
                    },
                    {
                      key: "capacity",
                      title: t("admin:overview.capacity"),
                      align: "right",
                      dataIndex: "capacity",
                    },
                    {
                      key: "load",
                      title: t("admin:overview.load"),
                      align: "right",
                      dataIndex: "load",
                    },
                  ]}
                />
              </Card>
            </>
          );
        }}
      </Loaded>
    </Page>
  );
}

/** One strip for all servers, in the colours of their states; the words stand below it. */
function Strip({ servers }: { servers: Record<string, number> }) {
  return (
    <div className="strip" aria-hidden="true">
      {Object.entries(servers).map(([status, count]) => (
        <span key={status} className={serverTone(status)} style={{ flexGrow: count }} />
      ))}
    </div>
  );
}

/** Regions that lack a server come first, else their order stays. */
function troubledFirst(regions: RegionOut[]): RegionOut[] {
  return regions.toSorted(
    (one, other) => Number(one.healthy === one.servers) - Number(other.healthy === other.servers),
  );
}
