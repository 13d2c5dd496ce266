import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Checkbox, Form, Input, Radio } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { LinkIn, LinkPart } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { errorText } from "@/shared/i18n";
import { useAct, useAsk } from "@/shared/ui/act";
import { Loaded } from "@/shared/ui/Loaded";
import { Facts, State, type Tone } from "@/shared/ui/Page";
import { linkKey, linkQuery } from "./linkQueries";
import { Pushes } from "./Pushes";

const TONES: Record<string, Tone> = {
  testing: "busy",
  working: "good",
  troubled: "warn",
  refused: "bad",
};

/** The automatic way: a link to the customer's tailnet that follows devices and pushes new maps. */
export function Link() {
  const { t } = useTranslation();
  const query = useQuery(linkQuery);
  const [editing, setEditing] = useState(false);
  return (
    <div className="stack">
      <p className="muted" style={{ margin: 0 }}>
        {t("link.intro")}
      </p>
      <Loaded query={query}>
        {(link) =>
          link === null || editing ? (
            <LinkForm link={link} close={() => setEditing(false)} />
          ) : (
            <>
              <About link={link} edit={() => setEditing(true)} />
              {link.kind === "tailscale" && link.wants_push && <Pushes />}
            </>
          )
        }
      </Loaded>
    </div>
  );
}

function About({ link, edit }: { link: LinkPart; edit: () => void }) {
  const { t, i18n } = useTranslation();
  const ask = useAsk();
  const test = useAct({
    call: () => unwrap(api.POST("/api/acl/link/test")),
    changes: [linkKey],
    done: t("link.tested"),
  });
  const remove = useAct({
    call: () => unwrap(api.POST("/api/acl/link/remove")),
    changes: [linkKey],
    done: t("link.removed"),
  });
  return (
    <>
      <Facts
        rows={[
          [t("link.kindLabel"), t(`link.kind.${link.kind}`)],
          [
            t("field.state"),
            <State key="s" tone={TONES[link.status] ?? "plain"}>
              {t(`link.status.${link.status}`)}
            </State>,
          ],
          ...(link.address ? [[t("field.address"), link.address] as [string, string]] : []),
          ...(link.client_id ? [[t("link.clientId"), link.client_id] as [string, string]] : []),
          [t("link.succeeded"), moment(link.succeeded_at, i18n.language)],
          [
            t("link.does"),
            [
              link.wants_devices && t("link.devices"),
              link.wants_push && t("link.push"),
              link.is_automatic && t("link.automatic"),
            ]
              .filter(Boolean)
              .join(" · ") || "—",
          ],
        ]}
      />
      {link.trouble && (
        <Alert
          type="error"
          showIcon
          title={i18n.language === "zh-CN" ? link.trouble.message_zh : link.trouble.message}
        />
      )}
      <div className="row">
        <Button onClick={() => test.mutate(undefined)} loading={test.isPending}>
          {t("link.test")}
        </Button>
        <Button onClick={edit}>{t("action.edit")}</Button>
        <Button
          danger
          onClick={() =>
            ask({
              title: t("link.removeTitle"),
              text: t("link.removeText"),
              button: t("action.remove"),
              do: () => remove.mutateAsync(undefined),
            })
          }
        >
          {t("action.remove")}
        </Button>
      </div>
    </>
  );
}

function LinkForm({ link, close }: { link: LinkPart | null; close: () => void }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<LinkIn>();
  const kind = Form.useWatch("kind", form) ?? link?.kind ?? "tailscale";
  const save = useAct({
    quiet: true,
    call: (typed: LinkIn) => {
      const body = { ...typed, secret: typed.secret || null };
      return link
        ? unwrap(api.POST("/api/acl/link/change", { body }))
        : unwrap(api.POST("/api/acl/link", { body }));
    },
    changes: [linkKey],
    done: t("link.saved"),
    after: close,
  });
  const needed = [{ required: true, message: t("field.required") }];
  const isTailscale = kind === "tailscale";
  return (
    <Form
      form={form}
      layout="vertical"
      requiredMark={false}
      onFinish={save.mutate}
      style={{ maxWidth: 560 }}
      initialValues={
        link
          ? { ...link, secret: "" }
          : {
              kind: "tailscale",
              address: "",
              tailnet: "",
              client_id: "",
              wants_devices: true,
              wants_push: false,
              is_automatic: false,
            }
      }
    >
      {save.isError && <Alert type="error" showIcon role="alert" title={errorText(save.error)} />}
      <Form.Item name="kind" label={t("link.kindLabel")}>
        <Radio.Group
          options={(["tailscale", "headscale"] as const).map((value) => ({
            value,
            label: t(`link.kind.${value}`),
          }))}
        />
      </Form.Item>
      <Form.Item name="client_id" label={t("link.clientId")} hidden={!isTailscale}>
        <Input className="mono" autoComplete="off" maxLength={128} />
      </Form.Item>
      <Form.Item name="address" label={t("link.serverUrl")} hidden={isTailscale}>
        <Input placeholder="https://" maxLength={512} />
      </Form.Item>
      <Form.Item
        name="secret"
        label={isTailscale ? t("link.secret") : t("link.apiKey")}
        extra={link ? t("link.keep") : t("link.sealed")}
        rules={link ? [] : needed}
      >
        <Input.Password autoComplete="off" maxLength={512} />
      </Form.Item>
      <Form.Item name="tailnet" label={isTailscale ? t("link.tailnet") : t("link.user")}>
        <Input maxLength={128} />
      </Form.Item>
      <Form.Item name="wants_devices" valuePropName="checked" noStyle>
        <Checkbox>{t("link.devices")}</Checkbox>
      </Form.Item>
      <br />
      <Form.Item name="wants_push" valuePropName="checked" noStyle hidden={!isTailscale}>
        <Checkbox>{t("link.push")}</Checkbox>
      </Form.Item>
      <br />
      <Form.Item name="is_automatic" valuePropName="checked" noStyle hidden={!isTailscale}>
        <Checkbox>{t("link.automatic")}</Checkbox>
      </Form.Item>
      <div className="row" style={{ marginTop: 16 }}>
        <Button type="primary" htmlType="submit" loading={save.isPending}>
          {t("action.save")}
        </Button>
        {link && <Button onClick={close}>{t("action.cancel")}</Button>}
      </div>
    </Form>
  );
}
