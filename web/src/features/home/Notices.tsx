import { useInfiniteQuery } from "@tanstack/react-query";
import { Button, Collapse } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { moment } from "@/shared/format/format";
import { Loaded } from "@/shared/ui/Loaded";
import { Blank, Card } from "@/shared/ui/Page";

const SHOWN = 5;

/** What the customer was told by mail, for whoever did not get it. */
export function Notices() {
  const { t, i18n } = useTranslation();
  const query = useInfiniteQuery({
    queryKey: ["notices"],
    queryFn: ({ pageParam }) =>
      unwrap(
        api.GET("/api/user/notices", {
          params: { query: { limit: SHOWN, ...(pageParam ? { before: pageParam } : {}) } },
        }),
      ),
    initialPageParam: null as number | null,
    getNextPageParam: (last) => last.next_before,
    staleTime: 60_000,
  });
  return (
    <Card title={t("home.notices")}>
      <Loaded query={query}>
        {({ pages }) => {
          const notices = pages.flatMap((one) => one.notices);
          if (notices.length === 0) return <Blank title={t("home.noNotices")} />;
          return (
            <>
              <Collapse
                ghost
                items={notices.map((one) => ({
                  key: one.id,
                  label: (
                    <span className="row between">
                      <span>{one.subject}</span>
                      <span className="muted small">{moment(one.created_at, i18n.language)}</span>
                    </span>
                  ),
                  children: <p className="letter">{one.text}</p>,
                }))}
              />
              {query.hasNextPage && (
                <Button loading={query.isFetchingNextPage} onClick={() => query.fetchNextPage()}>
                  {t("home.olderNotices")}
                </Button>
              )}
            </>
          );
        }}
      </Loaded>
    </Card>
  );
}
