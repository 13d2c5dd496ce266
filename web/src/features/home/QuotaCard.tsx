import { useQuery } from "@tanstack/react-query";
import { Alert } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { HomeOut } from "@/api/schema";
import { bytes, day, moment, rate } from "@/shared/format/format";
import { Bars, Ring } from "@/shared/ui/drawn";
import { Card } from "@/shared/ui/Page";
import { byHour, HOURS } from "./hours";

/** What is left of the period's traffic, when it runs out, and the last day in bars. */
export function QuotaCard({ home }: { home: HomeOut }) {
  const { t, i18n } = useTranslation();
  const { data } = useQuery({
    queryKey: ["traffic", "home"],
    queryFn: () =>
      unwrap(api.GET("/api/traffic/mine", { params: { query: { step: "hour", span: HOURS } } })),
    staleTime: 300_000,
  });
  const period = home.period;
  if (!period) return null;
  const part = period.limit_bytes ? period.used_bytes / period.limit_bytes : 0;
  const used = t("home.quotaOf", {
    used: bytes(period.used_bytes),
    limit: bytes(period.limit_bytes),
  });
  const isOver = period.over_at !== null;
  return (
    <Card title={t("home.quota")}>
      <div className="row" style={{ gap: 20, flexWrap: "nowrap" }}>
        <Ring part={part} label={used}>
          <strong style={{ fontSize: 17 }}>{bytes(period.left_bytes)}</strong>
          <span className="muted small">{Math.min(100, Math.round(part * 100))}%</span>
        </Ring>
        <div className="stack tight" style={{ flex: 1 }}>
          <span>{used}</span>
          <span className="muted small">
            {t("home.quotaReset", { date: day(period.ends_at, i18n.language) })}
          </span>
          {!isOver && (
            <span className="muted small">
              {home.runs_out_at
                ? t("home.runsOut", { date: moment(home.runs_out_at, i18n.language) })
                : t("home.lasts")}
            </span>
          )}
        </div>
      </div>
      {isOver && (
        <Alert
          type="error"
          showIcon
          title={
            period.at_quota === "stop"
              ? t("home.usedUpStop")
              : t("home.usedUpThrottle", { rate: rate(period.throttle_bytes_per_second) })
          }
        />
      )}
      {data && (
        <div style={{ marginTop: 12 }}>
          <span className="muted small">{t("home.last24")}</span>
          <Bars
            values={byHour(data.traffic.series, (one) => [one.begins_at, one.sent_bytes]).map(
              (one) => one ?? 0,
            )}
            label={t("home.last24")}
          />
        </div>
      )}
    </Card>
  );
}
