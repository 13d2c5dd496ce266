import { useQuery } from "@tanstack/react-query";
import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { ApplicationPart, ApplicationsOut } from "@/api/schema";
import { moment, yuan } from "@/shared/format/format";
import { useAct, useAsk } from "@/shared/ui/act";
import { type Column, DataTable } from "@/shared/ui/DataTable";
import { Loaded } from "@/shared/ui/Loaded";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Card, Facts, Page, State } from "@/shared/ui/Page";
import { applicationTone } from "@/shared/ui/tones";
import { Apply } from "./Apply";
import { Purchase } from "./Purchase";
import { salesKey, summaryQuery } from "./queries";
import { Repay } from "./Repay";

/** What a distributor sees first: his class, money, stock and applications. */
export function SalesPage() {
  const { t } = useTranslation();
  const summary = useQuery(summaryQuery);
  return (
    <Page
      title={t("sales.title")}
      intro={t("sales.intro")}
      extra={
        <>
          <Apply />
          {summary.data && <Purchase mayGenerate={summary.data.terms.may_generate} />}
        </>
      }
    >
      <Loaded query={summary}>
        {(found) => (
          <>
            <div className="tiles">
              <Card title={t("sales.class")}>
                <div className="figure-value">
                  {t("sales.share", {
                    level: t(`sales.level.${found.terms.level}`),
                    share: found.rate_bp / 100,
                  })}
                </div>
              </Card>
              <Card title={t("sales.stock")}>
                <div className="figure-value">{found.serials.unused ?? 0}</div>
                <p className="muted">
                  {t("sales.stockHint", {
                    used: found.serials.used ?? 0,
                    void: (found.serials.expired ?? 0) + (found.serials.revoked ?? 0),
                  })}
                </p>
              </Card>
              <Card title={t("sales.customers")}>
                <div className="figure-value">{found.customers}</div>
                <p className="muted">{t("sales.customersHint", { count: found.in_service })}</p>
              </Card>
              <Card title={t("sales.commission")}>
                <div className="figure-value">{yuan(found.commission_this_month_fen)}</div>
                <p className="muted">{t("sales.open", { open: yuan(found.sums.open_fen) })}</p>
              </Card>
              <Card
                title={t("sales.credit")}
                extra={found.sums.owed_fen > 0 && <Repay owed={found.sums.owed_fen} />}
              >
                <div className="figure-value">{yuan(found.credit_free_fen)}</div>
                <p className="muted">{t("sales.owed", { owed: yuan(found.sums.owed_fen) })}</p>
              </Card>
            </div>
            <Card title={t("sales.turnover")}>
              <Facts
                rows={[
                  [t("sales.listed"), yuan(found.sums.list_fen)],
                  [t("sales.discount"), yuan(found.sums.discount_fen)],
                  [t("sales.commissionAll"), yuan(found.sums.commission_fen)],
                  [t("sales.settled"), yuan(found.sums.settled_fen)],
                  [t("sales.wallet"), yuan(found.sums.wallet_fen)],
                ]}
              />
            </Card>
          </>
        )}
      </Loaded>
      <Applications />
    </Page>
  );
}

function Applications() {
  const { t, i18n } = useTranslation();
  const list = useListState();
  const ask = useAsk();
  const asked = list.asked([]);
  const query = useListQuery([...salesKey, "applications", asked], async () => {
    const found = await unwrapList<ApplicationsOut>(
      api.GET("/api/admin/my/applications", { params: { query: asked as never } }),
    );
    return { rows: found.applications, next: found.next_before };
  });
  const withdraw = useAct({
    call: (id: number) =>
      unwrap(
        api.POST("/api/admin/my/applications/{application_id}/withdraw", {
          params: { path: { application_id: id } },
        }),
      ),
    changes: [salesKey],
    done: t("sales.withdrawn"),
  });
  const columns: Column<ApplicationPart>[] = [
    { key: "id", title: "#", render: (one) => one.id },
    { key: "plan", title: t("sales.plan"), render: (one) => one.plan ?? one.plan_id },
    {
      key: "quantity",
      title: t("sales.quantity"),
      align: "right",
      render: (one) => one.quantity,
    },
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <State tone={applicationTone(one.status)}>{t(`sales.status.${one.status}`)}</State>
      ),
    },
    { key: "reason", title: t("sales.reason"), render: (one) => one.reason ?? "—" },
    { key: "order", title: t("sales.orderId"), render: (one) => one.order_id ?? "—" },
    {
      key: "asked",
      sort: "time",
      title: t("sales.asked"),
      render: (one) => moment(one.created_at, i18n.language),
    },
    { key: "note", title: t("sales.note"), hidden: true, render: (one) => one.note ?? "—" },
    {
      key: "act",
      title: "",
      render: (one) =>
        one.allowed_actions.includes("withdraw") && (
          <Button
            size="small"
            onClick={() =>
              ask({
                title: t("sales.withdrawTitle"),
                text: t("sales.withdrawText"),
                button: t("sales.withdraw"),
                do: () => withdraw.mutateAsync(one.id),
              })
            }
          >
            {t("sales.withdraw")}
          </Button>
        ),
    },
  ];
  return (
    <Card title={t("sales.applications")}>
      <DataTable
        name="applications"
        list={list}
        columns={columns}
        query={query}
        csv={csvAddress("/api/admin/my/applications", asked)}
      />
    </Card>
  );
}
