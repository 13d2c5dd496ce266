import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { SerialOut } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { Copy } from "@/shared/ui/Copy";
import { ChoiceFilter, type Column, DataTable, TextFilter } from "@/shared/ui/DataTable";
import { inTurn } from "@/shared/ui/inTurn";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Page, State } from "@/shared/ui/Page";
import { plansQuery } from "@/shared/ui/plans";
import { Reasoned } from "@/shared/ui/Reasoned";
import { serialTone } from "@/shared/ui/tones";
import { Chain } from "./Chain";
import { Generate } from "./Generate";

const STATES = ["unused", "used", "expired", "revoked"] as const;

/** The serial board. */
export function SerialsPage() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState();
  const [chosen, setChosen] = useState<number[]>([]);
  const [revoking, setRevoking] = useState(false);
  const plans = useQuery(plansQuery);
  const names = new Map(plans.data?.map((one) => [one.id, one.name]));
  const asked = list.asked([
    "code",
    "status",
    "plan_id",
    "user_id",
    "created_by",
    "order_id",
    "distributor_id",
  ]);
  const query = useListQuery(["serials", asked], async () => {
    const found = await unwrap(api.GET("/api/serial/list", { params: { query: asked as never } }));
    return { rows: found.serials, next: found.next_before };
  });
  const columns: Column<SerialOut>[] = [
    {
      key: "code",
      title: t("admin:serials.code"),
      render: (one) => (
        <span className="nowrap">
          <span className="mono">{one.code}</span>
          <Copy text={one.code} plain label={`${t("action.copy")} ${one.code}`} />
        </span>
      ),
    },
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <State tone={serialTone(one.status)}>{t(`admin:serials.status.${one.status}`)}</State>
      ),
    },
    {
      key: "plan",
      title: t("admin:serials.plan"),
      render: (one) => names.get(one.plan_id) ?? one.plan_id,
    },
    {
      key: "days",
      title: t("admin:serials.days"),
      align: "right",
      render: (one) => one.duration_days,
    },
    {
      key: "user",
      title: t("admin:serials.user"),
      render: (one) =>
        one.user_id ? (
          <Link to="/admin/users/$userId" params={{ userId: String(one.user_id) }}>
            {one.username ?? one.user_id}
          </Link>
        ) : (
          "—"
        ),
    },
    {
      key: "used",
      title: t("admin:serials.used"),
      render: (one) => moment(one.used_at, i18n.language),
    },
    {
      key: "created",
      sort: "time",
      title: t("admin:serials.created"),
      render: (one) => moment(one.created_at, i18n.language),
    },
    {
      key: "expires",
      title: t("admin:serials.expires"),
      render: (one) => moment(one.expires_at, i18n.language),
    },
    {
      key: "distributor",
      title: t("admin:serials.distributor"),
      render: (one) => one.distributor ?? "—",
    },
    {
      key: "order",
      title: t("admin:serials.order"),
      hidden: true,
      render: (one) => one.order_id ?? "—",
    },
    { key: "note", title: t("admin:serials.note"), render: (one) => one.note ?? "—" },
    {
      key: "by",
      title: t("admin:serials.createdBy"),
      hidden: true,
      render: (one) => one.created_by ?? "—",
    },
    { key: "id", title: "#", hidden: true, render: (one) => one.id },
  ];
  return (
    <Page
      title={t("admin:serials.title")}
      intro={t("admin:serials.validity")}
      extra={<Generate plans={plans.data ?? []} />}
    >
      <section className="card">
        <DataTable
          name="serials"
          list={list}
          columns={columns}
          query={query}
          csv={csvAddress("/api/serial/export", asked, false)}
          expanded={(one) => <Chain id={one.id} />}
          selection={{
            keys: chosen,
            choose: setChosen,
            may: (one) => one.allowed_actions.includes("revoke"),
          }}
          extra={
            chosen.length > 0 && (
              <Button danger onClick={() => setRevoking(true)}>
                {t("admin:serials.revoke")} ({chosen.length})
              </Button>
            )
          }
          filters={
            <>
              <TextFilter list={list} name="code" label={t("admin:serials.codeSearch")} />
              <ChoiceFilter
                list={list}
                name="status"
                label={t("field.state")}
                options={STATES.map((value) => ({
                  value,
                  label: t(`admin:serials.status.${value}`),
                }))}
              />
              <ChoiceFilter
                list={list}
                name="plan_id"
                label={t("admin:serials.plan")}
                options={(plans.data ?? []).map((one) => ({
                  value: String(one.id),
                  label: one.name,
                }))}
              />
              <TextFilter
                list={list}
                name="user_id"
                label={t("admin:serials.userId")}
                width={120}
              />
              <TextFilter
                list={list}
                name="distributor_id"
                label={t("admin:serials.distributorId")}
                width={120}
              />
            </>
          }
        />
      </section>
      {revoking && (
        <Reasoned
          title={t("admin:serials.revokeTitle", { count: chosen.length })}
          text={t("admin:serials.revokeText")}
          button={t("admin:serials.revoke")}
          call={async (reason) => {
            const failed = await inTurn(chosen, (id) =>
              unwrap(
                api.POST("/api/serial/{serial_id}/revoke", {
                  params: { path: { serial_id: id } },
                  body: { reason },
                }),
              ),
            );
            setChosen(failed.map((one) => one.id));
            if (failed[0]) throw failed[0].error;
          }}
          changes={[["serials"]]}
          done={t("admin:serials.revoked")}
          close={() => setRevoking(false)}
        />
      )}
    </Page>
  );
}
