import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Button, Table } from "antd";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { TrafficPart } from "@/api/schema";
import { bytes, moment, rate } from "@/shared/format/format";
import { Loaded } from "@/shared/ui/Loaded";
import { Blank, Card, Page, State } from "@/shared/ui/Page";
import { queryOf, SizeChart, type Span, SpanSelect, spanOf } from "@/shared/ui/Series";

/** What the customer's relays sent: over time, by relay, by period. */
export function UsagePage() {
  const { t } = useTranslation();
  const search = useSearch({ strict: false }) as Record<string, string | undefined>;
  const navigate = useNavigate();
  const span = spanOf(search.span);
  const asked = queryOf(span);
  const query = useQuery({
    queryKey: ["traffic", asked.step, asked.span],
    queryFn: async () =>
      (await unwrap(api.GET("/api/traffic/mine", { params: { query: asked } }))).traffic,
    placeholderData: keepPreviousData,
    staleTime: 60_000,
  });
  return (
    <Page
      title={t("usage.title")}
      intro={t("usage.intro")}
      extra={
        <>
          <SpanSelect
            span={span}
            choose={(one) => navigate({ to: "/usage", search: { span: one }, replace: true })}
          />
          <Button href={`/api/traffic/mine/csv?step=${asked.step}&span=${asked.span}`} download>
            {t("action.csv")}
          </Button>
        </>
      }
    >
      <Loaded query={query}>{(traffic) => <TrafficFigures traffic={traffic} span={span} />}</Loaded>
    </Page>
  );
}

function TrafficFigures({ traffic, span }: { traffic: TrafficPart; span: Span }) {
  const { t, i18n } = useTranslation();
  const rows = useMemo(
    () => traffic.series.map((one) => ({ begins_at: one.begins_at, values: [one.sent_bytes] })),
    [traffic.series],
  );
  const names = useMemo(() => [t("usage.sent")], [t]);
  const total = traffic.series.reduce((sum, one) => sum + one.sent_bytes, 0);
  return (
    <>
      <Card
        title={t("usage.sent")}
        extra={<span className="muted">{t("usage.total", { total: bytes(total) })}</span>}
      >
        {total === 0 ? (
          <Blank title={t("usage.none")} />
        ) : (
          <SizeChart rows={rows} names={names} span={span} />
        )}
      </Card>
      {traffic.relays.length > 0 && (
        <Card title={t("usage.byRelay")}>
          <Table
            rowKey="container_id"
            pagination={false}
            dataSource={traffic.relays}
            columns={[
              {
                key: "slot",
                title: t("home.relays"),
                render: (_, one) => t("home.slot", { slot: one.slot }),
              },
              { key: "region", title: t("field.region"), dataIndex: "region" },
              {
                key: "sent",
                title: t("usage.sent"),
                align: "right",
                render: (_, one) => bytes(one.sent_bytes),
              },
              {
                key: "rate",
                title: t("home.rate"),
                align: "right",
                render: (_, one) => rate(one.rate_bytes_per_second),
              },
            ]}
          />
        </Card>
      )}
      <Card title={t("usage.periods")}>
        <Table
          rowKey="id"
          pagination={false}
          dataSource={traffic.history}
          locale={{ emptyText: <Blank title={t("table.emptyAll")} /> }}
          columns={[
            { key: "n", title: t("usage.period"), render: (_, one) => one.number },
            {
              key: "status",
              title: t("field.state"),
              render: (_, one) => (
                <State tone={one.status === "open" ? "good" : "off"}>
                  {t(`usage.status.${one.status}`)}
                </State>
              ),
            },
            {
              key: "time",
              title: t("field.time"),
              render: (_, one) =>
                `${moment(one.starts_at, i18n.language)} – ${moment(one.ends_at, i18n.language)}`,
            },
            {
              key: "used",
              title: t("usage.used"),
              align: "right",
              render: (_, one) => bytes(one.used_bytes),
            },
            {
              key: "limit",
              title: t("usage.limit"),
              align: "right",
              render: (_, one) => bytes(one.limit_bytes),
            },
            {
              key: "granted",
              title: t("usage.granted"),
              align: "right",
              render: (_, one) => (one.granted_bytes ? bytes(one.granted_bytes) : "—"),
            },
          ]}
        />
      </Card>
      {traffic.gaps.length > 0 && (
        <Card title={t("usage.gaps")} hint={t("usage.gapsHint")}>
          <ul className="list">
            {traffic.gaps.map((gap) => (
              <li key={`${gap.container_id} ${gap.ended_at}`}>
                {moment(gap.started_at, i18n.language)} – {moment(gap.ended_at, i18n.language)} ·{" "}
                {bytes(gap.sent_bytes)}
              </li>
            ))}
          </ul>
        </Card>
      )}
    </>
  );
}
