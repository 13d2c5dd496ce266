import { useQuery } from "@tanstack/react-query";
import { Modal, Table } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { PlanOut } from "@/api/schema";
import { moment, yuan } from "@/shared/format/format";
import { Loaded } from "@/shared/ui/Loaded";

/** What a plan cost, and since when: the newest first. */
export function Prices({ plan, close }: { plan: PlanOut; close: () => void }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const query = useQuery({
    queryKey: ["plans", "prices", plan.id],
    queryFn: async () =>
      (
        await unwrap(
          api.GET("/api/finance/plans/{plan_id}/prices", {
            params: { path: { plan_id: plan.id } },
          }),
        )
      ).prices,
  });
  return (
    <Modal
      open
      title={t("admin:plans.pricesOf", { name: plan.name })}
      footer={null}
      onCancel={close}
    >
      <Loaded query={query}>
        {(prices) => (
          <Table
            rowKey="created_at"
            size="small"
            pagination={false}
            dataSource={prices}
            columns={[
              {
                key: "time",
                title: t("field.time"),
                render: (_, one) => moment(one.created_at, i18n.language),
              },
              {
                key: "price",
                title: t("admin:plans.price"),
                align: "right",
                render: (_, one) => yuan(one.price_fen),
              },
              {
                key: "actor",
                title: t("admin:aclLogs.actor"),
                render: (_, one) => (one.actor_id ? `#${one.actor_id}` : "—"),
              },
            ]}
          />
        )}
      </Loaded>
    </Modal>
  );
}
