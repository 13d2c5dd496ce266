import { Alert, Form, InputNumber, Modal, Select, Switch } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { DistributorPart, Level } from "@/api/schema";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { distributorsKey } from "./queries";

const LEVELS = ["gold", "white_gold", "platinum"] as const;
type Wanted = { level: Level; may_generate: boolean; limit: number };

/** A distributor's class, credit, and whether he makes serial numbers himself. */
export function Terms({ of, close }: { of: DistributorPart; close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const [form] = Form.useForm<Wanted>();
  const save = useAct({
    quiet: true,
    call: (wanted: Wanted) =>
      unwrap(
        api.POST("/api/admin/distributor/{user_id}/terms", {
          params: { path: { user_id: of.id } },
          body: {
            level: wanted.level,
            may_generate: wanted.may_generate,
            credit_limit_fen: Math.round(wanted.limit * 100),
            version: of.terms.version,
          },
        }),
      ),
    changes: [distributorsKey],
    done: t("admin:distributors.saved"),
    after: close,
  });
  return (
    <Modal
      open
      title={t("admin:distributors.termsOf", { name: of.username })}
      okText={t("action.save")}
      cancelText={t("action.cancel")}
      confirmLoading={save.isPending}
      onOk={() => form.submit()}
      onCancel={close}
    >
      <p className="muted">{t("admin:distributors.termsHint")}</p>
      {save.isError && <Alert type="error" showIcon role="alert" title={errorText(save.error)} />}
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        onFinish={save.mutate}
        initialValues={{
          level: of.terms.level,
          may_generate: of.terms.may_generate,
          limit: of.terms.credit_limit_fen / 100,
        }}
      >
        <Form.Item name="level" label={t("sales.class")}>
          <Select options={LEVELS.map((one) => ({ value: one, label: t(`sales.level.${one}`) }))} />
        </Form.Item>
        <Form.Item
          name="limit"
          label={t("admin:distributors.limitYuan")}
          rules={[{ required: true, message: t("field.required") }]}
        >
          <InputNumber min={0} precision={2} />
        </Form.Item>
        <Form.Item
          name="may_generate"
          label={t("admin:distributors.mayGenerate")}
          valuePropName="checked"
        >
          <Switch />
        </Form.Item>
      </Form>
    </Modal>
  );
}
