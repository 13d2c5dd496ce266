import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Form, Input, InputNumber, Modal, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { plansQuery } from "@/shared/ui/plans";
import { salesKey } from "./queries";

type Wanted = { plan_id: number; quantity: number; note?: string };

/** Asks the admins for serial numbers. */
export function Apply() {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
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
      setOpen(false);
      form.resetFields();
    },
  });
  return (
    <>
      <Button onClick={() => setOpen(true)}>{t("sales.apply")}</Button>
      <Modal
        open={open}
        title={t("sales.apply")}
        okText={t("sales.send")}
        cancelText={t("action.cancel")}
        confirmLoading={send.isPending}
        onOk={() => form.submit()}
        onCancel={() => setOpen(false)}
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
            <Select
              options={(plans.data ?? []).map((one) => ({ value: one.id, label: one.name }))}
            />
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
    </>
  );
}
