import { Link, useRouter } from "@tanstack/react-router";
import { Alert, Button, Form, Input } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ApiError, api, unwrap } from "@/api/client";
import { errorText, type Language } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { Heading } from "./Heading";

type Asked = { email: string; userId: number };

/** Two steps: who wants an account, then the code that came by mail. */
export function RegisterPage() {
  const [asked, setAsked] = useState<Asked | null>(null);
  return asked ? <EnterCode asked={asked} /> : <Ask done={setAsked} />;
}

function Ask({ done }: { done: (asked: Asked) => void }) {
  const { t, i18n } = useTranslation();
  const register = useAct({
    quiet: true,
    call: (form: { username: string; email: string; password: string }) =>
      unwrap(
        api.POST("/api/user/register", { body: { ...form, locale: i18n.language as Language } }),
      ),
    after: (answer, form) => done({ email: form.email, userId: answer.user_id }),
  });
  const needed = [{ required: true, message: t("field.required") }];
  return (
    <div className="stack">
      <Heading>{t("register.title")}</Heading>
      {register.isError && (
        <Alert type="error" showIcon title={errorText(register.error)} role="alert" />
      )}
      <Form
        layout="vertical"
        requiredMark={false}
        onFinish={register.mutate}
        disabled={register.isPending}
      >
        <Form.Item
          name="username"
          label={t("field.username")}
          extra={t("register.usernameRule")}
          rules={needed}
        >
          <Input autoComplete="nickname" autoFocus maxLength={64} />
        </Form.Item>
        <Form.Item name="email" label={t("field.email")} rules={needed}>
          <Input type="email" autoComplete="username" maxLength={254} />
        </Form.Item>
        <Form.Item
          name="password"
          label={t("field.password")}
          extra={t("account.passwordRule")}
          rules={needed}
        >
          <Input.Password autoComplete="new-password" maxLength={128} />
        </Form.Item>
        <Button type="primary" htmlType="submit" block size="large" loading={register.isPending}>
          {t("register.submit")}
        </Button>
      </Form>
      <span>
        {t("login.hasAccount")} <Link to="/login">{t("login.title")}</Link>
      </span>
    </div>
  );
}

function EnterCode({ asked }: { asked: Asked }) {
  const { t } = useTranslation();
  const router = useRouter();
  const verify = useAct({
    quiet: true,
    call: (form: { code: string; username?: string }) =>
      unwrap(
        api.POST("/api/user/verify", {
          body: {
            email: asked.email,
            user_id: asked.userId,
            code: form.code.trim(),
            username: form.username || null,
          },
        }),
      ),
    done: t("register.verified"),
    after: () => router.navigate({ to: "/login" }),
  });
  const again = useAct({
    call: () => unwrap(api.POST("/api/user/resend", { body: { email: asked.email } })),
    done: t("register.sentAgain"),
  });
  const nameTaken =
    verify.error instanceof ApiError && verify.error.code === "users.username_taken";
  return (
    <div className="stack">
      <Heading>{t("register.mailed")}</Heading>
      <p className="muted" style={{ margin: 0 }}>
        {t("register.mailedHint", { email: asked.email })}
      </p>
      {verify.isError && (
        <Alert type="error" showIcon title={errorText(verify.error)} role="alert" />
      )}
      <Form
        layout="vertical"
        requiredMark={false}
        onFinish={verify.mutate}
        disabled={verify.isPending}
      >
        <Form.Item
          name="code"
          label={t("register.code")}
          rules={[{ required: true, message: t("field.required") }]}
        >
          <Input
            autoComplete="one-time-code"
            autoFocus
            size="large"
            className="mono"
            maxLength={32}
          />
        </Form.Item>
        {nameTaken && (
          <Form.Item
            name="username"
            label={t("register.otherName")}
            rules={[{ required: true, message: t("field.required") }]}
          >
            <Input maxLength={64} />
          </Form.Item>
        )}
        <Button type="primary" htmlType="submit" block size="large" loading={verify.isPending}>
          {t("register.verify")}
        </Button>
      </Form>
      <Button type="link" onClick={() => again.mutate(undefined)} loading={again.isPending}>
        {t("register.again")}
      </Button>
    </div>
  );
}
