import { Alert, Form, Input, Modal, Switch } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { type Channel, receivingKey } from "./methods";

type Typed = { is_enabled: boolean; account: string; account_name: string; qr_text?: string };

/** The account that customers transfer to. */
export function AccountForm(props: {
  method: "alipay_transfer" | "wechat_transfer";
  set: Channel | undefined;
  close: () => void;
}) {
  const { t } = useTranslation(["app", "admin"]);
  const [form] = Form.useForm<Typed>();
  const { set } = props;
  const save = useAct({
    quiet: true,
    call: (typed: Typed) =>
      unwrap(
        api.POST("/api/finance/channels/{method}", {
          params: { path: { method: props.method } },
          body: {
            ...typed,
            qr_text: typed.qr_text?.trim() || null,
            version: set?.version ?? 0,
          },
        }),
      ),
    changes: [receivingKey],
    done: t("admin:receiving.saved"),
    after: props.close,
  });
  const needed = [{ required: true, whitespace: true, message: t("field.required") }];
  return (
    <Modal
      open
      title={t(`wallet.by.${props.method}`)}
      okText={t("action.save")}
      cancelText={t("action.cancel")}
      confirmLoading={save.isPending}
      onOk={() => form.submit()}
      onCancel={props.close}
    >
      {save.isError && <Alert type="error" showIcon role="alert" title={errorText(save.error)} />}
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        onFinish={save.mutate}
        initialValues={{
          is_enabled: set?.is_enabled ?? true,
          account: set?.account ?? "",
          account_name: set?.account_name ?? "",
          qr_text: set?.qr_text ?? "",
        }}
      >
        <Form.Item name="account" label={t("admin:receiving.account")} rules={needed}>
          <Input maxLength={128} />
        </Form.Item>
        <Form.Item name="account_name" label={t("admin:receiving.name")} rules={needed}>
          <Input maxLength={128} />
        </Form.Item>
        <Form.Item
          name="qr_text"
          label={t("admin:receiving.qr")}
          extra={t("admin:receiving.qrHint")}
        >
          <Input maxLength={512} />
        </Form.Item>
        <Form.Item name="is_enabled" label={t("admin:receiving.offered")} valuePropName="checked">
          <Switch />
        </Form.Item>
      </Form>
    </Modal>
  );
}
