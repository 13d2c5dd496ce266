import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { Table } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { ContainersOut, HistoryOut, UserOut } from "@/api/schema";
import { useRights } from "@/shared/auth/rights";
import { bytes, moment, rate, relative, shortKey } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { Loaded } from "@/shared/ui/Loaded";
import { Blank, Card, Facts, Page, State } from "@/shared/ui/Page";
import { Rentals } from "@/shared/ui/Rentals";
import { relayTone } from "@/shared/ui/relays";
import { userTone } from "@/shared/ui/tones";
import { Money } from "./Money";
import { adminsQuery } from "./queries";
import { UserActions } from "./UserActions";

/** One user's whole story on a page. */
export function UserPage() {
  const { t } = useTranslation(["app", "admin"]);
  const { userId } = useParams({ strict: false }) as { userId: string };
  const id = Number(userId);
  const query = useQuery({
    queryKey: ["users", "one", id],
    queryFn: async () =>
      (await unwrap(api.GET("/api/user/{user_id}", { params: { path: { user_id: id } } }))).user,
  });
  return (
    <Page
      title={
        <span className="row">
          <Link to="/admin/users">{t("admin:users.title")}</Link> / {query.data?.username ?? id}
        </span>
      }
      name={query.data?.username ?? t("admin:users.title")}
      extra={query.data && <UserActions user={query.data} />}
    >
      <Loaded query={query}>{(user) => <Story user={user} />}</Loaded>
    </Page>
  );
}

function Story({ user }: { user: UserOut }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const { may, mayAll } = useRights();
  return (
    <>
      <div className="tiles">
        <Card>
          <Facts
            rows={[
              [t("admin:users.id"), user.id],
              [t("field.email"), user.email],
              [t("admin:users.role"), word(t as never, "role", user.role)],
              [
                t("field.state"),
                <State key="s" tone={userTone(user.status)}>
                  {word(t as never, "userStatus", user.status)}
                  {user.status_reason ? ` · ${user.status_reason}` : ""}
                </State>,
              ],
              [t("admin:users.expiry"), moment(user.rental_expiry, i18n.language)],
              ...(user.no_renewal_at
                ? [
                    [t("admin:users.noRenewalSince"), user.no_renewal_reason ?? "—"] as [
                      string,
                      string,
                    ],
                  ]
                : []),
              ...(user.deregister_at
                ? [
                    [t("admin:users.deregisters"), moment(user.deregister_at, i18n.language)] as [
                      string,
                      string,
                    ],
                  ]
                : []),
              ...(user.manager_id
                ? [
                    [t("admin:users.manager"), <Manager key="m" id={user.manager_id} />] as [
                      string,
                      ReactNode,
                    ],
                  ]
                : []),
              [t("admin:users.created"), moment(user.created_at, i18n.language)],
              [t("account.language"), user.locale],
            ]}
          />
          <p className="row" style={{ marginBottom: 0 }}>
            {mayAll("serials.read") && (
              <Link to="/admin/serials" search={{ user_id: String(user.id) }}>
                {t("admin:users.serials")}
              </Link>
            )}
            {mayAll("acl.read") && (
              <Link to="/admin/acl" search={{ user_id: String(user.id) }}>
                {t("nav.aclLogs")}
              </Link>
            )}
            {mayAll("logs.read") && (
              <Link to="/admin/logs" search={{ tab: "user", user_id: String(user.id) }}>
                {t("admin:users.userLog")}
              </Link>
            )}
            {mayAll("notifications.read") && (
              <Link to="/admin/mails" search={{ user_id: String(user.id) }}>
                {t("nav.mails")}
              </Link>
            )}
          </p>
        </Card>
        {may("traffic.read") && <Traffic userId={user.id} />}
      </div>
      {mayAll("containers.read") && <Relays userId={user.id} />}
      {may("security.read") && <Devices userId={user.id} />}
      {may("users.read") && <Rentals userId={user.id} />}
      {may("finance.read") && <Money userId={user.id} />}
      {mayAll("logs.read") && <History userId={user.id} />}
    </>
  );
}

/** The admin who looks after a user. */
function Manager({ id }: { id: number }) {
  const admins = useQuery({ ...adminsQuery, enabled: useRights().mayAll("users.read") });
  return <>{admins.data?.find((one) => one.id === id)?.username ?? `#${id}`}</>;
}

function Traffic({ userId }: { userId: number }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const query = useQuery({
    queryKey: ["users", "traffic", userId],
    queryFn: async () =>
      (
        await unwrap(
          api.GET("/api/traffic/user/{user_id}", {
            params: { path: { user_id: userId }, query: { step: "day", span: 30 } },
          }),
        )
      ).traffic,
  });
  return (
    <Card title={t("admin:users.period")}>
      <Loaded query={query}>
        {(traffic) =>
          traffic.period ? (
            <Facts
              rows={[
                [
                  t("usage.used"),
                  `${bytes(traffic.period.used_bytes)} / ${bytes(traffic.period.limit_bytes)}`,
                ],
                [t("home.quota"), bytes(traffic.period.left_bytes)],
                [t("home.rate"), rate(traffic.rate_bytes_per_second)],
                [
                  t("field.time"),
                  `${moment(traffic.period.starts_at, i18n.language)} – ${moment(traffic.period.ends_at, i18n.language)}`,
                ],
                [t("usage.granted"), bytes(traffic.period.granted_bytes)],
              ]}
            />
          ) : (
            <p className="muted">{t("admin:users.noRental")}</p>
          )
        }
      </Loaded>
    </Card>
  );
}

function Relays({ userId }: { userId: number }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const query = useQuery({
    queryKey: ["containers", "user", userId],
    queryFn: async () =>
      (
        await unwrapList<ContainersOut>(
          api.GET("/api/container/list", { params: { query: { user_id: userId, limit: 20 } } }),
        )
      ).containers,
    refetchInterval: 10_000,
  });
  return (
    <Card
      title={t("admin:users.containers")}
      extra={
        <Link to="/admin/containers" search={{ user_id: String(userId) }}>
          {t("action.more")}
        </Link>
      }
    >
      <Table
        rowKey="container_id"
        size="small"
        pagination={false}
        loading={query.isPending}
        dataSource={query.data ?? []}
        locale={{ emptyText: <Blank title={t("admin:users.noRental")} /> }}
        columns={[
          {
            key: "slot",
            title: t("admin:containers.slot"),
            render: (_, one) => `${one.slot} · g${one.generation}`,
          },
          {
            key: "server",
            title: t("admin:containers.server"),
            render: (_, one) => (
              <Link to="/admin/servers/$serverId" params={{ serverId: String(one.server_id) }}>
                {one.region} #{one.server_id}
              </Link>
            ),
          },
          {
            key: "at",
            title: t("field.address"),
            render: (_, one) => <span className="mono">{`${one.address}:${one.port}`}</span>,
          },
          {
            key: "wanted",
            title: t("admin:containers.wanted"),
            render: (_, one) => t(`wanted.${one.wanted}`),
          },
          {
            key: "observed",
            title: t("admin:containers.observed"),
            render: (_, one) => (
              <State tone={relayTone(one.observed)}>{t(`observed.${one.observed}`)}</State>
            ),
          },
          {
            key: "created",
            title: t("admin:containers.created"),
            render: (_, one) => moment(one.created_at, i18n.language),
          },
          {
            key: "released",
            title: t("admin:containers.released"),
            render: (_, one) => moment(one.released_at, i18n.language),
          },
        ]}
      />
    </Card>
  );
}

function Devices({ userId }: { userId: number }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const query = useQuery({
    queryKey: ["users", "devices", userId],
    queryFn: async () =>
      (
        await unwrap(
          api.GET("/api/security/users/{user_id}/devices", {
            params: { path: { user_id: userId } },
          }),
        )
      ).devices,
  });
  return (
    <Card title={t("admin:users.devices")}>
      <Table
        rowKey="id"
        size="small"
        pagination={false}
        loading={query.isPending}
        dataSource={query.data ?? []}
        locale={{ emptyText: <Blank title={t("admin:users.noDevices")} /> }}
        columns={[
          { key: "name", title: t("devices.name"), dataIndex: "name" },
          {
            key: "key",
            title: t("devices.nodeKey"),
            render: (_, one) => (
              <span className="mono" title={one.node_key}>
                {shortKey(one.node_key)}
              </span>
            ),
          },
          {
            key: "how",
            title: t("devices.how"),
            render: (_, one) => word(t as never, "devices.source", one.source),
          },
          {
            key: "seen",
            title: t("devices.lastSeen"),
            render: (_, one) =>
              one.connections?.length ? (
                <State tone="good">{t("devices.online")}</State>
              ) : (
                <State tone="off">
                  {one.last_seen_at
                    ? relative(one.last_seen_at, i18n.language)
                    : t("devices.never")}
                </State>
              ),
          },
          {
            key: "since",
            title: t("devices.since"),
            render: (_, one) => moment(one.created_at, i18n.language),
          },
        ]}
      />
    </Card>
  );
}

function History({ userId }: { userId: number }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const query = useQuery({
    queryKey: ["logs", "history", userId],
    queryFn: async () =>
      (
        await unwrapList<HistoryOut>(
          api.GET("/api/logs/history", { params: { query: { user_id: userId, limit: 50 } } }),
        )
      ).logs,
  });
  return (
    <Card
      title={t("admin:users.history")}
      extra={
        <Link to="/admin/logs" search={{ tab: "history", user_id: String(userId) }}>
          {t("action.more")}
        </Link>
      }
    >
      <Table
        rowKey="id"
        size="small"
        pagination={false}
        loading={query.isPending}
        dataSource={query.data ?? []}
        locale={{ emptyText: <Blank title={t("table.emptyAll")} /> }}
        columns={[
          {
            key: "time",
            title: t("field.time"),
            render: (_, one) => moment(one.created_at, i18n.language),
          },
          { key: "kind", title: t("admin:logs.kind"), dataIndex: "kind" },
          {
            key: "rental",
            title: t("admin:logs.rentalId"),
            render: (_, one) => one.rental_id ?? "—",
          },
          {
            key: "detail",
            title: t("admin:logs.detail"),
            render: (_, one) => <Detail value={one.detail} />,
          },
        ]}
      />
    </Card>
  );
}

function Detail({ value }: { value: unknown }) {
  if (!value) return <span className="muted">—</span>;
  return <span className="mono small">{JSON.stringify(value)}</span>;
}
