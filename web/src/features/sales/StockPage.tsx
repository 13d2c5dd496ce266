import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { SerialOut } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { Copy } from "@/shared/ui/Copy";
import { ChoiceFilter, type Column, DataTable, TextFilter } from "@/shared/ui/DataTable";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Page, State } from "@/shared/ui/Page";
import { plansQuery } from "@/shared/ui/plans";
import { serialTone } from "@/shared/ui/tones";
import { salesKey } from "./queries";

const STATES = ["unused", "used", "expired", "revoked"] as const;

/** A distributor's own serial numbers. */
export function StockPage() {
  const { t, i18n } = useTranslation();
  const list = useListState();
  const plans = useQuery(plansQuery);
  const names = new Map(plans.data?.map((one) => [one.id, one.name]));
  const asked = list.asked(["code", "status", "plan_id", "order_id"]);
  const query = useListQuery([...salesKey, "serials", asked], async () => {
    const found = await unwrap(
      api.GET("/api/admin/my/serials", { params: { query: asked as never } }),
    );
    return { rows: found.serials, next: found.next_before };
  });
  const columns: Column<SerialOut>[] = [
    {
      key: "code",
      title: t("sales.code"),
      render: (one) => (
        <span className="nowrap">
          <span className="mono">{one.code}</span>
          <Copy text={one.code} plain label={`${t("action.copy")} ${one.code}`} />
        </span>
      ),
    },
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <State tone={serialTone(one.status)}>{t(`sales.serialStatus.${one.status}`)}</State>
      ),
    },
    {
      key: "plan",
      title: t("sales.plan"),
      render: (one) => names.get(one.plan_id) ?? one.plan_id,
    },
    { key: "user", title: t("sales.user"), render: (one) => one.username ?? "—" },
    {
      key: "used",
      title: t("sales.used"),
      render: (one) => moment(one.used_at, i18n.language),
    },
    {
      key: "expires",
      title: t("sales.expires"),
      render: (one) => moment(one.expires_at, i18n.language),
    },
    {
      key: "created",
      sort: "time",
      title: t("sales.created"),
      hidden: true,
      render: (one) => moment(one.created_at, i18n.language),
    },
    { key: "order", title: t("sales.orderId"), render: (one) => one.order_id ?? "—" },
  ];
  return (
    <Page title={t("sales.serials")} intro={t("sales.serialsIntro")}>
      <section className="card">
        <DataTable
          name="stock"
          list={list}
          columns={columns}
          query={query}
          csv={csvAddress("/api/admin/my/serials/export", asked, false)}
          filters={
            <>
              <TextFilter list={list} name="code" label={t("sales.codeSearch")} />
              <ChoiceFilter
                list={list}
                name="status"
                label={t("field.state")}
                options={STATES.map((value) => ({
                  value,
                  label: t(`sales.serialStatus.${value}`),
                }))}
              />
              <ChoiceFilter
                list={list}
                name="plan_id"
                label={t("sales.plan")}
                options={(plans.data ?? []).map((one) => ({
                  value: String(one.id),
                  label: one.name,
                }))}
              />
            </>
          }
        />
      </section>
    </Page>
  );
}
