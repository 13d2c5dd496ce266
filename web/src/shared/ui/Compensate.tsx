import { Alert, Form, Input, InputNumber, Modal, Radio } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { newKey } from "@/shared/format/key";
import { errorText } from "@/shared/i18n";
import { useAct } from "./act";

type Typed = { kind: "money" | "days"; yuan?: number; days?: number; reason: string };

/** Money or days for one user, or for everybody with a relay on a server. */
export function Compensate(props: {
  title: string;
  whom: { user_id: number } | { server_id: number };
  close: () => void;
}) {
  const { t } = useTranslation(["app", "admin"]);
  const [form] = Form.useForm<Typed>();
  const [key] = useState(newKey);
  const kind = Form.useWatch("kind", form) ?? "money";
  const needed = [{ required: true, message: t("field.required") }];
  const give = useAct({
    quiet: true,
    call: (typed: Typed) =>
      unwrap(
        api.POST("/api/finance/compensate", {
          body: {
            ...props.whom,
            ...(typed.kind === "money"
              ? { fen: Math.round((typed.yuan ?? 0) * 100) }
              : { days: typed.days ?? 0 }),
            reason: typed.reason,
            request_key: key,
          },
        }),
      ),
    changes: [["users"], ["servers"]],
    done: (given) =>
      given.left_out.length > 0
        ? t("admin:money.givenSome", { users: given.users, left: given.left_out.length })
        : t("admin:money.given", { users: given.users }),
    after: props.close,
  });
  return (
    <Modal
      open
      title={props.title}
      okText={t("admin:money.give")}
      cancelText={t("action.cancel")}
      confirmLoading={give.isPending}
      onOk={() => form.submit()}
      onCancel={props.close}
    >
      <div className="stack">
        <p className="muted">{t("admin:money.giveText")}</p>
        {give.isError && <Alert type="error" showIcon role="alert" title={errorText(give.error)} />}
        <Form
          form={form}
          layout="vertical"
          requiredMark={false}
          initialValues={{ kind: "money" }}
          onFinish={give.mutate}
        >
          <Form.Item name="kind" label={t("admin:money.what")}>
            <Radio.Group
              options={[
                { value: "money", label: t("admin:money.money") },
                { value: "days", label: t("admin:money.days") },
              ]}
            />
          </Form.Item>
          {kind === "money" ? (
            <Form.Item name="yuan" label={t("admin:money.yuan")} rules={needed}>
              <InputNumber min={0.01} max={10_000} precision={2} prefix="¥" />
            </Form.Item>
          ) : (
            <Form.Item name="days" label={t("admin:money.days")} rules={needed}>
              <InputNumber min={1} max={366} precision={0} />
            </Form.Item>
          )}
          <Form.Item name="reason" label={t("field.reason")} rules={needed}>
            <Input maxLength={200} />
          </Form.Item>
        </Form>
      </div>
    </Modal>
  );
}
