import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Alert, Table } from "antd";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { ServerOut } from "@/api/schema";
import { bytes, moment, rate } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { Loaded } from "@/shared/ui/Loaded";
import { Blank, Card, Facts, Page, State } from "@/shared/ui/Page";
import { queryOf, SizeChart, SpanSelect, spanOf } from "@/shared/ui/Series";
import { serverTone } from "@/shared/ui/tones";
import { Job } from "./Job";
import { ServerActions } from "./ServerActions";
import { ServerLog } from "./ServerLog";
import { Month } from "./ServersPage";
import { Trends } from "./Trends";

/** One server: what it is, what is done on it, what it carries. */
export function ServerPage() {
  const { t } = useTranslation(["app", "admin"]);
  const { serverId } = useParams({ strict: false }) as { serverId: string };
  const id = Number(serverId);
  const client = useQueryClient();
  const key = ["servers", "one", id];
  const query = useQuery({
    queryKey: key,
    queryFn: () =>
      unwrap(api.GET("/api/server/{server_id}", { params: { path: { server_id: id } } })),
    refetchInterval: 10_000,
  });
  const server = query.data?.server;
  return (
    <Page
      title={
        <span className="row">
          <Link to="/admin/servers">{t("admin:servers.title")}</Link> /{" "}
          <span className="mono">{server?.ip ?? id}</span>
        </span>
      }
      name={server?.ip ?? t("admin:servers.title")}
      extra={server && <ServerActions server={server} />}
    >
      <Loaded query={query}>
        {(found) => (
          <>
            {found.server.error_message && (
              <Alert
                type="error"
                showIcon
                title={found.server.error_message}
                description={found.server.error}
              />
            )}
            <About server={found.server} />
            {found.job && (
              <Job
                key={found.job.id}
                job={found.job}
                ended={() => client.invalidateQueries({ queryKey: key })}
              />
            )}
            <Trends id={id} />
            <Traffic id={id} />
            <ServerLog id={id} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function About({ server }: { server: ServerOut }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  return (
    <div className="tiles">
      <Card>
        <Facts
          rows={[
            [
              t("field.state"),
              <State key="s" tone={serverTone(server.status)}>
                {word(t as never, "admin:servers.status", server.status)}
              </State>,
            ],
            [
              t("admin:containers.match"),
              <State key="m" tone={server.is_in_step ? "good" : "busy"}>
                {server.is_in_step ? t("admin:servers.inStep") : t("admin:servers.notInStep")}
              </State>,
            ],
            [t("field.region"), server.region],
            [
              t("admin:servers.users"),
              <Link key="u" to="/admin/containers" search={{ server_id: String(server.id) }}>
                {t("admin:servers.usersOf", { users: server.users, capacity: server.capacity })}
              </Link>,
            ],
            [t("admin:servers.rate"), rate(server.rate_bytes_per_second)],
            [t("admin:servers.month"), <Month key="a" server={server} />],
            [t("admin:servers.remaining"), bytes(server.month_remaining_bytes)],
            [t("admin:servers.traffic"), bytes(server.traffic_bytes)],
            ...(server.draining_at
              ? [
                  [t("admin:servers.draining"), moment(server.draining_at, i18n.language)] as [
                    string,
                    string,
                  ],
                ]
              : []),
            ...(server.halted_at
              ? [
                  [t("admin:servers.halted"), moment(server.halted_at, i18n.language)] as [
                    string,
                    string,
                  ],
                ]
              : []),
          ]}
        />
      </Card>
      <Card>
        <Facts
          rows={[
            [
              t("admin:servers.publicIp"),
              <span key="p" className="mono">
                {server.public_ip}
              </span>,
            ],
            [t("admin:servers.phone"), server.account_phone ?? "—"],
            [t("admin:servers.place"), server.registered_place ?? "—"],
            [t("admin:servers.ports"), `${server.port_from}–${server.port_to}`],
            [t("admin:servers.memory"), bytes(server.memory_bytes)],
            [
              t("admin:servers.margin"),
              server.margin_percent
                ? `${server.margin_percent}% · ${word(t as never, "admin:servers.at", server.at_margin)}`
                : "—",
            ],
            [t("admin:servers.billingDay"), server.billing_day],
            [
              t("admin:servers.node"),
              [server.node_version, server.runtime, server.relay_label]
                .filter(Boolean)
                .join(" · ") || "—",
            ],
            [t("admin:servers.contact"), moment(server.contact_at, i18n.language)],
            [
              t("admin:servers.hostKey"),
              <span key="k" className="mono">
                {server.host_key_fingerprint ?? "—"}
              </span>,
            ],
          ]}
        />
      </Card>
    </div>
  );
}

function Traffic({ id }: { id: number }) {
  const { t } = useTranslation(["app", "admin"]);
  const search = useSearch({ strict: false }) as Record<string, string | undefined>;
  const navigate = useNavigate();
  const span = spanOf(search.span);
  const asked = queryOf(span);
  const query = useQuery({
    queryKey: ["servers", "traffic", id, asked],
    queryFn: async () =>
      (
        await unwrap(
          api.GET("/api/traffic/server/{server_id}", {
            params: { path: { server_id: id }, query: asked },
          }),
        )
      ).traffic,
  });
  const names = useMemo(() => [t("admin:servers.relays"), t("admin:servers.nic")], [t]);
  const rows = useMemo(
    () =>
      query.data?.series.map((one) => ({
        begins_at: one.begins_at,
        values: [one.relay_bytes, one.nic_bytes],
      })) ?? [],
    [query.data],
  );
  return (
    <Card
      title={t("admin:servers.trafficChart")}
      extra={
        <SpanSelect
          span={span}
          choose={(one) =>
            navigate({ to: ".", search: { ...search, span: one } as never, replace: true })
          }
        />
      }
    >
      <Loaded query={query}>
        {(traffic) => (
          <div className="stack">
            {rows.some((one) => one.values.some(Boolean)) ? (
              <SizeChart rows={rows} names={names} span={span} />
            ) : (
              <Blank title={t("usage.none")} />
            )}
            {traffic.top_users.length > 0 && (
              <Table
                rowKey="user_id"
                size="small"
                pagination={false}
                title={() => t("admin:servers.topUsers")}
                dataSource={traffic.top_users}
                columns={[
                  {
                    key: "user",
                    title: t("field.username"),
                    render: (_, one) => (
                      <Link to="/admin/users/$userId" params={{ userId: String(one.user_id) }}>
                        {one.username || one.user_id}
                      </Link>
                    ),
                  },
                  {
                    key: "sent",
                    title: t("usage.sent"),
                    align: "right",
                    render: (_, one) => bytes(one.sent_bytes),
                  },
                ]}
              />
            )}
          </div>
        )}
      </Loaded>
    </Card>
  );
}
