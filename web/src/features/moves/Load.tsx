import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Table } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { bytes, day, rate } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { Loaded } from "@/shared/ui/Loaded";
import { Blank, State } from "@/shared/ui/Page";
import { serverTone } from "@/shared/ui/tones";

/** How servers and regions are loaded at this moment, and what to do about it. */
export function Load() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const isChinese = i18n.language === "zh-CN";
  const query = useQuery({
    queryKey: ["load"],
    queryFn: () => unwrap(api.GET("/api/monitoring/load_analysis")),
    refetchInterval: 10_000,
  });
  return (
    <Loaded query={query}>
      {(found) => (
        <div className="stack">
          <Table
            rowKey="server_id"
            size="small"
            pagination={false}
            dataSource={found.load_analysis}
            locale={{ emptyText: <Blank title={t("admin:load.none")} /> }}
            columns={[
              {
                key: "ip",
                title: t("admin:load.server"),
                render: (_, one) => (
                  <Link
                    to="/admin/servers/$serverId"
                    params={{ serverId: String(one.server_id) }}
                    className="mono"
                  >
                    {one.ip}
                  </Link>
                ),
              },
              { key: "region", title: t("admin:load.region"), render: (_, one) => one.region },
              {
                key: "status",
                title: t("field.state"),
                render: (_, one) => (
                  <State tone={serverTone(one.status)}>
                    {word(t as never, "admin:servers.status", one.status)}
                  </State>
                ),
              },
              {
                key: "used",
                title: t("admin:load.used"),
                align: "right",
                render: (_, one) => `${one.users} / ${one.capacity} (${one.used_percent} %)`,
              },
              {
                key: "growth",
                title: t("admin:load.growth"),
                align: "right",
                render: (_, one) => one.growth_per_day.toFixed(1),
              },
              {
                key: "full",
                title: t("admin:load.fullAt"),
                render: (_, one) => (one.full_at ? day(one.full_at, i18n.language) : "—"),
              },
              {
                key: "relays",
                title: t("admin:load.relays"),
                align: "right",
                render: (_, one) => one.relays_running,
              },
              {
                key: "load",
                title: t("admin:load.load"),
                align: "right",
                render: (_, one) => one.load.toFixed(2),
              },
              {
                key: "rate",
                title: t("admin:load.rate"),
                align: "right",
                render: (_, one) => rate(one.rate_bytes_per_second),
              },
              {
                key: "allowance",
                title: t("admin:load.allowance"),
                align: "right",
                render: (_, one) =>
                  one.allowance_percent === null
                    ? bytes(one.month_traffic_bytes)
                    : `${bytes(one.month_traffic_bytes)} (${one.allowance_percent} %)`,
              },
              {
                key: "allowanceEnds",
                title: t("admin:load.allowanceEnds"),
                render: (_, one) =>
                  one.allowance_ends_at ? day(one.allowance_ends_at, i18n.language) : "—",
              },
              {
                key: "latency",
                title: t("admin:load.latency"),
                align: "right",
                render: (_, one) =>
                  one.latency_ms === null ? "—" : `${one.latency_ms.toFixed(1)} ms`,
              },
              {
                key: "advice",
                title: t("admin:load.advice"),
                render: (_, one) => (isChinese ? one.advice_text_zh : one.advice_text),
              },
            ]}
          />
          <Table
            rowKey="region"
            size="small"
            pagination={false}
            dataSource={found.regions}
            locale={{ emptyText: <Blank title={t("admin:load.none")} /> }}
            columns={[
              { key: "region", title: t("admin:load.region"), render: (_, one) => one.region },
              {
                key: "healthy",
                title: t("admin:load.healthy"),
                align: "right",
                render: (_, one) => `${one.healthy} / ${one.servers}`,
              },
              {
                key: "used",
                title: t("admin:load.used"),
                align: "right",
                render: (_, one) => `${one.users} / ${one.capacity} (${one.used_percent} %)`,
              },
              {
                key: "growth",
                title: t("admin:load.growth"),
                align: "right",
                render: (_, one) => one.growth_per_day.toFixed(1),
              },
              {
                key: "full",
                title: t("admin:load.fullAt"),
                render: (_, one) => (one.full_at ? day(one.full_at, i18n.language) : "—"),
              },
              {
                key: "rate",
                title: t("admin:load.rate"),
                align: "right",
                render: (_, one) => rate(one.rate_bytes_per_second),
              },
              {
                key: "advice",
                title: t("admin:load.advice"),
                render: (_, one) => (isChinese ? one.advice_text_zh : one.advice_text),
              },
            ]}
          />
        </div>
      )}
    </Loaded>
  );
}
