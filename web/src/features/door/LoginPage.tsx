import { useQueryClient } from "@tanstack/react-query";
import { Link, useRouter, useSearch } from "@tanstack/react-router";
import { Alert, Button, Form, Input } from "antd";
import { useTranslation } from "react-i18next";
import { ApiError, api, unwrap } from "@/api/client";
import { isStaff, meQuery } from "@/shared/auth/session";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { Heading } from "./Heading";

/** Only addresses of our own pages are gone to after the log-in. */
export function within(next: string | undefined): string | null {
  return next && /^\/(?![/\\])/.test(next) && !next.startsWith("/login") ? next : null;
}

export function LoginPage() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const router = useRouter();
  const search = useSearch({ strict: false }) as Record<string, string | undefined>;
  const login = useAct({
    quiet: true,
    call: (form: { email: string; password: string; code?: string }) =>
      unwrap(
        api.POST("/api/user/login", {
          body: { ...form, code: form.code?.trim() || null, browser: true },
        }),
      ),
    after: async ({ user }) => {
      client.setQueryData(meQuery.queryKey, user);
      const home = isStaff(user) ? "/admin" : "/";
      await router.navigate({ href: within(search.next) ?? home, replace: true });
    },
  });
  const wantsCode = login.error instanceof ApiError && /second_factor/.test(login.error.code);
  const isAsked = login.error instanceof ApiError && login.error.code.endsWith("factor_needed");
  return (
    <div className="stack">
      <Heading>{t("login.title")}</Heading>
      {search.ended && !login.isError && (
        <Alert type="info" showIcon title={t("login.loggedOut")} />
      )}
      {login.isError && (
        <Alert
          type={isAsked ? "info" : "error"}
          showIcon
          title={errorText(login.error)}
          role="alert"
        />
      )}
      <Form
        layout="vertical"
        requiredMark={false}
        onFinish={login.mutate}
        disabled={login.isPending}
      >
        <Form.Item
          name="email"
          label={t("field.email")}
          rules={[{ required: true, message: t("field.required") }]}
        >
          <Input type="email" autoComplete="username" autoFocus size="large" />
        </Form.Item>
        <Form.Item
          name="password"
          label={t("field.password")}
          rules={[{ required: true, message: t("field.required") }]}
        >
          <Input.Password autoComplete="current-password" size="large" />
        </Form.Item>
        {wantsCode && (
          <Form.Item name="code" label={t("login.code")} extra={t("login.codeHint")}>
            <Input
              autoComplete="one-time-code"
              autoFocus
              size="large"
              className="mono"
              maxLength={32}
            />
          </Form.Item>
        )}
        <Button type="primary" htmlType="submit" block size="large" loading={login.isPending}>
          {t("login.submit")}
        </Button>
      </Form>
      <div className="row between">
        <Link to="/reset">{t("login.forgot")}</Link>
        <span>
          {t("login.noAccount")} <Link to="/register">{t("login.register")}</Link>
        </span>
      </div>
    </div>
  );
}
