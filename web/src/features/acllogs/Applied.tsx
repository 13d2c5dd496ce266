import { useTranslation } from "react-i18next";
import { api, unwrapList } from "@/api/client";
import type { LinksOut, UsagePart, UsagesOut, UserLinkPart } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { ChoiceFilter, type Column, DataTable, TextFilter } from "@/shared/ui/DataTable";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { State, type Tone } from "@/shared/ui/Page";
import { Who } from "./Who";

const EVIDENCE = ["pushed", "fetched", "presence", "told"] as const;
const LINK_TONES: Record<string, Tone> = {
  testing: "busy",
  working: "good",
  troubled: "warn",
  refused: "bad",
};

/** Which version each tailnet has applied, and how that is known. */
export function Usages() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState();
  const asked = list.asked(["user_id", "evidence", "is_behind"]);
  const query = useListQuery(["aclLogs", "usage", asked], async () => {
    const found = await unwrapList<UsagesOut>(
      api.GET("/api/acl/usage", { params: { query: asked as never } }),
    );
    return {
      rows: found.usages.map((one) => ({ ...one, id: one.user_id })),
      next: found.next_before,
    };
  });
  const columns: Column<UsagePart & { id: number }>[] = [
    {
      key: "user",
      title: t("field.username"),
      render: (one) => <Who id={one.user_id} name={one.username} />,
    },
    {
      key: "current",
      title: t("admin:rotations.inForce"),
      render: (one) => one.current_version,
    },
    {
      key: "applied",
      title: t("admin:rotations.applied"),
      render: (one) => (
        <State
          tone={
            one.applied === null
              ? "off"
              : one.applied.version >= one.current_version
                ? "good"
                : "warn"
          }
        >
          {one.applied ? String(one.applied.version) : t("admin:rotations.unknown")}
        </State>
      ),
    },
    {
      key: "evidence",
      title: t("admin:rotations.evidence"),
      render: (one) => (one.applied ? t(`acl.evidence.${one.applied.evidence}`) : "—"),
    },
    {
      key: "since",
      title: t("admin:rotations.since"),
      render: (one) => moment(one.applied?.since, i18n.language),
    },
    {
      key: "new",
      title: t("admin:rotations.onNew"),
      hidden: true,
      render: (one) => moment(one.on_new_since, i18n.language),
    },
    {
      key: "old",
      title: t("admin:rotations.offOld"),
      hidden: true,
      render: (one) => moment(one.off_old_since, i18n.language),
    },
  ];
  return (
    <DataTable
      name="acl-usage"
      csv={csvAddress("/api/acl/usage", asked)}
      list={list}
      columns={columns}
      query={query}
      filters={
        <>
          <TextFilter list={list} name="user_id" label={t("admin:aclLogs.userId")} width={110} />
          <ChoiceFilter
            list={list}
            name="evidence"
            label={t("admin:rotations.evidence")}
            options={EVIDENCE.map((value) => ({ value, label: t(`acl.evidence.${value}`) }))}
          />
          <ChoiceFilter
            list={list}
            name="is_behind"
            label={t("admin:rotations.behind")}
            options={[
              { value: "true", label: t("admin:rotations.isBehind") },
              { value: "false", label: t("admin:rotations.isNot") },
            ]}
          />
        </>
      }
    />
  );
}

/** Everybody's links to their tailnets, and how they fare. */
export function Links() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState();
  const asked = list.asked(["status"]);
  const query = useListQuery(["aclLogs", "links", asked], async () => {
    const found = await unwrapList<LinksOut>(
      api.GET("/api/acl/all_links", { params: { query: asked as never } }),
    );
    return { rows: found.links, next: found.next_before };
  });
  const columns: Column<UserLinkPart>[] = [
    {
      key: "user",
      title: t("field.username"),
      render: (one) => <Who id={one.user_id} name={one.username} />,
    },
    { key: "kind", title: t("link.kindLabel"), render: (one) => t(`link.kind.${one.kind}`) },
    { key: "address", title: t("field.address"), render: (one) => one.address || "—" },
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <State tone={LINK_TONES[one.status] ?? "plain"}>{t(`link.status.${one.status}`)}</State>
      ),
    },
    {
      key: "trouble",
      title: t("admin:rotations.trouble"),
      render: (one) =>
        one.trouble
          ? i18n.language === "zh-CN"
            ? one.trouble.message_zh
            : one.trouble.message
          : "—",
    },
    {
      key: "succeeded",
      title: t("link.succeeded"),
      render: (one) => moment(one.succeeded_at, i18n.language),
    },
    {
      key: "pushed",
      title: t("admin:rotations.pushedAt"),
      render: (one) => moment(one.pushed_at, i18n.language),
    },
    {
      key: "does",
      title: t("link.does"),
      hidden: true,
      render: (one) =>
        [
          one.wants_devices && t("link.devices"),
          one.wants_push && t("link.push"),
          one.is_automatic && t("link.automatic"),
        ]
          .filter(Boolean)
          .join(" · ") || "—",
    },
  ];
  return (
    <DataTable
      name="acl-links"
      csv={csvAddress("/api/acl/all_links", asked)}
      list={list}
      columns={columns}
      query={query}
      filters={
        <ChoiceFilter
          list={list}
          name="status"
          label={t("field.state")}
          options={Object.keys(LINK_TONES).map((value) => ({
            value,
            label: t(`link.status.${value}` as "link.status.working"),
          }))}
        />
      }
    />
  );
}
