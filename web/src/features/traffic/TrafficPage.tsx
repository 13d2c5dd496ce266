import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Button, Table } from "antd";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { bytes, moment, rate } from "@/shared/format/format";
import { useAct, useAsk } from "@/shared/ui/act";
import { Loaded } from "@/shared/ui/Loaded";
import { Blank, Card, Page } from "@/shared/ui/Page";
import { queryOf, SizeChart, SpanSelect, spanOf } from "@/shared/ui/Series";

/** What all servers sent, and counts that somebody has to decide on. */
export function TrafficPage() {
  const { t } = useTranslation(["app", "admin"]);
  const search = useSearch({ strict: false }) as Record<string, string | undefined>;
  const navigate = useNavigate();
  const span = spanOf(search.span);
  const asked = queryOf(span);
  const query = useQuery({
    queryKey: ["trafficOverview", asked],
    queryFn: async () =>
      (await unwrap(api.GET("/api/traffic/overview", { params: { query: asked } }))).overview,
    refetchInterval: 30_000,
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
    <Page
      title={t("admin:traffic.title")}
      extra={
        <SpanSelect
          span={span}
          choose={(one) => navigate({ to: ".", search: { span: one } as never, replace: true })}
        />
      }
    >
      <Loaded query={query}>
        {(seen) => (
          <>
            <div className="figures">
              {(
                [
                  [t("admin:traffic.rate"), rate(seen.rate_bytes_per_second)],
                  [t("admin:traffic.month"), bytes(seen.month_traffic_bytes)],
                  [t("admin:traffic.total"), bytes(seen.traffic_bytes)],
                  [t("admin:traffic.usedUp"), seen.customers_used_up],
                  [t("admin:traffic.near"), seen.servers_near_allowance],
                  [t("admin:traffic.halted"), seen.servers_halted],
                ] as const
              ).map(([title, value]) => (
                <section className="card" key={title}>
                  <div className="muted">{title}</div>
                  <div className="figure-value">{value}</div>
                </section>
              ))}
            </div>
            <Card title={t("usage.sent")}>
              {rows.some((one) => one.values.some(Boolean)) ? (
                <SizeChart rows={rows} names={names} span={span} />
              ) : (
                <Blank title={t("usage.none")} />
              )}
            </Card>
          </>
        )}
      </Loaded>
      <Quarantine />
    </Page>
  );
}

function Quarantine() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const ask = useAsk();
  const query = useQuery({
    queryKey: ["quarantine"],
    queryFn: async () =>
      (await unwrap(api.GET("/api/traffic/quarantine", { params: { query: { limit: 100 } } })))
        .quarantine,
  });
  const decide = useAct({
    call: ({ id, is_billed }: { id: number; is_billed: boolean }) =>
      unwrap(
        api.POST("/api/traffic/quarantine/{quarantine_id}", {
          params: { path: { quarantine_id: id } },
          body: { is_billed },
        }),
      ),
    changes: [["quarantine"]],
    done: t("admin:traffic.decided"),
  });
  return (
    <Card title={t("admin:traffic.quarantine")} hint={t("admin:traffic.quarantineHint")}>
      <Loaded query={query}>
        {(held) => (
          <Table
            rowKey="id"
            size="small"
            pagination={false}
            dataSource={held}
            locale={{ emptyText: <Blank title={t("admin:traffic.quarantineNone")} /> }}
            columns={[
              {
                key: "time",
                title: t("field.time"),
                render: (_, one) => moment(one.created_at, i18n.language),
              },
              {
                key: "user",
                title: t("admin:containers.user"),
                render: (_, one) => (
                  <Link to="/admin/users/$userId" params={{ userId: String(one.user_id) }}>
                    #{one.user_id}
                  </Link>
                ),
              },
              {
                key: "server",
                title: t("admin:containers.server"),
                render: (_, one) => (
                  <Link to="/admin/servers/$serverId" params={{ serverId: String(one.server_id) }}>
                    #{one.server_id}
                  </Link>
                ),
              },
              {
                key: "relay",
                title: t("admin:traffic.relay"),
                render: (_, one) => `#${one.placement_id}`,
              },
              {
                key: "bytes",
                title: t("admin:traffic.bytes"),
                align: "right",
                render: (_, one) => bytes(one.sent_bytes),
              },
              {
                key: "seconds",
                title: t("admin:traffic.seconds"),
                align: "right",
                render: (_, one) => one.seconds.toFixed(1),
              },
              {
                key: "verdict",
                title: t("field.state"),
                render: (_, one) => t(`admin:traffic.verdict.${one.verdict}`),
              },
              {
                key: "actions",
                title: "",
                align: "right",
                render: (_, one) =>
                  one.verdict === "open" && (
                    <div className="row end">
                      <Button
                        onClick={() =>
                          ask({
                            title: t("admin:traffic.billTitle"),
                            text: t("admin:traffic.billText", { user: one.user_id }),
                            button: t("admin:traffic.bill"),
                            do: () => decide.mutateAsync({ id: one.id, is_billed: true }),
                          })
                        }
                      >
                        {t("admin:traffic.bill")}
                      </Button>
                      <Button
                        onClick={() =>
                          ask({
                            title: t("admin:traffic.dismissTitle"),
                            text: t("admin:traffic.dismissText"),
                            button: t("admin:traffic.dismiss"),
                            do: () => decide.mutateAsync({ id: one.id, is_billed: false }),
                          })
                        }
                      >
                        {t("admin:traffic.dismiss")}
                      </Button>
                    </div>
                  ),
              },
            ]}
          />
        )}
      </Loaded>
    </Card>
  );
}
