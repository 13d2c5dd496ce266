import { Alert, Button, Form, InputNumber, Modal } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { Method } from "@/api/schema";
import { newKey } from "@/shared/format/key";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { MethodChoice } from "./MethodChoice";
import { walletKey } from "./queries";

/** Puts money into the wallet. */
export function TopUp({ placed }: { placed: (order: number) => void }) {
  const { t } = useTranslation();
  const [key, setKey] = useState<string | null>(null);
  const [form] = Form.useForm<{ yuan: number; method: Method }>();
  const order = useAct({
    quiet: true,
    call: async (typed: { yuan: number; method: Method }) => {
      const { order: made } = await unwrap(
        api.POST("/api/finance/orders", {
          body: {
            kind: "top_up",
            amount_fen: Math.round(typed.yuan * 100),
            method: typed.method,
            request_key: key ?? newKey(),
          },
        }),
      );
      return made;
    },
    changes: [walletKey],
    after: (made) => {
      setKey(null);
      placed(made.id);
    },
  });
  const needed = [{ required: true, message: t("field.required") }];
  return (
    <>
      <Button onClick={() => setKey(newKey())}>{t("wallet.topUp")}</Button>
      <Modal
        open={key !== null}
        title={t("wallet.topUp")}
        okText={t("wallet.order")}
        cancelText={t("action.cancel")}
        confirmLoading={order.isPending}
        onOk={() => form.submit()}
        onCancel={() => setKey(null)}
      >
        {order.isError && (
          <Alert type="error" showIcon role="alert" title={errorText(order.error)} />
        )}
        <Form
          form={form}
          layout="vertical"
          requiredMark={false}
          onFinish={order.mutate}
          initialValues={{ yuan: 100 }}
        >
          <Form.Item name="yuan" label={t("wallet.yuan")} rules={needed}>
            <InputNumber min={0.01} precision={2} />
          </Form.Item>
          <Form.Item name="method" label={t("wallet.method")} rules={needed}>
            <MethodChoice without="wallet" />
          </Form.Item>
        </Form>
      </Modal>
    </>
  );
}
