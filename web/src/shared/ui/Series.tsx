import { Select, Skeleton } from "antd";
import { lazy, Suspense, useMemo } from "react";
import { useTranslation } from "react-i18next";
import { bytes } from "@/shared/format/format";
import type { Series } from "./Chart";

const Chart = lazy(() => import("./Chart"));
export const SPANS = ["hour-48", "hour-168", "day-30", "day-90", "day-365", "month-36"] as const;
export type Span = (typeof SPANS)[number];

/** The span that stands in an address, else two days. */
export function spanOf(text: string | undefined): Span {
  return SPANS.find((one) => one === text) ?? "hour-48";
}

/** A span as the API asks for it. */
export function queryOf(span: Span): { step: "hour" | "day" | "month"; span: number } {
  const [step, count] = span.split("-");
  return { step: step as "hour" | "day" | "month", span: Number(count) };
}

export function SpanSelect({ span, choose }: { span: Span; choose: (span: Span) => void }) {
  const { t } = useTranslation();
  return (
    <Select<Span>
      value={span}
      onChange={choose}
      aria-label={t("usage.chart")}
      style={{ minWidth: 150 }}
      options={SPANS.map((one) => ({ value: one, label: t(`usage.span.${one}`) }))}
    />
  );
}

/** Sizes over hours, days or months as a chart, and as a table for whoever cannot see it. */
export function SizeChart(props: {
  rows: { begins_at: string; values: number[] }[];
  names: string[];
  span: Span;
}) {
  const { t, i18n } = useTranslation();
  const { rows, names, span } = props;
  const step = queryOf(span).step;
  const times = useMemo(() => {
    const format = new Intl.DateTimeFormat(i18n.language, {
      timeZone: "Asia/Shanghai",
      month: "2-digit",
      ...(step === "month" ? { year: "numeric" as const } : { day: "2-digit" as const }),
      ...(step === "hour" ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" as const } : {}),
    });
    return rows.map((one) => format.format(new Date(one.begins_at)));
  }, [rows, step, i18n.language]);
  const series = useMemo(
    () => names.map((name, at) => ({ name, values: rows.map((one) => one.values[at] ?? 0) })),
    [names, rows],
  );
  return <TimedChart times={times} series={series} format={bytes} label={t("usage.chart")} />;
}

/** A chart over time, and its figures as a table for whoever cannot see it. */
export function TimedChart(props: {
  times: string[];
  series: Series[];
  format: (value: number) => string;
  label: string;
  lines?: boolean;
}) {
  const { t } = useTranslation();
  const { times, series, format } = props;
  const shown = (value: number | null | undefined) => (value == null ? "—" : format(value));
  return (
    <>
      <Suspense fallback={<Skeleton.Node active style={{ width: "100%", height: 300 }} />}>
        <Chart {...props} />
      </Suspense>
      <table className="visually-hidden">
        <caption>{t("usage.chartTable")}</caption>
        <tbody>
          {times.map((time, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rows of time never move
            <tr key={at}>
              <th scope="row">{time}</th>
              {series.map((one) => (
                <td key={one.name}>{shown(one.values[at])}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
