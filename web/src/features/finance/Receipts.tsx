import { Button, Image } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { ReceiptOut, ReceiptsOut } from "@/api/schema";
import { moment, yuan } from "@/shared/format/format";
import { useAct, useAsk } from "@/shared/ui/act";
import { ChoiceFilter, type Column, DataTable } from "@/shared/ui/DataTable";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { State, type Tone } from "@/shared/ui/Page";
import { Reasoned } from "@/shared/ui/Reasoned";

const TONES: Record<string, Tone> = { waiting: "busy", confirmed: "good", refused: "bad" };
const STATES = ["waiting", "confirmed", "refused"] as const;
const CHANGED = [["finance"]];

/** Proofs of transfers, to be looked at beside the account's own statement. */
export function Receipts() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const ask = useAsk();
  const list = useListState();
  const [refusing, setRefusing] = useState<ReceiptOut | null>(null);
  const asked = list.asked(["status", "order_id"]);
  const query = useListQuery(["finance", "receipts", asked], async () => {
    const found = await unwrapList<ReceiptsOut>(
      api.GET("/api/finance/receipts", { params: { query: asked as never } }),
    );
    return { rows: found.receipts, next: found.next_before };
  });
  const confirm = useAct({
    call: (id: number) =>
      unwrap(
        api.POST("/api/finance/receipts/{receipt_id}/confirm", {
          params: { path: { receipt_id: id } },
        }),
      ),
    changes: CHANGED,
    done: t("wallet.saved"),
  });
  const columns: Column<ReceiptOut>[] = [
    {
      key: "image",
      title: t("wallet.proof"),
      render: (one) => (
        <Image
          src={`/api/finance/receipts/${one.id}/image`}
          alt={`${t("wallet.proof")} ${one.order_number}`}
          width={72}
          height={72}
          style={{ objectFit: "cover" }}
        />
      ),
    },
    {
      key: "number",
      title: t("wallet.number"),
      render: (one) => <span className="mono">{one.order_number}</span>,
    },
    { key: "user", title: t("field.username"), render: (one) => one.username ?? one.user_id },
    {
      key: "amount",
      title: t("wallet.amount"),
      align: "right",
      render: (one) => yuan(one.amount_fen),
    },
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <div className="stack tight">
          <State tone={TONES[one.status] ?? "plain"}>
            {t(`admin:finance.receipt.${one.status}`)}
          </State>
          {one.same_picture > 0 && (
            <State tone="warn">{t("admin:finance.samePicture", { count: one.same_picture })}</State>
          )}
        </div>
      ),
    },
    { key: "note", title: t("wallet.note"), render: (one) => one.note ?? "—" },
    {
      key: "time",
      sort: "time",
      title: t("field.time"),
      render: (one) => moment(one.created_at, i18n.language),
    },
    {
      key: "actions",
      title: t("admin:servers.action"),
      render: (one) => (
        <div className="row">
          {one.allowed_actions.includes("confirm") && (
            <Button
              type="primary"
              onClick={() =>
                ask({
                  title: t("admin:finance.confirmTitle", { amount: yuan(one.amount_fen) }),
                  text: t("admin:finance.confirmText"),
                  button: t("admin:finance.confirm"),
                  danger: false,
                  do: () => confirm.mutateAsync(one.id),
                })
              }
            >
              {t("admin:finance.confirm")}
            </Button>
          )}
          {one.allowed_actions.includes("refuse") && (
            <Button danger onClick={() => setRefusing(one)}>
              {t("admin:finance.refuse")}
            </Button>
          )}
        </div>
      ),
    },
  ];
  return (
    <>
      <DataTable
        name="receipts"
        list={list}
        columns={columns}
        query={query}
        csv={csvAddress("/api/finance/receipts", asked)}
        filters={
          <ChoiceFilter
            list={list}
            name="status"
            label={t("field.state")}
            options={STATES.map((value) => ({ value, label: t(`admin:finance.receipt.${value}`) }))}
          />
        }
      />
      {refusing && (
        <Reasoned
          title={t("admin:finance.refuseTitle")}
          text={t("admin:finance.refuseText")}
          button={t("admin:finance.refuse")}
          call={(reason) =>
            unwrap(
              api.POST("/api/finance/receipts/{receipt_id}/refuse", {
                params: { path: { receipt_id: refusing.id } },
                body: { reason },
              }),
            )
          }
          changes={CHANGED}
          done={t("wallet.saved")}
          close={() => setRefusing(null)}
        />
      )}
    </>
  );
}
