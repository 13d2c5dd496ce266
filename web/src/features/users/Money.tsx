import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { StatementOut } from "@/api/schema";
import { useMe } from "@/shared/auth/useMe";
import { yuan } from "@/shared/format/format";
import { Loaded } from "@/shared/ui/Loaded";
import { csvAddress } from "@/shared/ui/list";
import { Movements } from "@/shared/ui/Movements";
import { Card, Facts } from "@/shared/ui/Page";
import { Reasoned } from "@/shared/ui/Reasoned";

/** A user's wallet with what moved in it; the super admin may reverse an entry. */
export function Money({ userId }: { userId: number }) {
  const { t } = useTranslation(["app", "admin"]);
  const me = useMe();
  const [reversed, setReversed] = useState<number | null>(null);
  const path = { user_id: userId };
  const wallet = useQuery({
    queryKey: ["users", "wallet", userId],
    queryFn: () => unwrap(api.GET("/api/finance/wallets/{user_id}", { params: { path } })),
  });
  const statement = useInfiniteQuery({
    queryKey: ["users", "statement", userId],
    queryFn: ({ pageParam }) =>
      unwrapList<StatementOut>(
        api.GET("/api/finance/wallets/{user_id}/statement", {
          params: { path, query: { before: pageParam, limit: 20 } },
        }),
      ),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (page) => page.next_before ?? undefined,
  });
  return (
    <Card
      title={t("admin:money.title")}
      extra={
        <>
          <Link to="/admin/finance" search={{ tab: "orders", user_id: String(userId) }}>
            {t("admin:finance.orders")}
          </Link>
          <Button href={csvAddress(`/api/finance/wallets/${userId}/statement`, {})} download>
            {t("action.csv")}
          </Button>
        </>
      }
    >
      <Loaded query={wallet}>
        {(found) => (
          <Facts
            rows={[
              [t("admin:money.cash"), yuan(found.cash_fen)],
              [t("admin:money.bonus"), yuan(found.bonus_fen)],
              ...(found.payable_fen
                ? [[t("admin:money.payable"), yuan(found.payable_fen)] as [string, string]]
                : []),
            ]}
          />
        )}
      </Loaded>
      <Movements
        rows={statement.data?.pages.flatMap((page) => page.movements) ?? []}
        isLoading={statement.isPending}
        {...(me.role === "super_admin"
          ? {
              action: (one) => (
                <Button danger onClick={() => setReversed(one.entry_id)}>
                  {t("admin:money.reverse")}
                </Button>
              ),
            }
          : {})}
      />
      {statement.hasNextPage && (
        <Button onClick={() => statement.fetchNextPage()}>{t("action.more")}</Button>
      )}
      {reversed !== null && (
        <Reasoned
          title={t("admin:money.reverseTitle", { id: reversed })}
          text={t("admin:money.reverseText")}
          button={t("admin:money.reverse")}
          call={(reason) =>
            unwrap(
              api.POST("/api/finance/entries/{entry_id}/reverse", {
                params: { path: { entry_id: reversed } },
                body: { reason },
              }),
            )
          }
          changes={[["users"]]}
          done={t("admin:money.reversed")}
          close={() => setReversed(null)}
        />
      )}
    </Card>
  );
}
