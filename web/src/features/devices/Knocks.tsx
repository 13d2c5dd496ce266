import { useQuery } from "@tanstack/react-query";
import { Button, Form, Input, Modal, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { DevicePart, KnockPart } from "@/api/schema";
import { relative, shortKey } from "@/shared/format/format";
import { homeKey } from "@/shared/live/keys";
import { useAct, useAsk } from "@/shared/ui/act";
import { Card } from "@/shared/ui/Page";
import { blockedQuery, devicesKey } from "./queries";

const CHANGED = [homeKey, devicesKey];

/** Devices that tried a relay and wait for a click, and those that were turned away. */
export function Knocks({ knocks, devices }: { knocks: KnockPart[]; devices: DevicePart[] }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const [chosen, setChosen] = useState<KnockPart | null>(null);
  const [showBlocked, setShowBlocked] = useState(false);
  const blocked = useQuery({ ...blockedQuery, enabled: showBlocked });
  const block = useAct({
    call: (id: number) =>
      unwrap(
        api.POST("/api/security/knocks/{knock_id}/block", { params: { path: { knock_id: id } } }),
      ),
    changes: CHANGED,
    done: t("devices.blocked"),
  });
  const unblock = useAct({
    call: (id: number) =>
      unwrap(
        api.POST("/api/security/knocks/{knock_id}/unblock", { params: { path: { knock_id: id } } }),
      ),
    changes: CHANGED,
    done: t("devices.unblocked"),
  });
  const shown = showBlocked ? (blocked.data?.knocks ?? []) : knocks;
  return (
    <Card
      title={showBlocked ? t("devices.blockedList") : t("devices.knocks")}
      extra={
        <Button type="link" size="small" onClick={() => setShowBlocked(!showBlocked)}>
          {showBlocked ? t("devices.knocks") : t("devices.blockedList")}
        </Button>
      }
      hint={t("devices.knocksHint")}
    >
      {shown.length === 0 && (
        <p className="muted">{showBlocked ? t("devices.blockedNone") : t("devices.knocksNone")}</p>
      )}
      <ul className="list">
        {shown.map((knock) => (
          <li key={knock.id} className="row between">
            <Who knock={knock} />
            <div className="row">
              {knock.allowed_actions?.includes("approve") && (
                <Button type="primary" onClick={() => setChosen(knock)}>
                  {t("devices.approve")}
                </Button>
              )}
              {knock.allowed_actions?.includes("block") && (
                <Button
                  danger
                  onClick={() =>
                    ask({
                      title: t("devices.blockTitle"),
                      text: t("devices.blockText"),
                      button: t("devices.block"),
                      do: () => block.mutateAsync(knock.id),
                    })
                  }
                >
                  {t("devices.block")}
                </Button>
              )}
              {knock.allowed_actions?.includes("unblock") && (
                <Button onClick={() => unblock.mutate(knock.id)}>{t("devices.unblock")}</Button>
              )}
            </div>
          </li>
        ))}
      </ul>
      {chosen && <Approve knock={chosen} devices={devices} close={() => setChosen(null)} />}
    </Card>
  );
}

function Who({ knock }: { knock: KnockPart }) {
  const { t, i18n } = useTranslation();
  const place = [knock.ip_address, knock.location].filter(Boolean).join(" · ");
  return (
    <div className="stack tight">
      <span className="mono" title={knock.node_key}>
        {shortKey(knock.node_key)}
      </span>
      <span className="muted small">
        {t("devices.knockFrom", { place })} ·{" "}
        {t("devices.knockCount", {
          count: knock.count,
          when: relative(knock.last_at, i18n.language),
        })}
      </span>
    </div>
  );
}

function Approve(props: { knock: KnockPart; devices: DevicePart[]; close: () => void }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<{ name?: string; replaces?: number }>();
  const approve = useAct({
    call: (typed: { name?: string; replaces?: number }) =>
      unwrap(
        api.POST("/api/security/knocks/{knock_id}/approve", {
          params: { path: { knock_id: props.knock.id } },
          body: { name: typed.name?.trim() || null, replaces_device_id: typed.replaces || null },
        }),
      ),
    changes: CHANGED,
    done: t("devices.approved"),
    after: props.close,
  });
  return (
    <Modal
      open
      title={t("devices.approveTitle")}
      okText={t("devices.approve")}
      cancelText={t("action.cancel")}
      confirmLoading={approve.isPending}
      onOk={() => form.submit()}
      onCancel={props.close}
    >
      <Who knock={props.knock} />
      <Form form={form} layout="vertical" onFinish={approve.mutate} style={{ marginTop: 16 }}>
        <Form.Item name="name" label={t("devices.name")} extra={t("devices.nameHint")}>
          <Input maxLength={64} autoFocus />
        </Form.Item>
        {props.devices.length > 0 && (
          <Form.Item name="replaces" label={t("devices.replace")} initialValue={0}>
            <Select
              options={[
                { value: 0, label: t("devices.replaceNone") },
                ...props.devices.map((one) => ({ value: one.id, label: one.name })),
              ]}
            />
          </Form.Item>
        )}
      </Form>
    </Modal>
  );
}
