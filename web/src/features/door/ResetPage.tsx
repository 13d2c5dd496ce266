import { Link, useRouter } from "@tanstack/react-router";
import { Alert, Button, Form, Input } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { Heading } from "./Heading";

export function ResetPage() {
  const { t } = useTranslation();
  const router = useRouter();
  const [email, setEmail] = useState<string | null>(null);
  const ask = useAct({
    quiet: true,
    call: (form: { email: string }) =>
      unwrap(api.POST("/api/user/password/forgot", { body: form })),
    done: t("reset.sent"),
    after: (_answer, form) => setEmail(form.email),
  });
  const reset = useAct({
    quiet: true,
    call: (form: { code: string; password: string }) =>
      unwrap(
        api.POST("/api/user/password/reset", {
          body: { email: email ?? "", code: form.code.trim(), password: form.password },
        }),
      ),
    done: t("reset.done"),
    after: () => router.navigate({ to: "/login" }),
  });
  const error = email === null ? ask.error : reset.error;
  const needed = [{ required: true, message: t("field.required") }];
  return (
    <div className="stack">
      <Heading>{t("reset.title")}</Heading>
      {error && <Alert type="error" showIcon title={errorText(error)} role="alert" />}
      {email === null ? (
        <Form key="ask" layout="vertical" requiredMark={false} onFinish={ask.mutate}>
          <p className="muted">{t("reset.hint")}</p>
          <Form.Item name="email" label={t("field.email")} rules={needed}>
            <Input type="email" autoComplete="username" autoFocus />
          </Form.Item>
          <Button type="primary" htmlType="submit" block loading={ask.isPending}>
            {t("reset.send")}
          </Button>
        </Form>
      ) : (
        <Form key="reset" layout="vertical" requiredMark={false} onFinish={reset.mutate}>
          <p className="muted">{t("reset.sent")}</p>
          <Form.Item name="code" label={t("reset.code")} rules={needed}>
            <Input autoComplete="one-time-code" autoFocus className="mono" maxLength={32} />
          </Form.Item>
          <Form.Item
            name="password"
            label={t("account.newPassword")}
            extra={t("account.passwordRule")}
            rules={needed}
          >
            <Input.Password autoComplete="new-password" maxLength={128} />
          </Form.Item>
          <Button type="primary" htmlType="submit" block loading={reset.isPending}>
            {t("reset.submit")}
          </Button>
        </Form>
      )}
      <Link to="/login">{t("login.title")}</Link>
    </div>
  );
}
