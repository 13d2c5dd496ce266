import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Form, Input, Tabs } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { TemplateOut, WordingIn } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { errorText } from "@/shared/i18n";
import { useAct, useAsk } from "@/shared/ui/act";
import { Loaded } from "@/shared/ui/Loaded";
import { Card } from "@/shared/ui/Page";

const CHANGED = [["templates"]];

export function Editor({ name, locale }: { name: string; locale: string }) {
  const query = useQuery({
    queryKey: ["templates", name, locale],
    queryFn: async () =>
      (
        await unwrap(
          api.GET("/api/notifications/templates/{name}/{locale}", {
            params: { path: { name, locale } },
          }),
        )
      ).template,
  });
  return (
    <Loaded query={query}>
      {(template) => <Wording key={template.version} template={template} />}
    </Loaded>
  );
}

function Wording({ template }: { template: TemplateOut }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const ask = useAsk();
  const [form] = Form.useForm<WordingIn>();
  const path = { path: { name: template.name, locale: template.locale } };
  const save = useAct({
    quiet: true,
    call: (wording: WordingIn) =>
      unwrap(
        api.POST("/api/notifications/templates/{name}/{locale}", {
          params: path,
          body: { ...wording, version: template.version },
        }),
      ),
    changes: CHANGED,
    done: t("admin:templates.saved"),
  });
  const preview = useAct({
    quiet: true,
    call: (wording: WordingIn) =>
      unwrap(
        api.POST("/api/notifications/templates/{name}/{locale}/preview", {
          params: path,
          body: wording,
        }),
      ),
  });
  const reset = useAct({
    call: () =>
      unwrap(
        api.POST("/api/notifications/templates/{name}/{locale}/reset", {
          params: path,
          body: { version: template.version },
        }),
      ),
    changes: CHANGED,
    done: t("admin:templates.resetDone"),
  });
  const load = useAct({
    call: (version: number) =>
      unwrap(
        api.GET("/api/notifications/templates/{name}/{locale}/versions/{version}", {
          params: { path: { ...path.path, version } },
        }),
      ),
    after: ({ wording }) => form.setFieldsValue(wording),
  });
  const error = save.error ?? preview.error;
  const seen = preview.data?.preview;
  return (
    <div
      className="tiles"
      style={{ gridTemplateColumns: "repeat(auto-fit, minmax(min(100%, 420px), 1fr))" }}
    >
      <Card title={t("admin:templates.version", { version: template.version })}>
        {template.problem && (
          <Alert
            type="error"
            showIcon
            title={t("admin:templates.problem", { problem: template.problem })}
          />
        )}
        {error && <Alert type="error" showIcon role="alert" title={errorText(error)} />}
        <Form
          form={form}
          layout="vertical"
          requiredMark={false}
          initialValues={template.wording}
          onFinish={save.mutate}
        >
          <Form.Item name="subject" label={t("admin:templates.subject")}>
            <Input className="mono" maxLength={1000} />
          </Form.Item>
          <Form.Item name="text" label={t("admin:templates.text")}>
            <Input.TextArea className="mono" rows={12} spellCheck={false} />
          </Form.Item>
          <Form.Item name="html" label={t("admin:templates.html")}>
            <Input.TextArea className="mono" rows={12} spellCheck={false} />
          </Form.Item>
          <div className="row">
            <Button type="primary" htmlType="submit" loading={save.isPending}>
              {t("action.save")}
            </Button>
            <Button
              onClick={() => preview.mutate(form.getFieldsValue())}
              loading={preview.isPending}
            >
              {t("admin:templates.preview")}
            </Button>
            {template.allowed_actions.includes("reset") && (
              <Button
                danger
                onClick={() =>
                  ask({
                    title: t("admin:templates.resetTitle"),
                    text: t("admin:templates.resetText"),
                    button: t("admin:templates.reset"),
                    do: () => reset.mutateAsync(undefined),
                  })
                }
              >
                {t("admin:templates.reset")}
              </Button>
            )}
          </div>
        </Form>
      </Card>
      <div className="stack">
        {seen && (
          <Card title={t("admin:templates.preview")}>
            <Tabs
              items={[
                {
                  key: "html",
                  label: t("admin:templates.html"),
                  // Without any permission: a wording is the operator's, and still only looked at.
                  children: (
                    <iframe
                      title={seen.subject}
                      sandbox=""
                      srcDoc={seen.html}
                      style={{
                        width: "100%",
                        height: 420,
                        border: 0,
                        background: "#fff",
                        colorScheme: "light",
                      }}
                    />
                  ),
                },
                {
                  key: "text",
                  label: t("admin:templates.text"),
                  children: (
                    <pre className="code-block" style={{ whiteSpace: "pre-wrap" }}>
                      {`${seen.subject}\n\n${seen.text}`}
                    </pre>
                  ),
                },
              ]}
            />
          </Card>
        )}
        <Card title={t("admin:templates.params")}>
          <p className="mono">{template.params.map((one) => `{{ ${one} }}`).join("  ")}</p>
          {template.secrets.length > 0 && (
            <>
              <h3>{t("admin:templates.secrets")}</h3>
              <p className="mono">{template.secrets.map((one) => `{{ ${one} }}`).join("  ")}</p>
            </>
          )}
        </Card>
        <Card title={t("admin:templates.history")}>
          <ul className="list">
            {template.history.map((one) => (
              <li key={one.version} className="row between">
                <span>
                  {one.version} · {one.editor} · {moment(one.edited_at, i18n.language)}
                  {one.is_built_in ? ` · ${t("admin:templates.builtIn")}` : ""}
                </span>
                <Button size="small" onClick={() => load.mutate(one.version)}>
                  {t("admin:templates.load")}
                </Button>
              </li>
            ))}
          </ul>
        </Card>
      </div>
    </div>
  );
}
