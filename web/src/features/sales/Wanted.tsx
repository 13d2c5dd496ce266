import { useQuery } from "@tanstack/react-query";
import { Form, InputNumber, Select } from "antd";
import { useTranslation } from "react-i18next";
import { plansQuery } from "@/shared/ui/plans";

/** Of which plan, and how many: what is asked whether serials are applied for or bought. */
export function Wanted() {
  const { t } = useTranslation();
  const { data } = useQuery(plansQuery);
  const needed = [{ required: true, message: t("field.required") }];
  return (
    <>
      <Form.Item name="plan_id" label={t("sales.plan")} rules={needed}>
        <Select options={(data ?? []).map((one) => ({ value: one.id, label: one.name }))} />
      </Form.Item>
      <Form.Item name="quantity" label={t("sales.quantity")} rules={needed}>
        <InputNumber min={1} max={1000} precision={0} />
      </Form.Item>
    </>
  );
}
