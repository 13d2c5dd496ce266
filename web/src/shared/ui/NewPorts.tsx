import { Form, Radio } from "antd";
import { useTranslation } from "react-i18next";

/** Whether a next version has relays at new ports, as a field named `new_ports` of a form. */
export function NewPorts() {
  const { t } = useTranslation(["app", "admin"]);
  return (
    <Form.Item name="new_ports" label={t("admin:rotations.ports")}>
      <Radio.Group
        options={[
          { value: true, label: t("admin:rotations.newPortsLong") },
          { value: false, label: t("admin:rotations.samePortsLong") },
        ]}
      />
    </Form.Item>
  );
}
