import { useNavigate, useSearch } from "@tanstack/react-router";
import { Button, Tabs } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { AlertOut, AlertsOut } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { overviewKey } from "@/shared/live/keys";
import { useAct, useAsk } from "@/shared/ui/act";
import { ChoiceFilter, type Column, DataTable, TextFilter } from "@/shared/ui/DataTable";
import { inTurn } from "@/shared/ui/inTurn";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Page, State } from "@/shared/ui/Page";
import { severityTone } from "@/shared/ui/tones";
import { Rules } from "./Rules";

const SEVERITIES = ["info", "warning", "critical"] as const;

export function AlertsPage() {
  const { t } = useTranslation(["app", "admin"]);
  const search = useSearch({ strict: false }) as Record<string, string | undefined>;
  const navigate = useNavigate();
  return (
    <Page title={t("admin:alerts.title")}>
      <section className="card">
        <Tabs
          activeKey={search.tab === "rules" ? "rules" : "list"}
          onChange={(tab) =>
            navigate({ to: ".", search: (tab === "list" ? {} : { tab }) as never })
          }
          destroyOnHidden
          items={[
            { key: "list", label: t("admin:alerts.list"), children: <Alerts /> },
            { key: "rules", label: t("admin:alerts.rules"), children: <Rules /> },
          ]}
        />
      </section>
    </Page>
  );
}

function Alerts() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState();
  const ask = useAsk();
  const [chosen, setChosen] = useState<number[]>([]);
  const asked = list.asked(["resolved", "severity", "alert_type"]);
  const query = useListQuery(["alerts", asked], async () => {
    const found = await unwrapList<AlertsOut>(
      api.GET("/api/alerts/list", { params: { query: asked as never } }),
    );
    return { rows: found.alerts, next: found.next_before };
  });
  const resolve = useAct({
    call: (ids: number[]) =>
      inTurn(ids, (id) =>
        unwrap(api.POST("/api/alerts/{alert_id}/resolve", { params: { path: { alert_id: id } } })),
      ),
    changes: [["alerts"], overviewKey, ["containers"]],
    done: (failed) =>
      t("admin:alerts.resolvedSome", {
        done: chosen.length - failed.length,
        failed: failed.length,
      }),
    after: (failed) => setChosen(failed.map((one) => one.id)),
  });
  const columns: Column<AlertOut>[] = [
    {
      key: "severity",
      title: t("admin:alerts.severityLabel"),
      render: (one) => (
        <State tone={severityTone(one.severity)}>
          {t(`admin:alerts.severity.${one.severity}`)}
        </State>
      ),
    },
    {
      key: "message",
      title: t("admin:alerts.message"),
      render: (one) => (
        <div style={{ maxWidth: 560, whiteSpace: "normal" }}>
          {i18n.language === "zh-CN" ? one.message_zh || one.message : one.message}
        </div>
      ),
    },
    {
      key: "resolved",
      title: t("field.state"),
      render: (one) => (
        <State tone={one.resolved ? "off" : "warn"}>
          {one.resolved ? t("admin:alerts.closed") : t("admin:alerts.open")}
        </State>
      ),
    },
    { key: "count", title: t("admin:alerts.count"), align: "right", render: (one) => one.count },
    {
      key: "last",
      title: t("admin:alerts.last"),
      render: (one) => moment(one.last_at, i18n.language),
    },
    {
      key: "first",
      sort: "time",
      title: t("admin:alerts.first"),
      hidden: true,
      render: (one) => moment(one.created_at, i18n.language),
    },
    {
      key: "type",
      title: t("admin:alerts.type"),
      hidden: true,
      render: (one) => <span className="mono">{one.alert_type}</span>,
    },
  ];
  return (
    <DataTable
      name="alerts"
      list={list}
      columns={columns}
      query={query}
      csv={csvAddress("/api/alerts/list", asked)}
      selection={{
        keys: chosen,
        choose: setChosen,
        may: (one) => one.allowed_actions?.includes("resolve") ?? false,
      }}
      extra={
        chosen.length > 0 && (
          <Button
            type="primary"
            loading={resolve.isPending}
            onClick={() =>
              ask({
                title: t("admin:alerts.resolveTitle", { count: chosen.length }),
                text: t("admin:alerts.resolveText"),
                button: t("admin:alerts.resolve"),
                danger: false,
                do: () => resolve.mutateAsync(chosen),
              })
            }
          >
            {t("admin:alerts.resolve")} ({chosen.length})
          </Button>
        )
      }
      filters={
        <>
          <ChoiceFilter
            list={list}
            name="resolved"
            label={t("field.state")}
            options={[
              { value: "false", label: t("admin:alerts.open") },
              { value: "true", label: t("admin:alerts.closed") },
            ]}
          />
          <ChoiceFilter
            list={list}
            name="severity"
            label={t("admin:alerts.severityLabel")}
            options={SEVERITIES.map((value) => ({
              value,
              label: t(`admin:alerts.severity.${value}`),
            }))}
          />
          <TextFilter list={list} name="alert_type" label={t("admin:alerts.type")} />
        </>
      }
    />
  );
}
