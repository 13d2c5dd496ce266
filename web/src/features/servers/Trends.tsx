import { useQuery } from "@tanstack/react-query";
import { Segmented, Select } from "antd";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { rate } from "@/shared/format/format";
import { Loaded } from "@/shared/ui/Loaded";
import { Blank, Card } from "@/shared/ui/Page";
import { TimedChart } from "@/shared/ui/Series";

const percent = (value: number) => `${Math.round(value * 100)}%`;
const number = (value: number) => String(Math.round(value * 100) / 100);
const CHARTS = {
  cpu: { metrics: ["host.cpu"], format: percent },
  load: { metrics: ["host.load"], format: number },
  memory: { metrics: ["host.memory"], format: percent },
  disk: { metrics: ["host.disk"], format: percent },
  network: { metrics: ["net.sent", "net.received"], format: rate },
  relays: { metrics: ["relays.rate"], format: rate },
  users: { metrics: ["users"], format: number },
  latency: {
    metrics: ["latency.panel.node", "latency.panel.tls"],
    format: (value: number) => `${number(value)} ms`,
  },
} as const;
type Name = keyof typeof CHARTS;
const SPANS = {
  day: { step: "five_minutes", hours: 24 },
  fortnight: { step: "hour", hours: 24 * 14 },
  quarter: { step: "day", hours: 24 * 90 },
  year: { step: "month", hours: 24 * 400 },
} as const;
type Span = keyof typeof SPANS;
type Trend = { metric: string; points: { at: string; mean: number }[] };

/** What a server was like: one metric over a day, weeks, months or a year. */
export function Trends({ id }: { id: number }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const [name, setName] = useState<Name>("cpu");
  const [span, setSpan] = useState<Span>("day");
  const chart = CHARTS[name];
  const query = useQuery({
    queryKey: ["servers", "trend", id, name, span],
    queryFn: async () =>
      (
        await unwrap(
          api.GET("/api/monitoring/trend", {
            params: { query: { server_id: id, metric: [...chart.metrics], ...SPANS[span] } },
          }),
        )
      ).trends,
    refetchInterval: span === "day" ? 60_000 : false,
  });
  const drawn = useMemo(
    () =>
      lined(query.data ?? [], i18n.language, span, (one) =>
        t(`admin:trends.metric.${word(one)}` as never),
      ),
    [query.data, i18n.language, span, t],
  );
  return (
    <Card
      title={t("admin:trends.title")}
      extra={
        <span className="row">
          <Select<Name>
            value={name}
            onChange={setName}
            aria-label={t("admin:trends.what")}
            style={{ minWidth: 140 }}
            options={(Object.keys(CHARTS) as Name[]).map((value) => ({
              value,
              label: t(`admin:trends.chart.${value}`),
            }))}
          />
          <Segmented<Span>
            value={span}
            onChange={setSpan}
            aria-label={t("admin:trends.span.label")}
            options={(Object.keys(SPANS) as Span[]).map((value) => ({
              value,
              label: t(`admin:trends.span.${value}`),
            }))}
          />
        </span>
      }
    >
      <Loaded query={query}>
        {() =>
          drawn.times.length ? (
            <TimedChart
              lines
              times={drawn.times}
              series={drawn.series}
              format={chart.format}
              label={t(`admin:trends.chart.${name}`)}
            />
          ) : (
            <Blank title={t("admin:trends.none")} />
          )
        }
      </Loaded>
    </Card>
  );
}

const word = (metric: string) => metric.replaceAll(".", "_");

/** Puts points of several metrics on one axis of time; where one is missing the line breaks. */
function lined(trends: Trend[], language: string, span: Span, nameOf: (metric: string) => string) {
  const instants = [...new Set(trends.flatMap((one) => one.points.map(({ at }) => at)))].sort();
  const format = new Intl.DateTimeFormat(language, {
    timeZone: "Asia/Shanghai",
    ...(span === "year"
      ? { year: "numeric", month: "2-digit" }
      : { month: "2-digit", day: "2-digit" }),
    ...(span === "day" || span === "fortnight"
      ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" as const }
      : {}),
  });
  return {
    times: instants.map((at) => format.format(new Date(at))),
    series: trends.map((one) => {
      const known = new Map(one.points.map(({ at, mean }) => [at, mean]));
      return { name: nameOf(one.metric), values: instants.map((at) => known.get(at) ?? null) };
    }),
  };
}
