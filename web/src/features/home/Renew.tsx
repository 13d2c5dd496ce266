import { Alert, Button, Form, Input, Modal } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { moment } from "@/shared/format/format";
import { errorText } from "@/shared/i18n";
import { homeKey } from "@/shared/live/keys";
import { useAct } from "@/shared/ui/act";

/** Extends the rental with another serial number. */
export function Renew() {
  const { t, i18n } = useTranslation();
  const [open, setOpen] = useState(false);
  const [form] = Form.useForm<{ code: string }>();
  const renew = useAct({
    quiet: true,
    call: (typed: { code: string }) => unwrap(api.POST("/api/user/renew", { body: typed })),
    changes: [homeKey, ["acl"], ["traffic"]],
    done: (answer) => t("home.renewed", { date: moment(answer.rental?.expires_at, i18n.language) }),
    after: () => {
      setOpen(false);
      form.resetFields();
    },
  });
  return (
    <>
      <Button type="primary" onClick={() => setOpen(true)}>
        {t("home.renew")}
      </Button>
      <Modal
        open={open}
        onCancel={() => setOpen(false)}
        title={t("home.renewTitle")}
        okText={t("home.renew")}
        cancelText={t("action.cancel")}
        confirmLoading={renew.isPending}
        onOk={() => form.submit()}
      >
        <p className="muted">{t("home.renewHint")}</p>
        {renew.isError && (
          <Alert type="error" showIcon role="alert" title={errorText(renew.error)} />
        )}
        <Form form={form} layout="vertical" requiredMark={false} onFinish={renew.mutate}>
          <Form.Item
            name="code"
            label={t("home.serial")}
            extra={t("home.serialHint")}
            rules={[{ required: true, message: t("field.required") }]}
          >
            <Input className="mono" autoComplete="off" maxLength={200} />
          </Form.Item>
        </Form>
      </Modal>
    </>
  );
}
