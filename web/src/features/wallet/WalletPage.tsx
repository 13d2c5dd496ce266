import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Button, Switch, Table } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { OrderOut } from "@/api/schema";
import { moment, yuan } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { homeQuery } from "@/shared/live/keys";
import { useAct } from "@/shared/ui/act";
import { Loaded } from "@/shared/ui/Loaded";
import { csvAddress } from "@/shared/ui/list";
import { Movements } from "@/shared/ui/Movements";
import { Blank, Card, Page, State } from "@/shared/ui/Page";
import { Rentals } from "@/shared/ui/Rentals";
import { orderTone } from "@/shared/ui/tones";
import { Buy } from "./Buy";
import { PayOrder } from "./PayOrder";
import { autoRenewalQuery, ordersQuery, statementQuery, walletKey, walletQuery } from "./queries";
import { TopUp } from "./TopUp";

/** Buying and renewing, what is in the wallet, and every order there was. */
export function WalletPage() {
  const { t } = useTranslation();
  const wallet = useQuery(walletQuery);
  const [paying, setPaying] = useState<number | null>(null);
  return (
    <Page title={t("wallet.title")} intro={t("wallet.intro")}>
      <div className="tiles">
        <Card title={t("wallet.balance")} extra={<TopUp placed={setPaying} />}>
          <Loaded query={wallet}>
            {(found) => (
              <>
                <div className="figure-value">{yuan(found.balance_fen)}</div>
                {found.bonus_fen > 0 && (
                  <p className="muted">{t("wallet.bonus", { bonus: yuan(found.bonus_fen) })}</p>
                )}
              </>
            )}
          </Loaded>
        </Card>
        <AutoRenewal />
      </div>
      <Buy placed={setPaying} />
      <Orders show={setPaying} />
      <Statement />
      <Rentals />
      {paying !== null && <PayOrder id={paying} close={() => setPaying(null)} />}
    </Page>
  );
}

function AutoRenewal() {
  const { t } = useTranslation();
  const query = useQuery(autoRenewalQuery);
  const { data: home } = useQuery(homeQuery);
  const set = useAct({
    call: (is_on: boolean) => unwrap(api.POST("/api/finance/auto_renewal", { body: { is_on } })),
    changes: [walletKey],
    done: t("wallet.saved"),
  });
  return (
    <Card title={t("wallet.auto")} hint={t("wallet.autoHint")}>
      <Loaded query={query}>
        {(found) => (
          <div className="row">
            <Switch
              aria-label={t("wallet.auto")}
              checked={found !== null}
              loading={set.isPending}
              onChange={(on) => set.mutate(on)}
            />
            <span>
              {found
                ? t("wallet.autoOn", { plan: home?.rental?.plan ?? "—" })
                : t("wallet.autoOff")}
            </span>
          </div>
        )}
      </Loaded>
    </Card>
  );
}

function Orders({ show }: { show: (id: number) => void }) {
  const { t, i18n } = useTranslation();
  const query = useInfiniteQuery(ordersQuery);
  const rows: OrderOut[] = query.data?.pages.flatMap((page) => page.orders) ?? [];
  return (
    <Card title={t("wallet.orders")}>
      <Table
        rowKey="id"
        size="middle"
        pagination={false}
        loading={query.isPending}
        dataSource={rows}
        locale={{ emptyText: <Blank title={t("wallet.ordersNone")} /> }}
        columns={[
          {
            key: "number",
            title: t("wallet.number"),
            render: (_, one) => <span className="mono">{one.number}</span>,
          },
          {
            key: "what",
            title: t("wallet.what"),
            render: (_, one) => one.plan ?? word(t as never, "wallet.kind", one.kind),
          },
          {
            key: "amount",
            title: t("wallet.amount"),
            align: "right",
            render: (_, one) => yuan(one.amount_fen),
          },
          {
            key: "status",
            title: t("field.state"),
            render: (_, one) => (
              <State tone={orderTone(one.status)}>
                {word(t as never, "wallet.status", one.status)}
              </State>
            ),
          },
          {
            key: "method",
            title: t("wallet.method"),
            render: (_, one) => word(t as never, "wallet.by", one.method),
          },
          {
            key: "time",
            title: t("field.time"),
            render: (_, one) => moment(one.created_at, i18n.language),
          },
          {
            key: "actions",
            title: "",
            align: "right",
            render: (_, one) => (
              <Button
                type={one.allowed_actions.includes("pay") ? "primary" : "default"}
                onClick={() => show(one.id)}
              >
                {one.allowed_actions.includes("pay") ? t("wallet.pay") : t("action.details")}
              </Button>
            ),
          },
        ]}
      />
      {query.hasNextPage && (
        <Button onClick={() => query.fetchNextPage()}>{t("action.more")}</Button>
      )}
    </Card>
  );
}

function Statement() {
  const { t } = useTranslation();
  const query = useInfiniteQuery(statementQuery);
  const rows = query.data?.pages.flatMap((page) => page.movements) ?? [];
  return (
    <Card
      title={t("wallet.statement")}
      extra={
        <Button href={csvAddress("/api/finance/wallet/statement", {})} download>
          {t("action.csv")}
        </Button>
      }
    >
      <Movements rows={rows} isLoading={query.isPending} />
      {query.hasNextPage && (
        <Button onClick={() => query.fetchNextPage()}>{t("action.more")}</Button>
      )}
    </Card>
  );
}
