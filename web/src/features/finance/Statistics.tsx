import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Button, Input, Segmented, Skeleton, Table } from "antd";
import { lazy, Suspense, useMemo } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { yuan } from "@/shared/format/format";
import { Loaded } from "@/shared/ui/Loaded";
import { Blank } from "@/shared/ui/Page";

const Chart = lazy(() => import("@/shared/ui/Chart"));
const BY = ["day", "plan", "distributor"] as const;

/** Money received and money earned, by day, plan or distributor. */
export function Statistics() {
  const { t } = useTranslation(["app", "admin"]);
  const search = useSearch({ strict: false }) as Record<string, string | undefined>;
  const navigate = useNavigate();
  const by = BY.find((one) => one === search.by) ?? "day";
  const span = {
    ...(search.first ? { first: search.first } : {}),
    ...(search.last ? { last: search.last } : {}),
  };
  const go = (to: Record<string, string | undefined>) =>
    navigate({ to: ".", search: { ...search, ...to } as never, replace: true });
  const figures = useQuery({
    queryKey: ["finance", "figures", span],
    queryFn: () => unwrap(api.GET("/api/finance/statistics", { params: { query: span } })),
  });
  const lines = useQuery({
    queryKey: ["finance", "lines", span, by],
    queryFn: async () =>
      (
        await unwrap(
          api.GET("/api/finance/statistics/lines", { params: { query: { ...span, by } } }),
        )
      ).lines,
  });
  const csv = new URLSearchParams({ ...span, by }).toString();
  return (
    <div className="stack">
      <Loaded query={figures}>
        {(seen) => (
          <div className="figures">
            {(
              [
                [t("admin:finance.month"), seen.month_revenue_fen],
                [t("admin:finance.total"), seen.total_revenue_fen],
                [t("admin:finance.earned"), seen.total_earned_fen],
                [t("admin:finance.deferred"), seen.deferred_fen],
                [t("admin:finance.prepaid"), seen.prepaid_balance_fen],
              ] as const
            ).map(([title, fen]) => (
              <section className="card" key={title}>
                <div className="muted">{title}</div>
                <div className="figure-value">{yuan(fen)}</div>
              </section>
            ))}
          </div>
        )}
      </Loaded>
      <div className="row between">
        <div className="row">
          {(["first", "last"] as const).map((name) => (
            <Input
              key={name}
              type="date"
              aria-label={t(`admin:finance.${name}`)}
              style={{ width: 150 }}
              value={search[name] ?? figures.data?.[name] ?? ""}
              onChange={(event) => go({ [name]: event.target.value })}
            />
          ))}
          <Segmented
            value={by}
            onChange={(value) => go({ by: value })}
            options={BY.map((value) => ({ value, label: t(`admin:finance.by.${value}`) }))}
          />
        </div>
        <Button href={`/api/finance/statistics/export?${csv}`} download>
          {t("action.csv")}
        </Button>
      </div>
      <Loaded query={lines}>{(found) => <Lines lines={found} by={by} />}</Loaded>
    </div>
  );
}

interface Line {
  key: string;
  name: string;
  orders: number;
  received_fen: number;
  earned_fen: number;
  refunded_fen: number;
  discount_fen: number;
  commission_fen: number;
}

function Lines({ lines, by }: { lines: Line[]; by: string }) {
  const { t } = useTranslation(["app", "admin"]);
  const times = useMemo(() => lines.map((one) => one.name || one.key), [lines]);
  const series = useMemo(
    () => [
      { name: t("admin:finance.received"), values: lines.map((one) => one.received_fen) },
      { name: t("admin:finance.earnedShort"), values: lines.map((one) => one.earned_fen) },
    ],
    [lines, t],
  );
  return (
    <>
      {lines.some((one) => one.received_fen || one.earned_fen) && (
        <Suspense fallback={<Skeleton.Node active style={{ width: "100%", height: 300 }} />}>
          <Chart times={times} series={series} format={yuan} label={t("admin:finance.chart")} />
        </Suspense>
      )}
      <Table
        rowKey="key"
        size="small"
        pagination={{ pageSize: 50, hideOnSinglePage: true, showSizeChanger: false }}
        dataSource={lines}
        locale={{ emptyText: <Blank title={t("table.emptyAll")} /> }}
        columns={[
          {
            key: "name",
            title: t(`admin:finance.by.${by as "day"}`),
            render: (_, one) => one.name || one.key,
          },
          { key: "orders", title: t("admin:finance.orders"), align: "right", dataIndex: "orders" },
          ...(
            [
              ["received_fen", t("admin:finance.received")],
              ["earned_fen", t("admin:finance.earnedShort")],
              ["refunded_fen", t("wallet.refunded")],
              ["discount_fen", t("admin:finance.discount")],
              ["commission_fen", t("admin:finance.commission")],
            ] as const
          ).map(([key, title]) => ({
            key,
            title,
            align: "right" as const,
            render: (_: unknown, one: Line) => yuan(one[key]),
          })),
        ]}
      />
    </>
  );
}
