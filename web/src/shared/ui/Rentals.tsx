import { useInfiniteQuery } from "@tanstack/react-query";
import { Button, Table } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { PastRentalPart } from "@/api/schema";
import { bytes, moment, rate } from "@/shared/format/format";
import { Failed } from "./Loaded";
import { Blank, Card, State, type Tone } from "./Page";

const TONES: Record<string, Tone> = { active: "good", suspended: "warn", ended: "off" };

/** All rentals of somebody, each with what was bought for it: the reader's own without an id. */
export function Rentals({ userId }: { userId?: number }) {
  const { t, i18n } = useTranslation();
  const query = useInfiniteQuery({
    queryKey: ["users", "rentals", userId ?? "mine"],
    queryFn: ({ pageParam }) => {
      const asked = { limit: 10, ...(pageParam ? { before: pageParam } : {}) };
      return userId === undefined
        ? unwrap(api.GET("/api/user/rentals", { params: { query: asked } }))
        : unwrap(
            api.GET("/api/user/{user_id}/rentals", {
              params: { path: { user_id: userId }, query: asked },
            }),
          );
    },
    initialPageParam: null as number | null,
    getNextPageParam: (last) => last.next_before,
  });
  const when = (from: string, to: string) =>
    `${moment(from, i18n.language)} – ${moment(to, i18n.language)}`;
  return (
    <Card title={t("rentals.title")}>
      {query.isError ? (
        <Failed error={query.error} retry={() => query.refetch()} />
      ) : (
        <Table<PastRentalPart>
          rowKey="id"
          size="small"
          pagination={false}
          loading={query.isPending}
          dataSource={query.data?.pages.flatMap((one) => one.rentals) ?? []}
          locale={{ emptyText: <Blank title={t("rentals.none")} /> }}
          columns={[
            { key: "id", title: t("rentals.number"), render: (_, one) => one.id },
            {
              key: "status",
              title: t("field.state"),
              render: (_, one) => (
                <State tone={TONES[one.status] ?? "plain"}>
                  {t(`rentalStatus.${one.status}`)}
                  {one.end_reason ? ` · ${one.end_reason}` : ""}
                </State>
              ),
            },
            {
              key: "time",
              title: t("field.time"),
              render: (_, one) => when(one.started_at, one.ended_at ?? one.expires_at),
            },
            {
              key: "terms",
              title: t("rentals.bought"),
              render: (_, one) => (
                <ul className="list">
                  {one.terms.map((term) => (
                    <li key={term.number} className="small">
                      {when(term.starts_at, term.ends_at)} ·{" "}
                      {t("rentals.traffic", { traffic: bytes(term.traffic_bytes) })} ·{" "}
                      {t("rentals.devices", { count: term.device_limit })}
                      {term.rate_bytes_per_second > 0 && ` · ${rate(term.rate_bytes_per_second)}`}
                      {term.serial_id !== null &&
                        ` · ${t("rentals.serial", { id: term.serial_id })}`}
                      {term.order_id !== null && ` · ${t("rentals.order", { id: term.order_id })}`}
                    </li>
                  ))}
                </ul>
              ),
            },
          ]}
        />
      )}
      {query.hasNextPage && (
        <Button onClick={() => query.fetchNextPage()} loading={query.isFetchingNextPage}>
          {t("action.more")}
        </Button>
      )}
    </Card>
  );
}
