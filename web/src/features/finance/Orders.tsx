import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Button, Drawer } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { OrderOut } from "@/api/schema";
import { moment, yuan } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { ChoiceFilter, type Column, DataTable, TextFilter } from "@/shared/ui/DataTable";
import { Loaded } from "@/shared/ui/Loaded";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Facts, State } from "@/shared/ui/Page";
import { Reasoned } from "@/shared/ui/Reasoned";
import { orderTone } from "@/shared/ui/tones";

const STATES = [
  "pending",
  "paid",
  "completed",
  "renewed",
  "cancelled",
  "refunded",
  "expired",
] as const;
const METHODS = [
  "wallet",
  "alipay",
  "wechat",
  "alipay_transfer",
  "wechat_transfer",
  "credit",
  "none",
] as const;
const CHANGED = [["finance"]];
type Act = "complete" | "renew" | "cancel" | "refund";

export function Orders() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState();
  const [shown, setShown] = useState<number | null>(null);
  const asked = list.asked(["number", "status", "kind", "method", "user_id", "plan_id"]);
  const query = useListQuery(["finance", "orders", asked], async () => {
    const found = await unwrap(
      api.GET("/api/finance/orders", { params: { query: asked as never } }),
    );
    return { rows: found.orders, next: found.next_before };
  });
  const columns: Column<OrderOut>[] = [
    {
      key: "number",
      title: t("wallet.number"),
      render: (one) => (
        <Button
          type="link"
          size="small"
          className="mono"
          style={{ padding: 0 }}
          onClick={() => setShown(one.id)}
        >
          {one.number}
        </Button>
      ),
    },
    {
      key: "user",
      title: t("field.username"),
      render: (one) => (
        <Link to="/admin/users/$userId" params={{ userId: String(one.user_id) }}>
          {one.username ?? one.user_id}
        </Link>
      ),
    },
    {
      key: "what",
      title: t("wallet.what"),
      render: (one) => one.plan ?? word(t as never, "wallet.kind", one.kind),
    },
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
        <State tone={orderTone(one.status)}>{word(t as never, "wallet.status", one.status)}</State>
      ),
    },
    {
      key: "method",
      title: t("wallet.method"),
      render: (one) => word(t as never, "wallet.by", one.method),
    },
    {
      key: "created",
      sort: "time",
      title: t("field.time"),
      render: (one) => moment(one.created_at, i18n.language),
    },
    {
      key: "paid",
      title: t("admin:finance.paidAt"),
      hidden: true,
      render: (one) => moment(one.paid_at, i18n.language),
    },
    {
      key: "refunded",
      title: t("wallet.refunded"),
      hidden: true,
      align: "right",
      render: (one) => yuan(one.refunded_fen),
    },
    { key: "reason", title: t("field.reason"), hidden: true, render: (one) => one.reason ?? "—" },
  ];
  return (
    <>
      <DataTable
        name="orders"
        list={list}
        columns={columns}
        query={query}
        csv={csvAddress("/api/finance/orders/export", asked, false)}
        filters={
          <>
            <TextFilter list={list} name="number" label={t("wallet.number")} />
            <ChoiceFilter
              list={list}
              name="status"
              label={t("field.state")}
              options={STATES.map((value) => ({ value, label: t(`wallet.status.${value}`) }))}
            />
            <ChoiceFilter
              list={list}
              name="method"
              label={t("wallet.method")}
              options={METHODS.map((value) => ({ value, label: t(`wallet.by.${value}`) }))}
            />
            <TextFilter list={list} name="user_id" label={t("admin:serials.userId")} width={110} />
          </>
        }
      />
      <Drawer
        open={shown !== null}
        onClose={() => setShown(null)}
        size={640}
        title={t("wallet.orderTitle")}
      >
        {shown !== null && <Trace id={shown} />}
      </Drawer>
    </>
  );
}

function Trace({ id }: { id: number }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const [act, setAct] = useState<Act | null>(null);
  const query = useQuery({
    queryKey: ["finance", "trace", id],
    queryFn: () =>
      unwrap(
        api.GET("/api/finance/orders/{order_id}/trace", { params: { path: { order_id: id } } }),
      ),
  });
  return (
    <Loaded query={query}>
      {({ order, verdict, steps }) => (
        <div className="stack">
          <Facts
            rows={[
              [
                t("wallet.number"),
                <span key="n" className="mono">
                  {order.number}
                </span>,
              ],
              [t("field.username"), order.username ?? order.user_id],
              [t("wallet.amount"), yuan(order.amount_fen)],
              [
                t("field.state"),
                <State key="s" tone={orderTone(order.status)}>
                  {word(t as never, "wallet.status", order.status)}
                </State>,
              ],
              [t("wallet.refunded"), yuan(order.refunded_fen)],
              [t("admin:finance.verdict"), verdict],
            ]}
          />
          <div className="row">
            {order.allowed_actions.map((one) => (
              <Button
                key={one}
                danger={one === "cancel" || one === "refund"}
                onClick={() => setAct(one as Act)}
              >
                {word(t as never, "admin:finance.act", one)}
              </Button>
            ))}
          </div>
          <h3>{t("admin:finance.trace")}</h3>
          <ol className="list">
            {steps.map((step) => (
              <li key={`${step.at} ${step.what} ${step.detail}`}>
                <span className="muted small">{moment(step.at, i18n.language)}</span>
                <div>{step.detail}</div>
              </li>
            ))}
          </ol>
          {act && <Ask order={order} act={act} close={() => setAct(null)} />}
        </div>
      )}
    </Loaded>
  );
}

function Ask({ order, act, close }: { order: OrderOut; act: Act; close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const params = { path: { order_id: order.id } };
  const [key] = useState(() => crypto.getRandomValues(new Uint32Array(4)).join("-"));
  const call = (reason: string): Promise<unknown> => {
    if (act === "complete") {
      return unwrap(
        api.POST("/api/finance/orders/{order_id}/complete", { params, body: { reason } }),
      );
    }
    if (act === "renew") {
      return unwrap(api.POST("/api/finance/orders/{order_id}/renew", { params, body: { reason } }));
    }
    if (act === "cancel") {
      return unwrap(
        api.POST("/api/finance/orders/{order_id}/cancel", { params, body: { reason } }),
      );
    }
    return unwrap(
      api.POST("/api/finance/orders/{order_id}/refund", {
        params,
        body: { reason, request_key: key },
      }),
    );
  };
  return (
    <Reasoned
      title={`${t(`admin:finance.act.${act}`)}: ${order.number}`}
      text={t(`admin:finance.actText.${act}`, {
        amount: yuan(order.amount_fen - order.refunded_fen),
      })}
      button={t(`admin:finance.act.${act}`)}
      call={call}
      changes={CHANGED}
      done={t("wallet.saved")}
      close={close}
    />
  );
}
