import { Alert, Button, Form, Input } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { errorText } from "@/shared/i18n";
import { homeKey } from "@/shared/live/keys";
import { useAct } from "@/shared/ui/act";

/** Spends a serial number for the first rental. */
export function Activate() {
  const { t } = useTranslation();
  const activate = useAct({
    quiet: true,
    call: (form: { code: string }) => unwrap(api.POST("/api/user/activate", { body: form })),
    changes: [homeKey, ["acl"], ["traffic"]],
    done: t("home.activated"),
  });
  return (
    <>
      {activate.isError && (
        <Alert type="error" showIcon role="alert" title={errorText(activate.error)} />
      )}
      <Form
        layout="vertical"
        requiredMark={false}
        onFinish={activate.mutate}
        style={{ maxWidth: 420 }}
      >
        <Form.Item
          name="code"
          label={t("home.serial")}
          extra={t("home.serialHint")}
          rules={[{ required: true, message: t("field.required") }]}
        >
          <Input className="mono" autoComplete="off" maxLength={200} />
        </Form.Item>
        <Button type="primary" htmlType="submit" loading={activate.isPending}>
          {t("home.activate")}
        </Button>
      </Form>
    </>
  );
}
