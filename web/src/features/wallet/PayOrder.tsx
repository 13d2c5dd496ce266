import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Button, Form, Input, Modal } from "antd";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, errorOf, unwrap } from "@/api/client";
import { pageHeaders } from "@/api/early";
import type { Method, OrderOut } from "@/api/schema";
import { moment, yuan } from "@/shared/format/format";
import { errorText, word } from "@/shared/i18n";
import { homeKey } from "@/shared/live/keys";
import { useAct, useAsk } from "@/shared/ui/act";
import { Copy } from "@/shared/ui/Copy";
import { Loaded } from "@/shared/ui/Loaded";
import { Facts, State } from "@/shared/ui/Page";
import { orderTone } from "@/shared/ui/tones";
import { MethodChoice } from "./MethodChoice";
import { methodsQuery, walletKey } from "./queries";

const CHANGED = [walletKey, homeKey, ["acl"]];

/** One order: what it is, how it is paid, and that it was. */
export function PayOrder({ id, close }: { id: number; close: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const query = useQuery({
    queryKey: [...walletKey, "order", id],
    queryFn: () =>
      unwrap(api.GET("/api/finance/orders/{order_id}", { params: { path: { order_id: id } } })),
    refetchInterval: (found) =>
      ["pending", "paid"].includes(found.state.data?.order.status ?? "") ? 5000 : false,
  });
  const status = query.data?.order.status;
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new state is what it waits for
  useEffect(() => {
    for (const queryKey of CHANGED) {
      client.invalidateQueries({ queryKey, predicate: (one) => one.queryKey[1] !== "order" });
    }
  }, [status]);
  return (
    <Modal open title={t("wallet.orderTitle")} footer={null} onCancel={close} width={560}>
      <Loaded query={query}>
        {({ order, payments }) => (
          <div className="stack">
            <About order={order} />
            {order.allowed_actions.includes("pay") && (
              <Pay order={order} page={payments?.find((one) => one.page_url)?.page_url ?? null} />
            )}
          </div>
        )}
      </Loaded>
    </Modal>
  );
}

function About({ order }: { order: OrderOut }) {
  const { t, i18n } = useTranslation();
  return (
    <Facts
      rows={[
        [
          t("wallet.number"),
          <span key="n" className="mono">
            {order.number}
          </span>,
        ],
        [t("wallet.what"), order.plan ?? word(t as never, "wallet.kind", order.kind)],
        [t("wallet.amount"), yuan(order.amount_fen)],
        [
          t("field.state"),
          <State key="s" tone={orderTone(order.status)}>
            {word(t as never, "wallet.status", order.status)}
          </State>,
        ],
        [t("field.time"), moment(order.created_at, i18n.language)],
        ...(order.status === "pending"
          ? [[t("wallet.closes"), moment(order.closes_at, i18n.language)] as [string, string]]
          : []),
        ...(order.refunded_fen
          ? [[t("wallet.refunded"), yuan(order.refunded_fen)] as [string, string]]
          : []),
        ...(order.reason ? [[t("field.reason"), order.reason] as [string, string]] : []),
      ]}
    />
  );
}

function Pay({ order, page }: { order: OrderOut; page: string | null }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const path = { path: { order_id: order.id } };
  const [method, setMethod] = useState<Method>(order.method);
  const pay = useAct({
    quiet: true,
    call: (by: Method) =>
      unwrap(
        api.POST("/api/finance/orders/{order_id}/pay", { params: path, body: { method: by } }),
      ),
    changes: CHANGED,
  });
  const cancel = useAct({
    call: () =>
      unwrap(api.POST("/api/finance/orders/{order_id}/cancel", { params: path, body: {} })),
    changes: CHANGED,
    done: t("wallet.cancelled"),
  });
  const isTransfer = order.method.endsWith("_transfer");
  const isGateway = order.method === "alipay" || order.method === "wechat";
  return (
    <>
      {pay.isError && <Alert type="error" showIcon role="alert" title={errorText(pay.error)} />}
      <MethodChoice
        value={method}
        onChange={setMethod}
        {...(order.kind === "top_up" ? { without: "wallet" as const } : {})}
      />
      <div className="row">
        <Button type="primary" loading={pay.isPending} onClick={() => pay.mutate(method)}>
          {method === "wallet" ? t("wallet.payNow") : t("wallet.useMethod")}
        </Button>
        {order.kind === "serials" && <ByCredit order={order} />}
        <Button
          danger
          onClick={() =>
            ask({
              title: t("wallet.cancelTitle"),
              text: t("wallet.cancelText"),
              button: t("wallet.cancelOrder"),
              do: () => cancel.mutateAsync(undefined),
            })
          }
        >
          {t("wallet.cancelOrder")}
        </Button>
      </div>
      {isGateway && (
        <div className="stack tight">
          <Picture order={order} />
          {page && (
            <a href={page} rel="noreferrer noopener" target="_blank">
              {t("wallet.payPage")}
            </a>
          )}
          <span className="muted small">{t("wallet.waiting")}</span>
        </div>
      )}
      {isTransfer && <Transfer order={order} />}
    </>
  );
}

/** A distributor's purchase may be owed instead. */
function ByCredit({ order }: { order: OrderOut }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const pay = useAct({
    call: () =>
      unwrap(
        api.POST("/api/admin/my/purchase/{order_id}/credit", {
          params: { path: { order_id: order.id } },
        }),
      ),
    changes: [...CHANGED, ["sales"]],
    done: t("wallet.owed"),
  });
  return (
    <Button
      loading={pay.isPending}
      onClick={() =>
        ask({
          title: t("wallet.owedTitle", { amount: yuan(order.amount_fen) }),
          text: t("wallet.owedText"),
          button: t("wallet.payCredit"),
          danger: false,
          do: () => pay.mutateAsync(undefined),
        })
      }
    >
      {t("wallet.payCredit")}
    </Button>
  );
}

function Picture({ order }: { order: OrderOut }) {
  const { t } = useTranslation();
  return (
    <img
      src={`/api/finance/orders/${order.id}/qr?method=${order.method}`}
      alt={t("wallet.qr")}
      width={220}
      height={220}
      style={{ background: "#fff", borderRadius: 8 }}
    />
  );
}

function Transfer({ order }: { order: OrderOut }) {
  const { t } = useTranslation();
  const { data: methods } = useQuery(methodsQuery);
  const account = methods?.accounts.find((one) => one.method === order.method);
  const [file, setFile] = useState<File | null>(null);
  const upload = useAct({
    quiet: true,
    call: async ({ note }: { note?: string }) => {
      const body = new FormData();
      if (file) body.append("file", file);
      body.append("method", order.method);
      if (note?.trim()) body.append("note", note.trim());
      const answer = await fetch(`/api/finance/orders/${order.id}/receipt`, {
        method: "POST",
        body,
        headers: pageHeaders(),
      });
      if (!answer.ok) throw errorOf(answer.status, await answer.json().catch(() => null));
    },
    changes: CHANGED,
    done: t("wallet.uploaded"),
  });
  if (!account) return null;
  return (
    <div className="stack tight">
      <p>{t("wallet.transferHint")}</p>
      <Facts
        rows={[
          [t("wallet.account"), account.account],
          [t("wallet.accountName"), account.account_name],
          [t("wallet.amount"), yuan(order.amount_fen)],
          [
            t("wallet.reference"),
            <span key="r" className="row">
              <span className="mono">{order.number}</span>
              <Copy text={order.number} plain />
            </span>,
          ],
        ]}
      />
      {account.qr_text && <Picture order={order} />}
      {upload.isError && (
        <Alert type="error" showIcon role="alert" title={errorText(upload.error)} />
      )}
      <Form layout="vertical" onFinish={upload.mutate}>
        <label className="stack tight">
          {t("wallet.proof")}
          <input
            type="file"
            accept="image/png,image/jpeg,image/webp"
            onChange={(event) => setFile(event.target.files?.[0] ?? null)}
          />
        </label>
        <Form.Item name="note" label={t("wallet.note")}>
          <Input maxLength={200} />
        </Form.Item>
        <Button htmlType="submit" disabled={!file} loading={upload.isPending}>
          {t("wallet.upload")}
        </Button>
      </Form>
    </div>
  );
}
