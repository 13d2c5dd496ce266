import { useInfiniteQuery } from "@tanstack/react-query";
import { Button, Table, type TableColumnsType } from "antd";
import { useTranslation } from "react-i18next";
import type { DownloadPart, VersionPart } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { Failed } from "@/shared/ui/Loaded";
import { Blank, Card, State, type Tone } from "@/shared/ui/Page";
import { downloadsQuery, versionsQuery } from "./queries";

const TONES: Record<string, Tone> = { current: "good", superseded: "plain", ended: "off" };

/** All versions the customer ever had, newest first. */
export function Versions() {
  const { t, i18n } = useTranslation();
  const query = useInfiniteQuery(versionsQuery);
  const columns: TableColumnsType<VersionPart> = [
    { key: "version", title: t("field.version"), render: (_, one) => one.version },
    {
      key: "status",
      title: t("field.state"),
      render: (_, one) => (
        <State tone={TONES[one.status] ?? "plain"}>
          {word(t as never, "acl.status", one.status)}
        </State>
      ),
    },
    {
      key: "reason",
      title: t("acl.reason"),
      render: (_, one) => word(t as never, "acl.why", one.reason),
    },
    {
      key: "made",
      title: t("acl.made"),
      render: (_, one) => moment(one.created_at, i18n.language),
    },
    {
      key: "ends",
      title: t("acl.ends"),
      render: (_, one) => moment(one.ended_at ?? one.expires_at, i18n.language),
    },
  ];
  return (
    <Card title={t("acl.history")}>
      <Pages
        query={query}
        rows={query.data?.pages.flatMap((page) => page.versions)}
        columns={columns}
        none={t("acl.none")}
      />
    </Card>
  );
}

/** Who took the customer's ACL, from where, with what. */
export function Downloads() {
  const { t, i18n } = useTranslation();
  const query = useInfiniteQuery(downloadsQuery);
  const columns: TableColumnsType<DownloadPart> = [
    {
      key: "time",
      title: t("field.time"),
      render: (_, one) => moment(one.created_at, i18n.language),
    },
    { key: "version", title: t("field.version"), render: (_, one) => one.acl_version },
    {
      key: "form",
      title: t("acl.formLabel"),
      render: (_, one) => word(t as never, "acl.form", one.form),
    },
    {
      key: "ip",
      title: t("field.ip"),
      render: (_, one) => <span className="mono">{one.ip_address}</span>,
    },
    { key: "place", title: t("field.location"), render: (_, one) => one.location || "—" },
    {
      key: "browser",
      title: t("field.browser"),
      render: (_, one) => [one.browser, one.system].filter(Boolean).join(" · ") || "—",
    },
    {
      key: "machine",
      title: t("acl.machine"),
      render: (_, one) =>
        one.machine_code ? (
          <span className="mono" title={one.machine_code}>
            {one.machine_code.slice(0, 20)}…
          </span>
        ) : (
          <span className="muted">{t("acl.noMachine")}</span>
        ),
    },
  ];
  return (
    <Card title={t("acl.downloads")}>
      <Pages
        query={query}
        rows={query.data?.pages.flatMap((page) => page.downloads)}
        columns={columns}
        none={t("acl.downloadsNone")}
      />
    </Card>
  );
}

function Pages<Row extends { id: number }>(props: {
  query: ReturnType<typeof useInfiniteQuery>;
  rows: Row[] | undefined;
  columns: TableColumnsType<Row>;
  none: string;
}) {
  const { t } = useTranslation();
  const { query } = props;
  if (query.isError) return <Failed error={query.error} retry={() => query.refetch()} />;
  return (
    <div className="stack">
      <Table
        rowKey="id"
        size="middle"
        columns={props.columns}
        dataSource={props.rows ?? []}
        loading={query.isPending}
        pagination={false}
        locale={{ emptyText: <Blank title={props.none} /> }}
      />
      {query.hasNextPage && (
        <div>
          <Button onClick={() => query.fetchNextPage()} loading={query.isFetchingNextPage}>
            {t("action.more")}
          </Button>
        </div>
      )}
    </div>
  );
}
