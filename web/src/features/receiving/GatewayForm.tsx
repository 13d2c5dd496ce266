import { Alert, Form, Input, Modal, Switch } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { AlipayCredentials, WeChatCredentials } from "@/api/schema";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { type Channel, receivingKey } from "./methods";

const FIELDS = {
  alipay: ["app_id", "seller_id", "private_key", "alipay_public_key"],
  wechat: [
    "app_id",
    "mchid",
    "cert_serial_no",
    "private_key",
    "apiv3_key",
    "public_key",
    "public_key_id",
  ],
} as const;
const LONG = new Set(["private_key", "alipay_public_key", "public_key"]);
type Typed = { is_enabled: boolean } & Record<string, string | boolean | undefined>;

/** A gateway's credentials: what is there is never shown, and stays when nothing is typed. */
export function GatewayForm(props: {
  method: "alipay" | "wechat";
  set: Channel | undefined;
  close: () => void;
}) {
  const { t } = useTranslation(["app", "admin"]);
  const [form] = Form.useForm<Typed>();
  const { method, set } = props;
  const save = useAct({
    quiet: true,
    call: (typed: Typed) => {
      const filled = FIELDS[method].filter((one) => String(typed[one] ?? "").trim());
      const credentials = filled.length
        ? Object.fromEntries(FIELDS[method].map((one) => [one, String(typed[one] ?? "").trim()]))
        : null;
      const body = { version: set?.version ?? 0, is_enabled: typed.is_enabled };
      return method === "alipay"
        ? unwrap(
            api.POST("/api/finance/channels/alipay", {
              body: { ...body, credentials: credentials as AlipayCredentials | null },
            }),
          )
        : unwrap(
            api.POST("/api/finance/channels/wechat", {
              body: { ...body, credentials: credentials as WeChatCredentials | null },
            }),
          );
    },
    changes: [receivingKey],
    done: t("admin:receiving.saved"),
    after: props.close,
  });
  return (
    <Modal
      open
      title={t(`wallet.by.${method}`)}
      okText={t("action.save")}
      cancelText={t("action.cancel")}
      confirmLoading={save.isPending}
      onOk={() => form.submit()}
      onCancel={props.close}
    >
      <p className="muted">
        {set?.has_credentials ? t("admin:receiving.kept") : t("admin:receiving.tried")}
      </p>
      {save.isError && <Alert type="error" showIcon role="alert" title={errorText(save.error)} />}
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        onFinish={save.mutate}
        initialValues={{ is_enabled: set?.is_enabled ?? true }}
      >
        {FIELDS[method].map((one) => (
          <Form.Item key={one} name={one} label={t(`admin:receiving.field.${one}`)}>
            {LONG.has(one) ? (
              <Input.TextArea rows={3} autoComplete="off" spellCheck={false} />
            ) : one === "apiv3_key" ? (
              <Input.Password autoComplete="new-password" />
            ) : (
              <Input autoComplete="off" />
            )}
          </Form.Item>
        ))}
        <Form.Item name="is_enabled" label={t("admin:receiving.offered")} valuePropName="checked">
          <Switch />
        </Form.Item>
      </Form>
    </Modal>
  );
}
