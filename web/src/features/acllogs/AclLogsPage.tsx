import { useNavigate, useSearch } from "@tanstack/react-router";
import { Tabs } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrapList } from "@/api/client";
import type {
  DownloadPart,
  DownloadsOut,
  GenerationPart,
  GenerationsOut,
  VersionPart,
  VersionsOut,
} from "@/api/schema";
import { moment } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import {
  ChoiceFilter,
  type Column,
  DataTable,
  DaysFilter,
  TextFilter,
} from "@/shared/ui/DataTable";
import { csvAddress, useListQuery, useListState, withDays } from "@/shared/ui/list";
import { Page, State } from "@/shared/ui/Page";
import { Links, Usages } from "./Applied";
import { Jobs, Rotations } from "./Rotations";
import { Who } from "./Who";

const FORMS = [
  "snippet",
  "policy",
  "headscale_yaml",
  "headscale_json",
  "headscale_address",
] as const;
const TABS = [
  "generations",
  "downloads",
  "versions",
  "usage",
  "rotations",
  "jobs",
  "links",
] as const;

export function AclLogsPage() {
  const { t } = useTranslation(["app", "admin"]);
  const search = useSearch({ strict: false }) as Record<string, string | undefined>;
  const navigate = useNavigate();
  const tab = TABS.find((one) => one === search.tab) ?? "generations";
  return (
    <Page title={t("admin:aclLogs.title")}>
      <section className="card">
        <Tabs
          activeKey={tab}
          onChange={(key) =>
            navigate({
              to: ".",
              search: { tab: key, ...(search.user_id ? { user_id: search.user_id } : {}) } as never,
            })
          }
          destroyOnHidden
          items={[
            {
              key: "generations",
              label: t("admin:aclLogs.generations"),
              children: <Generations />,
            },
            { key: "downloads", label: t("admin:aclLogs.downloads"), children: <Downloads /> },
            { key: "versions", label: t("admin:aclLogs.versions"), children: <Versions /> },
            { key: "usage", label: t("admin:rotations.usage"), children: <Usages /> },
            { key: "rotations", label: t("admin:rotations.title"), children: <Rotations /> },
            { key: "jobs", label: t("admin:rotations.jobs"), children: <Jobs /> },
            { key: "links", label: t("admin:rotations.links"), children: <Links /> },
          ]}
        />
      </section>
    </Page>
  );
}

function Generations() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState();
  const asked = withDays(
    list.asked(["search", "from", "to", "user_id", "username", "ip", "version", "reason"]),
  );
  const query = useListQuery(["aclLogs", "generations", asked], async () => {
    const found = await unwrapList<GenerationsOut>(
      api.GET("/api/acl/logs", { params: { query: asked as never } }),
    );
    return { rows: found.logs, next: found.next_before };
  });
  const columns: Column<GenerationPart>[] = [
    {
      key: "time",
      sort: "time",
      title: t("field.time"),
      render: (one) => moment(one.created_at, i18n.language),
    },
    {
      key: "user",
      title: t("field.username"),
      render: (one) => <Who id={one.user_id} name={one.username} />,
    },
    { key: "version", title: t("admin:aclLogs.version"), render: (one) => one.acl_version },
    {
      key: "reason",
      title: t("admin:aclLogs.reason"),
      render: (one) => word(t as never, "acl.why", one.reason),
    },
    { key: "actor", title: t("admin:aclLogs.actor"), render: (one) => one.actor_name },
    {
      key: "ip",
      title: t("field.ip"),
      render: (one) => <span className="mono">{one.ip_address || "—"}</span>,
    },
    { key: "place", title: t("field.location"), render: (one) => one.location || "—" },
  ];
  return (
    <DataTable
      name="acl-generations"
      list={list}
      columns={columns}
      query={query}
      csv={csvAddress("/api/acl/logs", asked)}
      filters={
        <>
          <TextFilter list={list} name="search" label={t("admin:aclLogs.search")} />
          <TextFilter list={list} name="username" label={t("admin:aclLogs.username")} width={130} />
          <TextFilter list={list} name="user_id" label={t("admin:aclLogs.userId")} width={110} />
          <TextFilter list={list} name="ip" label={t("field.ip")} width={130} />
          <TextFilter list={list} name="version" label={t("admin:aclLogs.version")} width={90} />
          <DaysFilter list={list} />
        </>
      }
    />
  );
}

function Downloads() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState();
  const asked = withDays(
    list.asked(["search", "from", "to", "user_id", "username", "ip", "version", "form", "machine"]),
  );
  const query = useListQuery(["aclLogs", "downloads", asked], async () => {
    const found = await unwrapList<DownloadsOut>(
      api.GET("/api/acl/all_downloads", { params: { query: asked as never } }),
    );
    return { rows: found.downloads, next: found.next_before };
  });
  const columns: Column<DownloadPart>[] = [
    {
      key: "time",
      sort: "time",
      title: t("field.time"),
      render: (one) => moment(one.created_at, i18n.language),
    },
    {
      key: "user",
      title: t("field.username"),
      render: (one) => <Who id={one.user_id} name={one.username} />,
    },
    { key: "version", title: t("admin:aclLogs.version"), render: (one) => one.acl_version },
    { key: "form", title: t("admin:aclLogs.form"), render: (one) => t(`acl.form.${one.form}`) },
    {
      key: "ip",
      title: t("field.ip"),
      render: (one) => <span className="mono">{one.ip_address || "—"}</span>,
    },
    { key: "place", title: t("field.location"), render: (one) => one.location || "—" },
    {
      key: "machine",
      title: t("admin:aclLogs.machine"),
      render: (one) =>
        one.machine_code ? (
          <span className="mono small" title={one.machine_code}>
            {one.machine_code.length > 28 ? `${one.machine_code.slice(0, 28)}…` : one.machine_code}
          </span>
        ) : (
          <span className="muted">{t("acl.noMachine")}</span>
        ),
    },
    {
      key: "browser",
      title: t("field.browser"),
      render: (one) => [one.browser, one.system].filter(Boolean).join(" · ") || "—",
    },
  ];
  return (
    <DataTable
      name="acl-downloads"
      list={list}
      columns={columns}
      query={query}
      csv={csvAddress("/api/acl/all_downloads", asked)}
      filters={
        <>
          <TextFilter list={list} name="search" label={t("admin:aclLogs.search")} />
          <TextFilter list={list} name="username" label={t("admin:aclLogs.username")} width={130} />
          <TextFilter list={list} name="user_id" label={t("admin:aclLogs.userId")} width={110} />
          <TextFilter list={list} name="machine" label={t("admin:aclLogs.machine")} />
          <ChoiceFilter
            list={list}
            name="form"
            label={t("admin:aclLogs.form")}
            options={FORMS.map((value) => ({ value, label: t(`acl.form.${value}`) }))}
          />
          <DaysFilter list={list} />
        </>
      }
    />
  );
}

function Versions() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState();
  const asked = list.asked(["user_id", "status"]);
  const query = useListQuery(["aclLogs", "versions", asked], async () => {
    const found = await unwrapList<VersionsOut>(
      api.GET("/api/acl/all_versions", { params: { query: asked as never } }),
    );
    return { rows: found.versions, next: found.next_before };
  });
  const columns: Column<VersionPart>[] = [
    { key: "user", title: t("field.username"), render: (one) => <Who id={one.user_id} /> },
    { key: "version", title: t("admin:aclLogs.version"), render: (one) => one.version },
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <State tone={one.status === "current" ? "good" : "off"}>
          {t(`acl.status.${one.status}`)}
        </State>
      ),
    },
    {
      key: "reason",
      title: t("admin:aclLogs.reason"),
      render: (one) => word(t as never, "acl.why", one.reason),
    },
    {
      key: "made",
      sort: "time",
      title: t("acl.made"),
      render: (one) => moment(one.created_at, i18n.language),
    },
    {
      key: "ends",
      title: t("admin:aclLogs.expires"),
      render: (one) => moment(one.ended_at ?? one.expires_at, i18n.language),
    },
    {
      key: "digest",
      title: t("admin:aclLogs.digest"),
      hidden: true,
      render: (one) => <span className="mono">{one.digest.slice(0, 16)}</span>,
    },
  ];
  return (
    <DataTable
      name="acl-versions"
      list={list}
      columns={columns}
      query={query}
      csv={csvAddress("/api/acl/all_versions", asked)}
      filters={
        <>
          <TextFilter list={list} name="user_id" label={t("admin:aclLogs.userId")} width={110} />
          <ChoiceFilter
            list={list}
            name="status"
            label={t("field.state")}
            options={(["current", "superseded", "ended"] as const).map((value) => ({
              value,
              label: t(`acl.status.${value}`),
            }))}
          />
        </>
      }
    />
  );
}
