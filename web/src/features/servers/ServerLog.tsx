import { useInfiniteQuery } from "@tanstack/react-query";
import { Button, Table } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { moment } from "@/shared/format/format";
import { Blank, Card } from "@/shared/ui/Page";

/** What was done on a server, by whom, with what result. */
export function ServerLog({ id }: { id: number }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const query = useInfiniteQuery({
    queryKey: ["servers", "log", id],
    queryFn: ({ pageParam }) =>
      unwrap(
        api.GET("/api/server/{server_id}/log", {
          params: { path: { server_id: id }, query: { before: pageParam, limit: 20 } },
        }),
      ),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (page) => page.next_before ?? undefined,
  });
  return (
    <Card title={t("admin:servers.log")}>
      <Table
        rowKey="id"
        size="small"
        pagination={false}
        loading={query.isPending}
        dataSource={query.data?.pages.flatMap((page) => page.logs) ?? []}
        locale={{ emptyText: <Blank title={t("table.emptyAll")} /> }}
        columns={[
          {
            key: "time",
            title: t("field.time"),
            render: (_, one) => moment(one.created_at, i18n.language),
          },
          { key: "who", title: t("admin:servers.who"), dataIndex: "actor_name" },
          { key: "action", title: t("admin:servers.action"), dataIndex: "action" },
          { key: "result", title: t("admin:servers.result"), dataIndex: "result" },
          {
            key: "detail",
            title: t("admin:servers.detail"),
            render: (_, one) => (
              <span className="mono small">{one.detail ? JSON.stringify(one.detail) : "—"}</span>
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
