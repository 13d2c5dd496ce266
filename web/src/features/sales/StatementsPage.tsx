import { useInfiniteQuery } from "@tanstack/react-query";
import { Button, Table } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrapList } from "@/api/client";
import type { CommissionsOut, StatementPart, StatementsOut } from "@/api/schema";
import { yuan } from "@/shared/format/format";
import { type Column, DataTable } from "@/shared/ui/DataTable";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Blank, Card, Page } from "@/shared/ui/Page";
import { salesKey } from "./queries";

/** What was earned, and how each month was settled. */
export function StatementsPage() {
  const { t } = useTranslation();
  const list = useListState();
  const asked = list.asked([]);
  const query = useListQuery([...salesKey, "statements", asked], async () => {
    const found = await unwrapList<StatementsOut>(
      api.GET("/api/admin/my/statements", { params: { query: asked as never } }),
    );
    return { rows: found.statements, next: found.next_before };
  });
  const sum = (key: string, title: string, read: (one: StatementPart) => number) =>
    ({
      key,
      title,
      align: "right",
      render: (one) => yuan(read(one)),
    }) satisfies Column<StatementPart>;
  const columns: Column<StatementPart>[] = [
    { key: "month", sort: "time", title: t("sales.month"), render: (one) => one.month.slice(0, 7) },
    sum("opening", t("sales.opening"), (one) => one.opening_fen),
    sum("earned", t("sales.earned"), (one) => one.earned_fen),
    sum("back", t("sales.takenBack"), (one) => -one.taken_back_fen),
    sum("credit", t("sales.toCredit"), (one) => one.to_credit_fen),
    sum("wallet", t("sales.toWallet"), (one) => one.to_wallet_fen),
    sum("closing", t("sales.closing"), (one) => one.closing_fen),
    {
      key: "act",
      title: "",
      render: (one) => (
        <span className="row">
          <Button size="small" href={`/api/admin/my/statements/${one.id}/export`} download>
            {t("action.csv")}
          </Button>
          <Button size="small" href={`/api/admin/my/statements/${one.id}/print`} target="_blank">
            {t("sales.print")}
          </Button>
        </span>
      ),
    },
  ];
  return (
    <Page title={t("sales.statements")} intro={t("sales.statementsIntro")}>
      <section className="card">
        <DataTable
          name="statements"
          csv={csvAddress("/api/admin/my/statements", asked)}
          list={list}
          columns={columns}
          query={query}
        />
      </section>
      <Commissions />
    </Page>
  );
}

function Commissions() {
  const { t } = useTranslation();
  const query = useInfiniteQuery({
    queryKey: [...salesKey, "commissions"],
    initialPageParam: undefined as number | undefined,
    queryFn: ({ pageParam }) =>
      unwrapList<CommissionsOut>(
        api.GET("/api/admin/my/commissions", {
          params: { query: { limit: 20, ...(pageParam ? { before: pageParam } : {}) } },
        }),
      ),
    getNextPageParam: (last) => last.next_before ?? undefined,
  });
  return (
    <Card
      title={t("sales.lines")}
      extra={
        <Button href={csvAddress("/api/admin/my/commissions", {})} download>
          {t("action.csv")}
        </Button>
      }
    >
      <Table
        rowKey="id"
        size="small"
        loading={query.isPending}
        pagination={false}
        dataSource={query.data?.pages.flatMap((page) => page.commissions) ?? []}
        locale={{ emptyText: <Blank title={t("table.emptyAll")} /> }}
        columns={[
          { title: t("sales.bookedOn"), dataIndex: "booked_on" },
          { title: t("sales.orderId"), dataIndex: "order" },
          { title: t("sales.base"), render: (_, one) => yuan(one.base_fen), align: "right" },
          { title: t("sales.rate"), render: (_, one) => `${one.rate_bp / 100} %`, align: "right" },
          { title: t("sales.fen"), render: (_, one) => yuan(one.fen), align: "right" },
          {
            title: t("sales.isSettled"),
            render: (_, one) => (one.statement_id ? t("sales.yes") : t("sales.no")),
          },
        ]}
      />
      {query.hasNextPage && (
        <Button onClick={() => query.fetchNextPage()} loading={query.isFetchingNextPage}>
          {t("action.next")}
        </Button>
      )}
    </Card>
  );
}
