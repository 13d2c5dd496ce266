import { Link, useRouter } from "@tanstack/react-router";
import { Alert, Button, Form, Input, Spin } from "antd";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { ApiError, api, unwrap } from "@/api/client";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { Heading } from "./Heading";

/** Where the link of the mail leads. The token stands behind `#`: it reaches no server's log. */
export function VerifyPage() {
  const { t } = useTranslation();
  const router = useRouter();
  const token = useRef(new URLSearchParams(location.hash.slice(1)).get("token"));
  const verify = useAct({
    quiet: true,
    call: (username: string | null) =>
      unwrap(api.POST("/api/user/verify", { body: { token: token.current, username } })),
    done: t("register.verified"),
    after: () => router.navigate({ to: "/login", replace: true }),
  });
  const begun = useRef(false);
  const { mutate } = verify;
  useEffect(() => {
    if (begun.current || !token.current) return;
    begun.current = true; // once, also where effects run twice
    history.replaceState(history.state, "", location.pathname);
    mutate(null);
  }, [mutate]);
  const nameTaken =
    verify.error instanceof ApiError && verify.error.code === "users.username_taken";
  if (token.current && !verify.isError) {
    return (
      <div className="blank" role="status">
        <Spin />
        <p>{t("register.linkChecking")}</p>
      </div>
    );
  }
  return (
    <div className="stack">
      <Heading>{t("register.linkFailed")}</Heading>
      <Alert
        type="error"
        showIcon
        role="alert"
        title={verify.isError ? errorText(verify.error) : t("register.linkBroken")}
      />
      {nameTaken && (
        <Form
          layout="vertical"
          requiredMark={false}
          onFinish={(form: { username: string }) => mutate(form.username)}
        >
          <Form.Item
            name="username"
            label={t("register.otherName")}
            rules={[{ required: true, message: t("field.required") }]}
          >
            <Input maxLength={64} />
          </Form.Item>
          <Button type="primary" htmlType="submit" loading={verify.isPending}>
            {t("register.verify")}
          </Button>
        </Form>
      )}
      <div className="row between">
        <Link to="/register">{t("login.register")}</Link>
        <Link to="/login">{t("login.title")}</Link>
      </div>
    </div>
  );
}
