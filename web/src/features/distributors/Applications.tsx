import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { ApplicationPart, ApplicationsOut } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { useAct, useAsk } from "@/shared/ui/act";
import { ChoiceFilter, type Column, DataTable } from "@/shared/ui/DataTable";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { State } from "@/shared/ui/Page";
import { Reasoned } from "@/shared/ui/Reasoned";
import { applicationTone } from "@/shared/ui/tones";
import { distributorsKey } from "./queries";

const STATES = ["pending", "approved", "refused", "withdrawn"] as const;

/** What distributors applied for; here it is decided. */
export function Applications() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState();
  const ask = useAsk();
  const [refused, setRefused] = useState<ApplicationPart | null>(null);
  const asked = list.asked(["status", "user_id"]);
  const query = useListQuery([...distributorsKey, "applications", asked], async () => {
    const found = await unwrapList<ApplicationsOut>(
      api.GET("/api/admin/applications", { params: { query: asked as never } }),
    );
    return { rows: found.applications, next: found.next_before };
  });
  const approve = useAct({
    call: (id: number) =>
      unwrap(
        api.POST("/api/admin/applications/{application_id}/approve", {
          params: { path: { application_id: id } },
        }),
      ),
    changes: [distributorsKey],
    done: t("admin:distributors.approved"),
  });
  const columns: Column<ApplicationPart>[] = [
    { key: "id", title: "#", render: (one) => one.id },
    { key: "name", title: t("sales.name"), render: (one) => one.username ?? one.user_id },
    { key: "plan", title: t("sales.plan"), render: (one) => one.plan ?? one.plan_id },
    {
      key: "quantity",
      title: t("sales.quantity"),
      align: "right",
      render: (one) => one.quantity,
    },
    { key: "note", title: t("sales.note"), render: (one) => one.note ?? "—" },
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <State tone={applicationTone(one.status)}>{t(`sales.status.${one.status}`)}</State>
      ),
    },
    { key: "reason", title: t("sales.reason"), hidden: true, render: (one) => one.reason ?? "—" },
    {
      key: "asked",
      sort: "time",
      title: t("sales.asked"),
      render: (one) => moment(one.created_at, i18n.language),
    },
    {
      key: "decided",
      title: t("sales.decided"),
      render: (one) => moment(one.decided_at, i18n.language),
    },
    {
      key: "act",
      title: "",
      render: (one) =>
        one.allowed_actions.length > 0 && (
          <span className="row">
            <Button
              size="small"
              type="primary"
              onClick={() =>
                ask({
                  title: t("admin:distributors.approveTitle", { count: one.quantity }),
                  text: t("admin:distributors.approveText"),
                  button: t("admin:distributors.approve"),
                  danger: false,
                  do: () => approve.mutateAsync(one.id),
                })
              }
            >
              {t("admin:distributors.approve")}
            </Button>
            <Button size="small" danger onClick={() => setRefused(one)}>
              {t("admin:distributors.refuse")}
            </Button>
          </span>
        ),
    },
  ];
  return (
    <section className="card">
      <DataTable
        name="allApplications"
        list={list}
        columns={columns}
        query={query}
        csv={csvAddress("/api/admin/applications", asked)}
        filters={
          <ChoiceFilter
            list={list}
            name="status"
            label={t("field.state")}
            options={STATES.map((value) => ({ value, label: t(`sales.status.${value}`) }))}
          />
        }
      />
      {refused && (
        <Reasoned
          title={t("admin:distributors.refuseTitle")}
          text={t("admin:distributors.refuseText")}
          button={t("admin:distributors.refuse")}
          call={(reason) =>
            unwrap(
              api.POST("/api/admin/applications/{application_id}/refuse", {
                params: { path: { application_id: refused.id } },
                body: { reason },
              }),
            )
          }
          changes={[[...distributorsKey]]}
          done={t("admin:distributors.refused")}
          close={() => setRefused(null)}
        />
      )}
    </section>
  );
}
