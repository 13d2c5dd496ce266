import { Link } from "@tanstack/react-router";
import { Button, Progress } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { JobPart, JobsOut, RotationPart, RotationsOut } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { useAct, useAsk } from "@/shared/ui/act";
import { ChoiceFilter, type Column, DataTable, TextFilter } from "@/shared/ui/DataTable";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { State, type Tone } from "@/shared/ui/Page";
import { RotateServer } from "./RotateServer";
import { Who } from "./Who";

const TONES: Record<string, Tone> = {
  queued: "plain",
  preparing: "busy",
  done: "good",
  cancelled: "off",
};

/** How next versions are made: also the log of a server's job. */
export function Rotations() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState();
  const asked = list.asked(["user_id", "job_id", "status"]);
  const query = useListQuery(["aclLogs", "rotations", asked], async () => {
    const found = await unwrapList<RotationsOut>(
      api.GET("/api/acl/rotations", { params: { query: asked as never } }),
    );
    return { rows: found.rotations, next: found.next_before };
  });
  const columns: Column<RotationPart>[] = [
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
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <State tone={TONES[one.status] ?? "plain"}>
          {t(`admin:rotations.status.${one.status}`)}
        </State>
      ),
    },
    {
      key: "reason",
      title: t("admin:aclLogs.reason"),
      render: (one) => word(t as never, "acl.why", one.reason),
    },
    {
      key: "ports",
      title: t("admin:rotations.ports"),
      render: (one) =>
        t(one.is_new_ports ? "admin:rotations.newPorts" : "admin:rotations.samePorts"),
    },
    { key: "version", title: t("admin:rotations.made"), render: (one) => one.version ?? "—" },
    {
      key: "error",
      title: t("admin:rotations.trouble"),
      render: (one) => word(t as never, "errors", one.error),
    },
    { key: "actor", title: t("admin:aclLogs.actor"), render: (one) => one.actor_name },
    {
      key: "ended",
      title: t("admin:rotations.ended"),
      render: (one) => moment(one.ended_at, i18n.language),
    },
    {
      key: "job",
      title: t("admin:rotations.job"),
      hidden: true,
      render: (one) => one.job_id ?? "—",
    },
  ];
  return (
    <DataTable
      name="acl-rotations"
      list={list}
      columns={columns}
      query={query}
      csv={csvAddress("/api/acl/rotations", asked)}
      filters={
        <>
          <TextFilter list={list} name="user_id" label={t("admin:aclLogs.userId")} width={110} />
          <TextFilter list={list} name="job_id" label={t("admin:rotations.job")} width={110} />
          <ChoiceFilter
            list={list}
            name="status"
            label={t("field.state")}
            options={Object.keys(TONES).map((value) => ({
              value,
              label: t(`admin:rotations.status.${value}` as "admin:rotations.status.done"),
            }))}
          />
        </>
      }
    />
  );
}

/** Next versions for everybody on a server, and how far each such job is. */
export function Jobs() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState();
  const ask = useAsk();
  const [isAsking, setAsking] = useState(false);
  const asked = list.asked([]);
  const query = useListQuery(["aclLogs", "jobs", asked], async () => {
    const found = await unwrapList<JobsOut>(
      api.GET("/api/acl/jobs", { params: { query: asked as never } }),
    );
    return { rows: found.jobs, next: found.next_before };
  });
  const cancel = useAct({
    call: (id: number) =>
      unwrap(api.POST("/api/acl/jobs/{job_id}/cancel", { params: { path: { job_id: id } } })),
    changes: [["aclLogs"]],
    done: t("admin:rotations.jobCancelled"),
  });
  const columns: Column<JobPart>[] = [
    { key: "id", title: t("admin:rotations.job"), render: (one) => one.id },
    {
      key: "time",
      sort: "time",
      title: t("field.time"),
      render: (one) => moment(one.created_at, i18n.language),
    },
    {
      key: "server",
      title: t("admin:containers.server"),
      render: (one) => (
        <Link to="/admin/servers/$serverId" params={{ serverId: String(one.server_id) }}>
          #{one.server_id}
        </Link>
      ),
    },
    {
      key: "progress",
      title: t("admin:rotations.progress"),
      render: (one) => (
        <Link to="/admin/acl" search={{ tab: "rotations", job_id: String(one.id) } as never}>
          <Progress
            style={{ width: 160 }}
            percent={one.total ? Math.round((100 * (one.done + one.cancelled)) / one.total) : 100}
            format={() => `${one.done} / ${one.total}`}
            status={one.is_over ? (one.cancelled ? "exception" : "success") : "active"}
            aria-label={t("admin:rotations.progressOf", { done: one.done, total: one.total })}
          />
        </Link>
      ),
    },
    {
      key: "ports",
      title: t("admin:rotations.ports"),
      render: (one) =>
        t(one.is_new_ports ? "admin:rotations.newPorts" : "admin:rotations.samePorts"),
    },
    { key: "actor", title: t("admin:aclLogs.actor"), render: (one) => one.actor_name },
    {
      key: "actions",
      title: "",
      align: "right",
      render: (one) =>
        !one.is_over && (
          <Button
            danger
            onClick={() =>
              ask({
                title: t("admin:rotations.cancelTitle", { id: one.id }),
                text: t("admin:rotations.cancelText"),
                button: t("admin:rotations.cancelJob"),
                do: () => cancel.mutateAsync(one.id),
              })
            }
          >
            {t("admin:rotations.cancelJob")}
          </Button>
        ),
    },
  ];
  return (
    <>
      <DataTable
        name="acl-jobs"
        csv={csvAddress("/api/acl/jobs", asked)}
        list={list}
        columns={columns}
        query={query}
        extra={<Button onClick={() => setAsking(true)}>{t("admin:rotations.forServer")}</Button>}
      />
      {isAsking && <RotateServer close={() => setAsking(false)} />}
    </>
  );
}
