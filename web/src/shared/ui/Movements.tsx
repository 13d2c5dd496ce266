import { Table } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { MovementOut } from "@/api/schema";
import { moment, yuan } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { Blank } from "./Page";

/** What went into a wallet and out of it, the newest first. */
export function Movements(props: {
  rows: MovementOut[];
  isLoading: boolean;
  action?: (row: MovementOut) => ReactNode;
}) {
  const { t, i18n } = useTranslation();
  const { action } = props;
  return (
    <Table
      rowKey="entry_id"
      size="middle"
      pagination={false}
      loading={props.isLoading}
      dataSource={props.rows}
      locale={{ emptyText: <Blank title={t("table.emptyAll")} /> }}
      columns={[
        {
          key: "time",
          title: t("field.time"),
          render: (_, one) => moment(one.at, i18n.language),
        },
        {
          key: "kind",
          title: t("wallet.what"),
          render: (_, one) => word(t as never, "wallet.entry", one.kind),
        },
        {
          key: "order",
          title: t("wallet.number"),
          render: (_, one) => <span className="mono">{one.order_number ?? "—"}</span>,
        },
        { key: "reason", title: t("field.reason"), render: (_, one) => one.reason ?? "—" },
        {
          key: "amount",
          title: t("wallet.amount"),
          align: "right",
          render: (_, one) => yuan(one.cash_fen + one.bonus_fen + one.payable_fen),
        },
        ...(action
          ? [
              {
                key: "actions",
                title: "",
                align: "right" as const,
                render: (_: unknown, one: MovementOut) => action(one),
              },
            ]
          : []),
      ]}
    />
  );
}
