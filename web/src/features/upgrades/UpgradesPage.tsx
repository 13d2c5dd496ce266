import { Link } from "@tanstack/react-router";
import { Alert, Button, Form, Input, InputNumber, Modal } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { UpgradePart, UpgradesOut } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { errorText } from "@/shared/i18n";
import { useAct, useAsk } from "@/shared/ui/act";
import { type Column, DataTable } from "@/shared/ui/DataTable";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Page, State } from "@/shared/ui/Page";
import { stageTone, upgradeTone } from "@/shared/ui/tones";

const CHANGED = [["upgrades"]];

/** Servers brought to the node and relay image of this panel, one after another. */
export function UpgradesPage() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const ask = useAsk();
  const [isBeginning, setBeginning] = useState(false);
  const list = useListState();
  const asked = list.asked([]);
  const query = useListQuery(["upgrades", asked], async () => {
    const found = await unwrapList<UpgradesOut>(
      api.GET("/api/server/upgrade", { params: { query: asked as never } }),
    );
    return { rows: found.upgrades, next: found.next_before };
  });
  const change = useAct({
    call: ({ id, action }: { id: number; action: string }) => {
      const path = { params: { path: { upgrade_id: id } } };
      if (action === "pause")
        return unwrap(api.POST("/api/server/upgrade/{upgrade_id}/pause", path));
      if (action === "resume")
        return unwrap(api.POST("/api/server/upgrade/{upgrade_id}/resume", path));
      return unwrap(api.POST("/api/server/upgrade/{upgrade_id}/abort", path));
    },
    changes: CHANGED,
    done: t("admin:upgrades.changed"),
  });
  const columns: Column<UpgradePart>[] = [
    {
      key: "created",
      sort: "time",
      title: t("admin:upgrades.created"),
      render: (one) => moment(one.created_at, i18n.language),
    },
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <State tone={upgradeTone(one.status)}>{t(`admin:upgrades.status.${one.status}`)}</State>
      ),
    },
    {
      key: "progress",
      title: t("admin:upgrades.progress"),
      render: (one) => t("admin:upgrades.of", { done: one.done, all: one.servers.length }),
    },
    {
      key: "node",
      title: t("admin:upgrades.node"),
      render: (one) => <span className="mono">{one.node_version}</span>,
    },
    {
      key: "label",
      title: t("admin:upgrades.label"),
      render: (one) => <span className="mono">{one.relay_label}</span>,
    },
    { key: "reason", title: t("admin:upgrades.reason"), render: (one) => one.reason ?? "—" },
    { key: "by", title: t("admin:upgrades.by"), render: (one) => one.actor_name },
    {
      key: "finished",
      title: t("admin:upgrades.finished"),
      render: (one) => (one.finished_at ? moment(one.finished_at, i18n.language) : "—"),
    },
    {
      key: "actions",
      title: "",
      align: "right",
      render: (one) => (
        <div className="row end">
          {one.allowed_actions.includes("pause") && (
            <Button onClick={() => change.mutate({ id: one.id, action: "pause" })}>
              {t("admin:upgrades.pause")}
            </Button>
          )}
          {one.allowed_actions.includes("resume") && (
            <Button onClick={() => change.mutate({ id: one.id, action: "resume" })}>
              {t("admin:upgrades.resume")}
            </Button>
          )}
          {one.allowed_actions.includes("abort") && (
            <Button
              danger
              onClick={() =>
                ask({
                  title: t("admin:upgrades.abortTitle"),
                  text: t("admin:upgrades.abortText"),
                  button: t("admin:upgrades.abort"),
                  do: () => change.mutateAsync({ id: one.id, action: "abort" }),
                })
              }
            >
              {t("admin:upgrades.abort")}
            </Button>
          )}
        </div>
      ),
    },
  ];
  return (
    <Page
      title={t("admin:upgrades.title")}
      intro={t("admin:upgrades.intro")}
      extra={
        <Button type="primary" onClick={() => setBeginning(true)}>
          {t("admin:upgrades.begin")}
        </Button>
      }
    >
      <section className="card">
        <DataTable
          name="upgrades"
          csv={csvAddress("/api/server/upgrade", asked)}
          list={list}
          columns={columns}
          query={query}
          expanded={(one) => <Stages upgrade={one} />}
        />
      </section>
      {isBeginning && <Begin close={() => setBeginning(false)} />}
    </Page>
  );
}

function Stages({ upgrade }: { upgrade: UpgradePart }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  return (
    <ol className="list">
      {upgrade.servers.map((one) => (
        <li key={one.server_id}>
          <State tone={stageTone(one.status)}>
            <Link to="/admin/servers/$serverId" params={{ serverId: String(one.server_id) }}>
              {t("admin:upgrades.server")} #{one.server_id}
            </Link>{" "}
            {t(`admin:upgrades.stage.${one.status}`)}
            {one.status === "watched" && one.watch_until && (
              <> {t("admin:upgrades.watched", { when: moment(one.watch_until, i18n.language) })}</>
            )}
          </State>
          {one.message && <p className="muted small">{one.message}</p>}
        </li>
      ))}
    </ol>
  );
}

function Begin({ close }: { close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const [form] = Form.useForm<{ minutes: number; reason?: string }>();
  const begin = useAct({
    call: (typed: { minutes: number; reason?: string }) =>
      unwrap(
        api.POST("/api/server/upgrade", {
          body: { watch_seconds: typed.minutes * 60, reason: typed.reason || null },
        }),
      ),
    changes: CHANGED,
    done: t("admin:upgrades.begun"),
    after: close,
    quiet: true,
  });
  return (
    <Modal
      open
      title={t("admin:upgrades.beginTitle")}
      okText={t("admin:upgrades.begin")}
      cancelText={t("action.cancel")}
      confirmLoading={begin.isPending}
      onCancel={close}
      onOk={() => form.submit()}
    >
      <p className="muted">{t("admin:upgrades.beginText")}</p>
      {begin.isError && <Alert type="error" showIcon role="alert" title={errorText(begin.error)} />}
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        initialValues={{ minutes: 5 }}
        onFinish={(typed) => begin.mutate(typed)}
      >
        <Form.Item name="minutes" label={t("admin:upgrades.watch")} rules={[{ required: true }]}>
          <InputNumber min={0} max={1440} precision={0} />
        </Form.Item>
        <Form.Item name="reason" label={t("admin:upgrades.reason")}>
          <Input maxLength={200} />
        </Form.Item>
      </Form>
    </Modal>
  );
}
