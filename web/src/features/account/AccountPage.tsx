import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Button, Form, Input, Select, Table } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { isStaff, meQuery } from "@/shared/auth/session";
import { useMe } from "@/shared/auth/useMe";
import { moment, relative } from "@/shared/format/format";
import { choose, errorText, LANGUAGES, type Language } from "@/shared/i18n";
import { useAct, useAsk } from "@/shared/ui/act";
import { Failed } from "@/shared/ui/Loaded";
import { Card, Facts, Page, State } from "@/shared/ui/Page";
import { TakeData } from "@/shared/ui/TakeData";

import { Deregister } from "./Deregister";
import { SecondFactor } from "./SecondFactor";
import { Tokens } from "./Tokens";

const sessionsKey = ["sessions"] as const;

/** One's own account: what it is, its password, where it is logged in. */
export function AccountPage() {
  const { t } = useTranslation();
  const me = useMe();
  return (
    <Page title={t("account.title")}>
      <div className="tiles">
        <Profile />
        <ChangePassword />
      </div>
      <SecondFactor />
      <Sessions />
      <Tokens />
      {!isStaff(me) && <Deregister />}
    </Page>
  );
}

function Profile() {
  const { t, i18n } = useTranslation();
  const me = useMe();
  const client = useQueryClient();
  const setLocale = useAct({
    call: (locale: Language) => unwrap(api.POST("/api/user/locale", { body: { locale } })),
    done: t("account.languageSaved"),
    after: ({ user }) => {
      client.setQueryData(meQuery.queryKey, user);
      choose(user.locale as Language);
    },
  });
  return (
    <Card title={t("account.profile")}>
      <Facts
        rows={[
          [t("field.username"), me.username],
          [t("field.email"), me.email],
          [t("account.role"), t(`role.${me.role}`)],
          [t("account.since"), moment(me.created_at, i18n.language)],
          [
            t("account.language"),
            <Select<Language>
              key="locale"
              aria-label={t("account.language")}
              value={me.locale as Language}
              onChange={(one) => setLocale.mutate(one)}
              loading={setLocale.isPending}
              style={{ minWidth: 130 }}
              options={LANGUAGES.map((one) => ({ value: one, label: t(`language.${one}`) }))}
            />,
          ],
        ]}
      />
      <p className="muted small">{t("account.dataHint")}</p>
      <TakeData />
    </Card>
  );
}

function ChangePassword() {
  const { t } = useTranslation();
  const me = useMe();
  const [form] = Form.useForm<{ old: string; new: string }>();
  const change = useAct({
    quiet: true,
    call: (typed: { old: string; new: string }) =>
      unwrap(api.POST("/api/user/password/change", { body: { old: typed.old, new: typed.new } })),
    changes: [sessionsKey],
    done: t("account.passwordChanged"),
    after: () => form.resetFields(),
  });
  const needed = { required: true, message: t("field.required") };
  return (
    <Card title={t("account.passwordTitle")} hint={t("account.passwordHint")}>
      {change.isError && (
        <Alert type="error" showIcon role="alert" title={errorText(change.error)} />
      )}
      <Form form={form} layout="vertical" requiredMark={false} onFinish={change.mutate}>
        <input type="text" hidden readOnly autoComplete="username" value={me.email} />
        <Form.Item name="old" label={t("account.oldPassword")} rules={[needed]}>
          <Input.Password autoComplete="current-password" />
        </Form.Item>
        <Form.Item
          name="new"
          label={t("account.newPassword")}
          extra={t("account.passwordRule")}
          rules={[needed]}
        >
          <Input.Password autoComplete="new-password" maxLength={128} />
        </Form.Item>
        <Form.Item
          name="repeat"
          label={t("account.repeatPassword")}
          dependencies={["new"]}
          rules={[
            needed,
            ({ getFieldValue }) => ({
              validator: (_, value) =>
                !value || value === getFieldValue("new")
                  ? Promise.resolve()
                  : Promise.reject(new Error(t("account.repeatWrong"))),
            }),
          ]}
        >
          <Input.Password autoComplete="new-password" maxLength={128} />
        </Form.Item>
        <Button type="primary" htmlType="submit" loading={change.isPending}>
          {t("action.save")}
        </Button>
      </Form>
    </Card>
  );
}

function Sessions() {
  const { t, i18n } = useTranslation();
  const ask = useAsk();
  const query = useQuery({
    queryKey: sessionsKey,
    queryFn: async () => (await unwrap(api.GET("/api/user/sessions"))).sessions,
  });
  const end = useAct({
    call: (id: number) =>
      unwrap(
        api.POST("/api/user/sessions/{session_id}/end", { params: { path: { session_id: id } } }),
      ),
    changes: [sessionsKey, meQuery.queryKey],
    done: t("account.ended"),
  });
  const endOthers = useAct({
    call: () => unwrap(api.POST("/api/user/sessions/end_others")),
    changes: [sessionsKey],
    done: (answer) => t("account.endedOthers", { count: answer.ended }),
  });
  return (
    <Card
      title={t("account.sessions")}
      hint={t("account.sessionsHint")}
      extra={
        (query.data?.length ?? 0) > 1 && (
          <Button
            danger
            onClick={() =>
              ask({
                title: t("account.endOthersTitle"),
                text: t("account.endOthersText"),
                button: t("account.endOthers"),
                do: () => endOthers.mutateAsync(undefined),
              })
            }
          >
            {t("account.endOthers")}
          </Button>
        )
      }
    >
      {query.isError ? (
        <Failed error={query.error} retry={() => query.refetch()} />
      ) : (
        <Table
          rowKey="id"
          pagination={false}
          loading={query.isPending}
          dataSource={query.data ?? []}
          columns={[
            {
              key: "browser",
              title: t("field.browser"),
              render: (_, one) => (
                <>
                  {one.browser || "—"}{" "}
                  {one.is_current && <State tone="good">{t("account.current")}</State>}
                </>
              ),
            },
            {
              key: "ip",
              title: t("field.ip"),
              render: (_, one) => <span className="mono">{one.ip_address}</span>,
            },
            { key: "place", title: t("field.location"), render: (_, one) => one.location || "—" },
            {
              key: "in",
              title: t("account.loggedIn"),
              render: (_, one) => moment(one.created_at, i18n.language),
            },
            {
              key: "seen",
              title: t("account.lastSeen"),
              render: (_, one) => relative(one.last_seen_at, i18n.language),
            },
            {
              key: "end",
              title: "",
              align: "right",
              render: (_, one) =>
                !one.is_current && (
                  <Button onClick={() => end.mutate(one.id)}>{t("account.end")}</Button>
                ),
            },
          ]}
        />
      )}
    </Card>
  );
}
