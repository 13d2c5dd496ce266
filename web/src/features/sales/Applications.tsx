import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { ApplicationPart, ApplicationsOut } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { useAct, useAsk } from "@/shared/ui/act";
import { type Column, DataTable } from "@/shared/ui/DataTable";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Card, State } from "@/shared/ui/Page";
import { applicationTone } from "@/shared/ui/tones";
import { salesKey } from "./queries";

/** What he asked the admins for, and what became of it. */
export function Applications() {
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
