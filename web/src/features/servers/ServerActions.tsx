import { Alert, Button, Form, Input, InputNumber, Modal, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { ServerOut } from "@/api/schema";
import { errorText } from "@/shared/i18n";
import { useAct, useAsk } from "@/shared/ui/act";
import { Compensate } from "@/shared/ui/Compensate";
import { Copy } from "@/shared/ui/Copy";
import { Reasoned } from "@/shared/ui/Reasoned";
import { SshFields, type SshTyped, sshOf } from "./SshFields";

const CHANGED = [["servers"], ["containers"]];

/** What may be done with a server now: the server says what. */
export function ServerActions({ server }: { server: ServerOut }) {
  const { t } = useTranslation(["app", "admin"]);
  const ask = useAsk();
  const [dialog, setDialog] = useState<
    "edit" | "remove" | "retry" | "give_up" | "compensate" | null
  >(null);
  const close = () => setDialog(null);
  const path = { path: { server_id: server.id } };
  const may = (action: string) => server.allowed_actions.includes(action);
  const check = useAct({
    call: () => unwrap(api.POST("/api/server/{server_id}/check", { params: path })),
    changes: CHANGED,
    done: t("admin:servers.checkQueued"),
  });
  const cleanUp = useAct({
    call: () => unwrap(api.POST("/api/server/{server_id}/clean_up", { params: path })),
    changes: CHANGED,
    done: t("admin:servers.cleanUpQueued"),
  });
  const drain = useAct({
    call: (move: boolean) =>
      unwrap(api.POST("/api/server/{server_id}/drain", { params: path, body: { move } })),
    changes: CHANGED,
    done: t("admin:servers.saved"),
  });
  const undrain = useAct({
    call: () => unwrap(api.POST("/api/server/{server_id}/undrain", { params: path })),
    changes: CHANGED,
    done: t("admin:servers.saved"),
  });
  const acls = useAct({
    call: () =>
      unwrap(
        api.POST("/api/acl/generate_for_server", {
          body: { server_id: server.id, reason: "generated", new_ports: false },
        }),
      ),
    changes: CHANGED,
  });
  return (
    <>
      {may("check") && (
        <Button onClick={() => check.mutate(undefined)} loading={check.isPending}>
          {t("admin:servers.check")}
        </Button>
      )}
      {may("retry") && (
        <Button onClick={() => setDialog("retry")}>{t("admin:servers.retry")}</Button>
      )}
      {may("clean_up") && (
        <Button onClick={() => cleanUp.mutate(undefined)} loading={cleanUp.isPending}>
          {t("admin:servers.cleanUp")}
        </Button>
      )}
      {server.status !== "removed" && (
        <Button onClick={() => setDialog("edit")}>{t("admin:servers.edit")}</Button>
      )}
      {server.users > 0 && (
        <Button
          onClick={() =>
            ask({
              title: t("admin:servers.newAclsTitle"),
              text: t("admin:servers.newAclsText"),
              button: t("admin:servers.newAcls"),
              danger: false,
              do: () => acls.mutateAsync(undefined),
            })
          }
        >
          {t("admin:servers.newAcls")}
        </Button>
      )}
      {server.users > 0 && (
        <Button onClick={() => setDialog("compensate")}>{t("admin:money.compensate")}</Button>
      )}
      {may("remove") && !server.draining_at && server.status !== "adding" && (
        <Button
          onClick={() =>
            ask({
              title: t("admin:servers.drainTitle", { ip: server.ip }),
              text: t("admin:servers.drainText"),
              button: t("admin:servers.drain"),
              danger: false,
              do: () => drain.mutateAsync(false),
            })
          }
        >
          {t("admin:servers.drain")}
        </Button>
      )}
      {server.draining_at && server.status !== "removed" && (
        <>
          {server.users > 0 && (
            <Button
              onClick={() =>
                ask({
                  title: t("admin:servers.moveTitle", { ip: server.ip }),
                  text: t("admin:servers.moveText", { count: server.users }),
                  button: t("admin:servers.moveOff"),
                  do: () => drain.mutateAsync(true),
                })
              }
            >
              {t("admin:servers.moveOff")}
            </Button>
          )}
          <Button onClick={() => undrain.mutate(undefined)}>{t("admin:servers.undrain")}</Button>
        </>
      )}
      {may("give_up") && (
        <Button danger onClick={() => setDialog("give_up")}>
          {t("admin:servers.giveUp")}
        </Button>
      )}
      {may("remove") && (
        <Button danger onClick={() => setDialog("remove")}>
          {t("admin:servers.remove")}
        </Button>
      )}
      {dialog === "remove" && (
        <Reasoned
          optional
          title={t("admin:servers.removeTitle", { ip: server.ip })}
          text={t("admin:servers.removeText")}
          button={t("admin:servers.remove")}
          call={(reason) =>
            unwrap(
              api.POST("/api/server/{server_id}/remove", {
                params: path,
                body: { reason: reason || null, move: true, at_once: false },
              }),
            )
          }
          changes={CHANGED}
          done={t("admin:servers.removeQueued")}
          close={close}
        />
      )}
      {dialog === "give_up" && (
        <Reasoned
          title={t("admin:servers.giveUpTitle", { ip: server.ip })}
          text={t("admin:servers.giveUpText")}
          button={t("admin:servers.giveUp")}
          call={(reason) =>
            unwrap(api.POST("/api/server/{server_id}/give_up", { params: path, body: { reason } }))
          }
          changes={CHANGED}
          done={t("admin:servers.saved")}
          close={close}
        />
      )}
      {dialog === "compensate" && (
        <Compensate
          title={t("admin:money.compensateServer", { ip: server.ip })}
          whom={{ server_id: server.id }}
          close={close}
        />
      )}
      {dialog === "retry" && <Retry server={server} close={close} />}
      {dialog === "edit" && <Edit server={server} close={close} />}
    </>
  );
}

function Retry({ server, close }: { server: ServerOut; close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const [form] = Form.useForm<SshTyped>();
  const path = { path: { server_id: server.id } };
  const retry = useAct({
    quiet: true,
    call: (typed: SshTyped) =>
      unwrap(
        api.POST("/api/server/{server_id}/retry", {
          params: path,
          body: {
            ssh: typed.password || typed.private_key ? sshOf(typed) : null,
            host_key_fingerprint: typed.fingerprint?.trim() || null,
          },
        }),
      ),
    changes: CHANGED,
    done: t("admin:servers.retried"),
    after: close,
  });
  const command = useAct({
    call: () => unwrap(api.POST("/api/server/{server_id}/script", { params: path })),
  });
  return (
    <Modal
      open
      width={640}
      title={t("admin:servers.retry")}
      okText={t("admin:servers.retry")}
      cancelText={t("action.cancel")}
      confirmLoading={retry.isPending}
      onOk={() => form.submit()}
      onCancel={close}
    >
      {retry.isError && <Alert type="error" showIcon role="alert" title={errorText(retry.error)} />}
      <Form form={form} layout="vertical" onFinish={retry.mutate} initialValues={{ user: "root" }}>
        <SshFields />
      </Form>
      <div className="stack">
        <div>
          <Button onClick={() => command.mutate(undefined)}>
            {t("admin:servers.makeCommand")}
          </Button>
        </div>
        {command.data && (
          <>
            <span className="muted small">{t("admin:servers.commandHint")}</span>
            <pre className="code-block" style={{ whiteSpace: "pre-wrap" }}>
              {command.data.command}
            </pre>
            <div>
              <Copy text={command.data.command} />
            </div>
          </>
        )}
      </div>
    </Modal>
  );
}

interface EditTyped {
  region: string;
  account_phone?: string;
  registered_place?: string;
  allowance?: number | null;
  billing_day: number;
  margin_percent?: number | null;
  at_margin: "stop" | "move";
  port_from: number;
  port_to: number;
  capacity: number;
  ssh_port: number;
}

function Edit({ server, close }: { server: ServerOut; close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const [form] = Form.useForm<EditTyped>();
  const save = useAct({
    quiet: true,
    call: ({ allowance, ...typed }: EditTyped) =>
      unwrap(
        api.POST("/api/server/{server_id}/update", {
          params: { path: { server_id: server.id } },
          body: {
            ...typed,
            account_phone: typed.account_phone?.trim() || null,
            registered_place: typed.registered_place?.trim() || null,
            margin_percent: typed.margin_percent ?? null,
            monthly_allowance_bytes: allowance ? Math.round(allowance * 1e9) : null,
            version: server.version,
          },
        }),
      ),
    changes: CHANGED,
    done: t("admin:servers.saved"),
    after: close,
  });
  return (
    <Modal
      open
      width={640}
      title={`${t("admin:servers.edit")} ${server.ip}`}
      okText={t("action.save")}
      cancelText={t("action.cancel")}
      confirmLoading={save.isPending}
      onOk={() => form.submit()}
      onCancel={close}
    >
      {save.isError && <Alert type="error" showIcon role="alert" title={errorText(save.error)} />}
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        onFinish={save.mutate}
        initialValues={{
          ...server,
          allowance: server.monthly_allowance_bytes ? server.monthly_allowance_bytes / 1e9 : null,
        }}
      >
        <div className="tiles" style={{ gap: "0 16px" }}>
          <Form.Item
            name="region"
            label={t("field.region")}
            rules={[{ required: true, message: t("field.required") }]}
          >
            <Input maxLength={64} />
          </Form.Item>
          <Form.Item name="capacity" label={t("admin:servers.capacity")}>
            <InputNumber min={1} max={2000} precision={0} />
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
          <Form.Item name="billing_day" label={t("admin:servers.billingDay")}>
            <InputNumber min={1} max={31} precision={0} />
          </Form.Item>
          <Form.Item name="margin_percent" label={t("admin:servers.margin")}>
            <InputNumber min={1} max={100} precision={0} />
          </Form.Item>
          <Form.Item name="at_margin" label={t("admin:servers.atMargin")}>
            <Select
              options={(["stop", "move"] as const).map((value) => ({
                value,
                label: t(`admin:servers.at.${value}`),
              }))}
            />
          </Form.Item>
          <Form.Item name="port_from" label={t("admin:servers.portFrom")}>
            <InputNumber min={1024} max={65535} precision={0} />
          </Form.Item>
          <Form.Item name="port_to" label={t("admin:servers.portTo")}>
            <InputNumber min={1024} max={65535} precision={0} />
          </Form.Item>
          <Form.Item name="ssh_port" label={t("admin:servers.sshPort")}>
            <InputNumber min={1} max={65535} precision={0} />
          </Form.Item>
        </div>
      </Form>
    </Modal>
  );
}
