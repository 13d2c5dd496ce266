import { PlusOutlined } from "@ant-design/icons";
import { Alert, Button, Checkbox, Form, Input, Modal, Tabs } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { ImportResult } from "@/api/schema";
import { shortKey } from "@/shared/format/format";
import { errorText } from "@/shared/i18n";
import { homeKey } from "@/shared/live/keys";
import { useAct } from "@/shared/ui/act";
import { devicesKey } from "./queries";

const CHANGED = [homeKey, devicesKey];

/** Two ways to register devices by hand: one key, or all that `tailscale status` names. */
export function AddDevice() {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  const close = () => setOpen(false);
  return (
    <>
      <Button type="primary" icon={<PlusOutlined />} onClick={() => setOpen(true)}>
        {t("devices.add")}
      </Button>
      <Modal
        open={open}
        title={t("devices.add")}
        footer={null}
        onCancel={close}
        destroyOnHidden
        width={640}
      >
        <Tabs
          items={[
            { key: "status", label: t("devices.byStatus"), children: <ByStatus close={close} /> },
            { key: "key", label: t("devices.byKey"), children: <ByKey close={close} /> },
          ]}
        />
      </Modal>
    </>
  );
}

function ByKey({ close }: { close: () => void }) {
  const { t } = useTranslation();
  const register = useAct({
    quiet: true,
    call: (form: { node_key: string; name: string }) =>
      unwrap(api.POST("/api/security/devices", { body: form })),
    changes: CHANGED,
    done: t("devices.registered"),
    after: close,
  });
  const needed = [{ required: true, message: t("field.required") }];
  return (
    <Form layout="vertical" requiredMark={false} onFinish={register.mutate}>
      {register.isError && (
        <Alert type="error" showIcon role="alert" title={errorText(register.error)} />
      )}
      <Form.Item
        name="node_key"
        label={t("devices.keyLabel")}
        extra={t("devices.keyHint")}
        rules={needed}
      >
        <Input className="mono" maxLength={200} placeholder="nodekey:" />
      </Form.Item>
      <Form.Item name="name" label={t("devices.name")} extra={t("devices.nameHint")} rules={needed}>
        <Input maxLength={64} />
      </Form.Item>
      <Button type="primary" htmlType="submit" loading={register.isPending}>
        {t("devices.add")}
      </Button>
    </Form>
  );
}

function ByStatus({ close }: { close: () => void }) {
  const { t } = useTranslation();
  const [status, setStatus] = useState("");
  const [found, setFound] = useState<ImportResult[] | null>(null);
  const [chosen, setChosen] = useState<Set<string>>(new Set());
  const preview = useAct({
    quiet: true,
    call: (text: string) =>
      unwrap(api.POST("/api/security/devices/import", { body: { status: text, preview: true } })),
    after: ({ results }) => {
      setFound(results);
      setChosen(new Set(results.filter((one) => one.result === "new").map((one) => one.node_key)));
    },
  });
  const bring = useAct({
    quiet: true,
    call: (keys: string[]) =>
      unwrap(
        api.POST("/api/security/devices/import", {
          body: { status, node_keys: keys, preview: false },
        }),
      ),
    changes: CHANGED,
    done: ({ results }) =>
      [
        t("devices.imported", {
          count: results.filter((one) => one.result === "registered").length,
        }),
        results.some((one) => one.result === "limit_reached")
          ? t("devices.limitReached", {
              count: results.filter((one) => one.result === "limit_reached").length,
            })
          : "",
      ].join(" "),
    after: close,
  });
  const error = bring.error ?? preview.error;
  const toggle = (key: string) => {
    const next = new Set(chosen);
    if (!next.delete(key)) next.add(key);
    setChosen(next);
  };
  return (
    <div className="stack">
      {error && <Alert type="error" showIcon role="alert" title={errorText(error)} />}
      {found === null ? (
        <>
          <label htmlFor="status">{t("devices.statusLabel")}</label>
          <span className="muted small">{t("devices.statusHint")}</span>
          <Input.TextArea
            id="status"
            className="mono"
            rows={8}
            value={status}
            onChange={(event) => setStatus(event.target.value)}
            spellCheck={false}
          />
          <div className="row between">
            <label>
              <span className="visually-hidden">{t("devices.statusFile")}</span>
              <input
                type="file"
                accept=".json,.txt,application/json,text/plain"
                onChange={(event) => event.target.files?.[0]?.text().then(setStatus)}
              />
            </label>
            <Button
              type="primary"
              disabled={!status.trim()}
              loading={preview.isPending}
              onClick={() => preview.mutate(status)}
            >
              {t("devices.preview")}
            </Button>
          </div>
        </>
      ) : (
        <>
          <ul className="list" style={{ maxHeight: 360, overflowY: "auto" }}>
            {found.map((one) => (
              <li key={one.node_key} className="row between">
                <Checkbox
                  checked={chosen.has(one.node_key)}
                  disabled={one.result !== "new"}
                  onChange={() => toggle(one.node_key)}
                >
                  <strong>{one.name}</strong>{" "}
                  <span className="muted small">
                    {one.system} <span className="mono">{shortKey(one.node_key)}</span>
                  </span>
                </Checkbox>
                <span className="muted small">{t(`devices.result.${one.result}`)}</span>
              </li>
            ))}
          </ul>
          <div className="row between">
            <Button onClick={() => setFound(null)}>{t("action.back")}</Button>
            <Button
              type="primary"
              disabled={chosen.size === 0}
              loading={bring.isPending}
              onClick={() => bring.mutate([...chosen])}
            >
              {t("devices.import", { count: chosen.size })}
            </Button>
          </div>
        </>
      )}
    </div>
  );
}
