import { useQuery } from "@tanstack/react-query";
import { Button, Form, Input, Modal, Table, type TableColumnsType } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { DevicePart } from "@/api/schema";
import { moment, relative, shortKey } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { homeKey } from "@/shared/live/keys";
import { useAct, useAsk } from "@/shared/ui/act";
import { Copy } from "@/shared/ui/Copy";
import { Blank, Card, State } from "@/shared/ui/Page";
import { devicesKey, removedQuery } from "./queries";

const CHANGED = [homeKey, devicesKey];

/** The devices that are let in, in the words Tailscale's own list uses. */
export function DeviceList({ devices, limit }: { devices: DevicePart[]; limit: number | null }) {
  const { t, i18n } = useTranslation();
  const ask = useAsk();
  const [showRemoved, setShowRemoved] = useState(false);
  const [renaming, setRenaming] = useState<DevicePart | null>(null);
  const removed = useQuery({ ...removedQuery, enabled: showRemoved });
  const remove = useAct({
    call: (id: number) =>
      unwrap(
        api.POST("/api/security/devices/{device_id}/remove", {
          params: { path: { device_id: id } },
        }),
      ),
    changes: CHANGED,
    done: t("devices.removed"),
  });
  const again = useAct({
    call: (one: DevicePart) =>
      unwrap(
        api.POST("/api/security/devices", { body: { node_key: one.node_key, name: one.name } }),
      ),
    changes: CHANGED,
    done: t("devices.registered"),
  });

  const name = {
    key: "name",
    title: t("devices.name"),
    render: (_: unknown, one: DevicePart) => (
      <div className="stack tight">
        <strong>{one.name}</strong>
        <span className="muted small">
          {[one.system, word(t as never, "devices.source", one.source)].filter(Boolean).join(" · ")}
        </span>
      </div>
    ),
  };
  const key = {
    key: "key",
    title: t("devices.nodeKey"),
    render: (_: unknown, one: DevicePart) => (
      <span className="nowrap">
        <span className="mono" title={one.node_key}>
          {shortKey(one.node_key)}
        </span>
        <Copy text={one.node_key} plain label={`${t("action.copy")} ${one.name}`} />
      </span>
    ),
  };
  const columns: TableColumnsType<DevicePart> = showRemoved
    ? [
        name,
        key,
        {
          key: "removed",
          title: t("devices.removedAt"),
          render: (_, one) => moment(one.removed_at, i18n.language),
        },
        {
          key: "actions",
          title: "",
          align: "right",
          render: (_, one) => (
            <Button onClick={() => again.mutate(one)}>{t("devices.again")}</Button>
          ),
        },
      ]
    : [
        name,
        key,
        {
          key: "addresses",
          title: t("devices.addresses"),
          render: (_, one) => <Lines lines={(one.connections ?? []).map((at) => at.address)} />,
        },
        {
          key: "seen",
          title: t("devices.lastSeen"),
          render: (_, one) =>
            one.connections?.length ? (
              <State tone="good">{t("devices.online")}</State>
            ) : (
              <State tone="off">
                {one.last_seen_at ? relative(one.last_seen_at, i18n.language) : t("devices.never")}
              </State>
            ),
        },
        {
          key: "where",
          title: t("devices.connectedTo"),
          render: (_, one) => (
            <Lines lines={(one.connections ?? []).map((at) => t("home.slot", { slot: at.slot }))} />
          ),
        },
        {
          key: "actions",
          title: "",
          align: "right",
          render: (_, one) => (
            <div className="row end">
              <Button
                onClick={() => setRenaming(one)}
                aria-label={`${t("action.rename")} ${one.name}`}
              >
                {t("action.rename")}
              </Button>
              <Button
                danger
                aria-label={`${t("action.remove")} ${one.name}`}
                onClick={() =>
                  ask({
                    title: t("devices.removeTitle", { name: one.name }),
                    text: t("devices.removeText"),
                    button: t("action.remove"),
                    do: () => remove.mutateAsync(one.id),
                  })
                }
              >
                {t("action.remove")}
              </Button>
            </div>
          ),
        },
      ];
  return (
    <Card
      title={showRemoved ? t("devices.removedList") : t("devices.list")}
      extra={
        <>
          {limit !== null && !showRemoved && (
            <span className="muted">{t("devices.limit", { count: devices.length, limit })}</span>
          )}
          <Button type="link" size="small" onClick={() => setShowRemoved(!showRemoved)}>
            {showRemoved ? t("devices.list") : t("devices.showRemoved")}
          </Button>
        </>
      }
    >
      <Table
        rowKey="id"
        size="middle"
        columns={columns}
        dataSource={showRemoved ? (removed.data?.devices ?? []) : devices}
        loading={showRemoved && removed.isPending}
        pagination={false}
        locale={{
          emptyText: showRemoved ? (
            <Blank title={t("devices.noneRemoved")} />
          ) : (
            <Blank title={t("devices.none")} hint={t("devices.noneHint")} />
          ),
        }}
      />
      {renaming && <Rename device={renaming} close={() => setRenaming(null)} />}
    </Card>
  );
}

function Lines({ lines }: { lines: string[] }) {
  if (lines.length === 0) return <span className="muted">—</span>;
  return (
    <>
      {[...new Set(lines)].map((line) => (
        <div key={line} className="nowrap">
          {line}
        </div>
      ))}
    </>
  );
}

function Rename({ device, close }: { device: DevicePart; close: () => void }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<{ name: string }>();
  const rename = useAct({
    call: (typed: { name: string }) =>
      unwrap(
        api.POST("/api/security/devices/{device_id}/rename", {
          params: { path: { device_id: device.id } },
          body: typed,
        }),
      ),
    changes: CHANGED,
    done: t("devices.renamed"),
    after: close,
  });
  return (
    <Modal
      open
      title={t("devices.renameTitle")}
      okText={t("action.save")}
      cancelText={t("action.cancel")}
      confirmLoading={rename.isPending}
      onOk={() => form.submit()}
      onCancel={close}
    >
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        onFinish={rename.mutate}
        initialValues={{ name: device.name }}
      >
        <Form.Item
          name="name"
          label={t("devices.name")}
          rules={[{ required: true, message: t("field.required") }]}
        >
          <Input maxLength={64} autoFocus />
        </Form.Item>
      </Form>
    </Modal>
  );
}
