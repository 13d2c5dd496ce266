import { useNavigate } from "@tanstack/react-router";
import { Alert, Button, Form, Input, InputNumber, Modal, Radio } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { Copy } from "@/shared/ui/Copy";
import { SshFields, type SshTyped, sshOf } from "./SshFields";

interface Typed extends SshTyped {
  way: "ssh" | "script";
  ip: string;
  region: string;
  ssh_port: number;
  public_ip?: string;
  account_phone?: string;
  registered_place?: string;
  allowance?: number;
  port_from: number;
  port_to: number;
  capacity?: number;
}

/** Begins to add a server: by SSH, or by a command somebody runs there. */
export function AddServer() {
  const { t } = useTranslation(["app", "admin"]);
  const [open, setOpen] = useState(false);
  const [command, setCommand] = useState<{ id: number; text: string } | null>(null);
  const navigate = useNavigate();
  const [form] = Form.useForm<Typed>();
  const way = Form.useWatch("way", form) ?? "ssh";
  const show = (id: number) => {
    setOpen(false);
    setCommand(null);
    form.resetFields();
    navigate({ to: "/admin/servers/$serverId", params: { serverId: String(id) } });
  };
  const add = useAct({
    quiet: true,
    call: (typed: Typed) =>
      unwrap(
        api.POST("/api/server/add", {
          body: {
            ip: typed.ip.trim(),
            region: typed.region,
            ssh: typed.way === "ssh" ? sshOf(typed) : null,
            ssh_port: typed.ssh_port,
            host_key_fingerprint: typed.fingerprint?.trim() || null,
            public_ip: typed.public_ip?.trim() || null,
            account_phone: typed.account_phone?.trim() || null,
            registered_place: typed.registered_place?.trim() || null,
            monthly_allowance_bytes: typed.allowance ? Math.round(typed.allowance * 1e9) : null,
            port_from: typed.port_from,
            port_to: typed.port_to,
            capacity: typed.capacity ?? null,
          },
        }),
      ),
    changes: [["servers"]],
    done: t("admin:servers.added"),
    after: (made) =>
      made.command ? setCommand({ id: made.server_id, text: made.command }) : show(made.server_id),
  });
  const needed = [{ required: true, message: t("field.required") }];
  return (
    <>
      <Button type="primary" onClick={() => setOpen(true)}>
        {t("admin:servers.add")}
      </Button>
      <Modal
        open={open}
        width={680}
        title={t("admin:servers.add")}
        okText={command ? t("action.details") : t("admin:servers.add")}
        cancelText={t("action.cancel")}
        confirmLoading={add.isPending}
        onOk={() => (command ? show(command.id) : form.submit())}
        onCancel={() => setOpen(false)}
        destroyOnHidden
      >
        {command ? (
          <div className="stack">
            <p>{t("admin:servers.commandHint")}</p>
            <pre className="code-block" style={{ whiteSpace: "pre-wrap" }}>
              {command.text}
            </pre>
            <div>
              <Copy text={command.text} />
            </div>
          </div>
        ) : (
          <Form
            form={form}
            layout="vertical"
            requiredMark={false}
            onFinish={add.mutate}
            initialValues={{
              way: "ssh",
              ssh_port: 22,
              user: "root",
              port_from: 20000,
              port_to: 29999,
            }}
          >
            {add.isError && (
              <Alert type="error" showIcon role="alert" title={errorText(add.error)} />
            )}
            <div className="tiles" style={{ gap: "0 16px" }}>
              <Form.Item name="ip" label={t("admin:servers.ip")} rules={needed}>
                <Input maxLength={45} className="mono" />
              </Form.Item>
              <Form.Item name="region" label={t("field.region")} rules={needed}>
                <Input maxLength={64} />
              </Form.Item>
              <Form.Item name="public_ip" label={t("admin:servers.publicIp")}>
                <Input maxLength={45} className="mono" />
              </Form.Item>
              <Form.Item name="account_phone" label={t("admin:servers.phone")}>
                <Input maxLength={26} />
              </Form.Item>
              <Form.Item name="registered_place" label={t("admin:servers.place")}>
                <Input maxLength={128} />
              </Form.Item>
              <Form.Item name="allowance" label={`${t("admin:servers.allowance")} (GB)`}>
                <InputNumber min={1} max={1_000_000} />
              </Form.Item>
              <Form.Item name="port_from" label={t("admin:servers.portFrom")} rules={needed}>
                <InputNumber min={1024} max={65535} precision={0} />
              </Form.Item>
              <Form.Item name="port_to" label={t("admin:servers.portTo")} rules={needed}>
                <InputNumber min={1024} max={65535} precision={0} />
              </Form.Item>
              <Form.Item
                name="capacity"
                label={t("admin:servers.capacity")}
                extra={t("admin:servers.capacityHint")}
              >
                <InputNumber min={1} max={2000} precision={0} />
              </Form.Item>
              <Form.Item name="ssh_port" label={t("admin:servers.sshPort")} rules={needed}>
                <InputNumber min={1} max={65535} precision={0} />
              </Form.Item>
            </div>
            <Form.Item name="way" label={t("admin:servers.way")}>
              <Radio.Group
                options={[
                  { value: "ssh", label: t("admin:servers.bySsh") },
                  { value: "script", label: t("admin:servers.byScript") },
                ]}
              />
            </Form.Item>
            {way === "ssh" && <SshFields />}
          </Form>
        )}
      </Modal>
    </>
  );
}
