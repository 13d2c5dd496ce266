import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Tabs } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrapList } from "@/api/client";
import type { HistoryRow, ServerLogRow, SystemLogRow, UserLogRow } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { type Column, DataTable, DaysFilter, TextFilter } from "@/shared/ui/DataTable";
import { csvAddress, useListQuery, useListState, withDays } from "@/shared/ui/list";
import { Page } from "@/shared/ui/Page";

const TABS = ["system", "user", "history", "server"] as const;
const READ = {
  system: (asked: Record<string, string>) =>
    api.GET("/api/logs/system", { params: { query: asked as never } }),
  user: (asked: Record<string, string>) =>
    api.GET("/api/logs/user", { params: { query: asked as never } }),
  history: (asked: Record<string, string>) =>
    api.GET("/api/logs/history", { params: { query: asked as never } }),
  server: (asked: Record<string, string>) =>
    api.GET("/api/logs/server", { params: { query: asked as never } }),
};
const FILTERS = {
  system: ["action", "actor_id", "object_type", "object_id", "ip"],
  user: ["user_id", "action", "ip"],
  history: ["user_id", "kind", "rental_id"],
  server: ["server_id", "action", "result"],
} as const;
type Tab = (typeof TABS)[number];
type Row = SystemLogRow | UserLogRow | HistoryRow | ServerLogRow;

export function LogsPage() {
  const { t } = useTranslation(["app", "admin"]);
  const search = useSearch({ strict: false }) as Record<string, string | undefined>;
  const navigate = useNavigate();
  const tab = TABS.find((one) => one === search.tab) ?? "system";
  return (
    <Page title={t("admin:logs.title")}>
      <section className="card">
        <Tabs
          activeKey={tab}
          onChange={(key) => navigate({ to: ".", search: { tab: key } as never })}
          destroyOnHidden
          items={TABS.map((key) => ({
            key,
            label: t(`admin:logs.${key}`),
            children: <Log key={key} tab={key} />,
          }))}
        />
      </section>
    </Page>
  );
}

function Log({ tab }: { tab: Tab }) {
  const { t } = useTranslation(["app", "admin"]);
  const list = useListState(50);
  const asked = withDays(list.asked(["search", "from", "to", ...FILTERS[tab]]));
  const query = useListQuery<{ rows: Row[]; next: number | null | undefined }>(
    ["logs", tab, asked],
    async () => {
      const found = await unwrapList<{ logs: Row[]; next_before: number | null }>(READ[tab](asked));
      return { rows: found.logs, next: found.next_before };
    },
  );
  const labels: Record<string, string> = {
    action: t("admin:logs.action"),
    actor_id: t("admin:logs.actorId"),
    object_type: t("admin:logs.objectType"),
    object_id: t("admin:logs.objectId"),
    ip: t("field.ip"),
    user_id: t("admin:logs.userId"),
    kind: t("admin:logs.kind"),
    rental_id: t("admin:logs.rentalId"),
    server_id: t("admin:logs.serverId"),
    result: t("admin:logs.result"),
  };
  return (
    <DataTable<Row>
      name={`logs-${tab}`}
      list={list}
      columns={useColumnsOf(tab)}
      query={query}
      csv={csvAddress(`/api/logs/${tab}`, asked)}
      filters={
        <>
          <TextFilter list={list} name="search" label={t("admin:logs.search")} />
          {FILTERS[tab].map((name) => (
            <TextFilter
              key={name}
              list={list}
              name={name}
              label={labels[name] ?? name}
              width={120}
            />
          ))}
          <DaysFilter list={list} />
        </>
      }
    />
  );
}

function useColumnsOf(tab: Tab): Column<Row>[] {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const time = {
    key: "time",
    sort: "time",
    title: t("field.time"),
    render: (one: Row) => moment(one.created_at, i18n.language),
  };
  const user = {
    key: "user",
    title: t("admin:logs.userId"),
    render: (one: Row) => <UserLink id={(one as UserLogRow).user_id} />,
  };
  const action = {
    key: "action",
    title: t("admin:logs.action"),
    render: (one: Row) => <Code>{(one as SystemLogRow).action}</Code>,
  };
  const ip = {
    key: "ip",
    title: t("field.ip"),
    render: (one: Row) => <Code>{(one as SystemLogRow).ip_address || "—"}</Code>,
  };
  const detail = {
    key: "detail",
    title: t("admin:logs.detail"),
    render: (one: Row) => <Json value={(one as UserLogRow).detail} />,
  };
  const columns = {
    system: [
      time,
      {
        key: "actor",
        title: t("admin:logs.actor"),
        render: (one: SystemLogRow) => (
          <>
            {one.actor_name || "—"}{" "}
            <span className="muted small">{word(t as never, "role", one.actor_role)}</span>
          </>
        ),
      },
      action,
      {
        key: "object",
        title: t("admin:logs.object"),
        render: (one: SystemLogRow) =>
          `${one.object_type}${one.object_id ? ` #${one.object_id}` : ""}`,
      },
      {
        key: "before",
        title: t("admin:logs.before"),
        render: (one: SystemLogRow) => <Json value={one.before} />,
      },
      {
        key: "after",
        title: t("admin:logs.after"),
        render: (one: SystemLogRow) => <Json value={one.after} />,
      },
      ip,
    ],
    user: [
      time,
      user,
      action,
      detail,
      ip,
      {
        key: "place",
        title: t("field.location"),
        render: (one: UserLogRow) => one.location || "—",
      },
      {
        key: "browser",
        title: t("field.browser"),
        render: (one: UserLogRow) => one.browser || "—",
      },
    ],
    history: [
      time,
      user,
      {
        key: "kind",
        title: t("admin:logs.kind"),
        render: (one: HistoryRow) => <Code>{one.kind}</Code>,
      },
      {
        key: "rental",
        title: t("admin:logs.rentalId"),
        render: (one: HistoryRow) => one.rental_id ?? "—",
      },
      detail,
    ],
    server: [
      time,
      {
        key: "server",
        title: t("admin:logs.serverId"),
        render: (one: ServerLogRow) => (
          <Link to="/admin/servers/$serverId" params={{ serverId: String(one.server_id) }}>
            #{one.server_id}
          </Link>
        ),
      },
      {
        key: "actor",
        title: t("admin:logs.actor"),
        render: (one: ServerLogRow) => one.actor_name || "—",
      },
      action,
      { key: "result", title: t("admin:logs.result"), render: (one: ServerLogRow) => one.result },
      detail,
    ],
  };
  return columns[tab] as unknown as Column<Row>[];
}

function UserLink({ id }: { id: number }) {
  return (
    <Link to="/admin/users/$userId" params={{ userId: String(id) }}>
      #{id}
    </Link>
  );
}

function Code({ children }: { children: string }) {
  return <span className="mono">{children}</span>;
}

function Json({ value }: { value: unknown }) {
  if (!value || Object.keys(value).length === 0) return <span className="muted">—</span>;
  const text = JSON.stringify(value);
  return (
    <span
      className="mono small"
      title={text}
      style={{ display: "inline-block", maxWidth: 360, whiteSpace: "normal" }}
    >
      {text.length > 200 ? `${text.slice(0, 200)}…` : text}
    </span>
  );
}
