import { useQuery } from "@tanstack/react-query";
import { Alert, Form, Input, InputNumber, Modal, Select } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import type { Opened } from "@/shared/ui/Opener";
import { plansQuery } from "@/shared/ui/plans";
import { salesKey } from "./queries";

type Wanted = { plan_id: number; quantity: number; note?: string };

/** Asks the admins for serial numbers. */
export default function Apply({ open, close }: Opened) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Wanted>();
  const plans = useQuery(plansQuery);
  const send = useAct({
    quiet: true,
    call: (wanted: Wanted) =>
      unwrap(
        api.POST("/api/admin/my/applications", {
          body: { ...wanted, note: wanted.note?.trim() || null },
        }),
      ),
    changes: [salesKey],
    done: t("sales.sent"),
    after: () => {
      close();
      form.resetFields();
    },
  });
  return (
    <Modal
      open={open}
      title={t("sales.apply")}
      okText={t("sales.send")}
      cancelText={t("action.cancel")}
      confirmLoading={send.isPending}
      onOk={() => form.submit()}
      onCancel={close}
    >
      <p className="muted">{t("sales.applyHint")}</p>
      {send.isError && <Alert type="error" showIcon role="alert" title={errorText(send.error)} />}
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        onFinish={send.mutate}
        initialValues={{ quantity: 10 }}
      >
        <Form.Item
          name="plan_id"
          label={t("sales.plan")}
          rules={[{ required: true, message: t("field.required") }]}
        >
          <Select options={(plans.data ?? []).map((one) => ({ value: one.id, label: one.name }))} />
        </Form.Item>
        <Form.Item
          name="quantity"
          label={t("sales.quantity")}
          rules={[{ required: true, message: t("field.required") }]}
        >
          <InputNumber min={1} max={1000} precision={0} />
        </Form.Item>
        <Form.Item name="note" label={t("sales.note")}>
          <Input maxLength={200} />
        </Form.Item>
      </Form>
    </Modal>
  );
}
