import { Alert, Form, InputNumber, Modal } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { newKey } from "@/shared/format/key";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import type { Opened } from "@/shared/ui/Opener";
import { salesKey } from "./queries";

/** Pays credit back from the wallet. */
export default function Repay({ owed, open, close }: Opened & { owed: number }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<{ yuan: number }>();
  const [key, setKey] = useState(newKey);
  const pay = useAct({
    quiet: true,
    call: (typed: { yuan: number }) =>
      unwrap(
        api.POST("/api/admin/my/repay", {
          body: { fen: Math.round(typed.yuan * 100), request_key: key },
        }),
      ),
    changes: [salesKey, ["wallet"]],
    done: t("sales.repaid"),
    after: () => {
      close();
      setKey(newKey());
    },
  });
  return (
    <Modal
      open={open}
      title={t("sales.repay")}
      okText={t("sales.repay")}
      cancelText={t("action.cancel")}
      confirmLoading={pay.isPending}
      onOk={() => form.submit()}
      onCancel={close}
    >
      {pay.isError && <Alert type="error" showIcon role="alert" title={errorText(pay.error)} />}
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        onFinish={pay.mutate}
        initialValues={{ yuan: owed / 100 }}
      >
        <Form.Item
          name="yuan"
          label={t("sales.repayFen")}
          rules={[{ required: true, message: t("field.required") }]}
        >
          <InputNumber min={0.01} max={owed / 100} precision={2} />
        </Form.Item>
      </Form>
    </Modal>
  );
}
