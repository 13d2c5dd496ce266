import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Checkbox, Drawer, Form, Input, Modal, Select, Switch, Table } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { ChannelIn } from "@/api/schema";
import type { ChannelOut } from "@/api/types";
import { moment } from "@/shared/format/format";
import { errorText, word } from "@/shared/i18n";
import { useAct, useAsk } from "@/shared/ui/act";
import { Loaded } from "@/shared/ui/Loaded";
import { Blank, Page, State } from "@/shared/ui/Page";
import { mailTone } from "@/shared/ui/tones";

const KINDS = ["webhook", "wecom", "dingtalk"] as const;
const SEVERITIES = ["info", "warning", "critical"] as const;
const CHANGED = [["channels"]];

/** Where operators are told besides by mail. */
export function ChannelsPage() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const ask = useAsk();
  const [edited, setEdited] = useState<ChannelOut | "new" | null>(null);
  const [shown, setShown] = useState<ChannelOut | null>(null);
  const query = useQuery({
    queryKey: ["channels"],
    queryFn: () => unwrap(api.GET("/api/notifications/channels")),
  });
  const test = useAct({
    call: (id: number) =>
      unwrap(
        api.POST("/api/notifications/channels/{channel_id}/test", {
          params: { path: { channel_id: id } },
        }),
      ),
    changes: CHANGED,
    done: t("admin:channels.tested"),
  });
  const remove = useAct({
    call: (id: number) =>
      unwrap(
        api.POST("/api/notifications/channels/{channel_id}/remove", {
          params: { path: { channel_id: id } },
        }),
      ),
    changes: CHANGED,
    done: t("admin:channels.removed"),
  });
  return (
    <Page
      title={t("admin:channels.title")}
      intro={t("admin:channels.intro")}
      extra={
        <Button type="primary" onClick={() => setEdited("new")}>
          {t("admin:channels.add")}
        </Button>
      }
    >
      <section className="card">
        <Loaded query={query}>
          {(found) => (
            <Table
              rowKey="id"
              pagination={false}
              dataSource={found.channels}
              locale={{ emptyText: <Blank title={t("admin:channels.none")} /> }}
              columns={[
                {
                  key: "name",
                  title: t("field.name"),
                  render: (_, one) => <strong>{one.name}</strong>,
                },
                {
                  key: "kind",
                  title: t("admin:channels.kindLabel"),
                  render: (_, one) => t(`admin:channels.kind.${one.kind}`),
                },
                {
                  key: "host",
                  title: t("admin:channels.host"),
                  render: (_, one) => <span className="mono">{one.host}</span>,
                },
                {
                  key: "state",
                  title: t("field.state"),
                  render: (_, one) => (
                    <State tone={!one.is_enabled ? "off" : one.failing_since ? "bad" : "good"}>
                      {!one.is_enabled
                        ? t("admin:channels.off")
                        : one.failing_since
                          ? t("admin:channels.failing", {
                              when: moment(one.failing_since, i18n.language),
                              error: one.error ?? "",
                            })
                          : t("admin:channels.ok")}
                    </State>
                  ),
                },
                {
                  key: "actions",
                  title: "",
                  align: "right",
                  render: (_, one) => (
                    <div className="row end">
                      <Button onClick={() => setShown(one)}>{t("admin:channels.messages")}</Button>
                      {one.allowed_actions.includes("test") && (
                        <Button onClick={() => test.mutate(one.id)}>
                          {t("admin:channels.test")}
                        </Button>
                      )}
                      {one.allowed_actions.includes("edit") && (
                        <Button onClick={() => setEdited(one)}>{t("action.edit")}</Button>
                      )}
                      {one.allowed_actions.includes("remove") && (
                        <Button
                          danger
                          onClick={() =>
                            ask({
                              title: t("admin:channels.removeTitle", { name: one.name }),
                              text: t("admin:channels.removeText"),
                              button: t("action.remove"),
                              do: () => remove.mutateAsync(one.id),
                            })
                          }
                        >
                          {t("action.remove")}
                        </Button>
                      )}
                    </div>
                  ),
                },
              ]}
            />
          )}
        </Loaded>
      </section>
      {edited && (
        <Edit
          channel={edited === "new" ? null : edited}
          topics={query.data?.topics ?? []}
          close={() => setEdited(null)}
        />
      )}
      <Drawer open={shown !== null} onClose={() => setShown(null)} size={640} title={shown?.name}>
        {shown && <Messages channel={shown} />}
      </Drawer>
    </Page>
  );
}

function Edit(props: { channel: ChannelOut | null; topics: string[]; close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const { channel } = props;
  const [form] = Form.useForm<ChannelIn>();
  const save = useAct({
    quiet: true,
    call: (typed: ChannelIn) => {
      const body = { ...typed, url: typed.url || null, secret: typed.secret || null };
      return channel
        ? unwrap(
            api.POST("/api/notifications/channels/{channel_id}", {
              params: { path: { channel_id: channel.id } },
              body,
            }),
          )
        : unwrap(api.POST("/api/notifications/channels", { body }));
    },
    changes: CHANGED,
    done: t("admin:channels.saved"),
    after: props.close,
  });
  const needed = [{ required: true, message: t("field.required") }];
  return (
    <Modal
      open
      title={channel ? t("admin:channels.edit") : t("admin:channels.add")}
      okText={t("action.save")}
      cancelText={t("action.cancel")}
      confirmLoading={save.isPending}
      onOk={() => form.submit()}
      onCancel={props.close}
    >
      {save.isError && <Alert type="error" showIcon role="alert" title={errorText(save.error)} />}
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        onFinish={save.mutate}
        initialValues={
          channel
            ? { ...channel, url: "", secret: "" }
            : {
                kind: "webhook",
                locale: "zh-CN",
                topics: ["alert"],
                min_severity: "warning",
                is_enabled: true,
              }
        }
      >
        <Form.Item name="name" label={t("field.name")} rules={needed}>
          <Input maxLength={64} />
        </Form.Item>
        <Form.Item name="kind" label={t("admin:channels.kindLabel")}>
          <Select
            options={KINDS.map((value) => ({ value, label: t(`admin:channels.kind.${value}`) }))}
          />
        </Form.Item>
        <Form.Item
          name="url"
          label={t("admin:channels.url")}
          extra={channel && t("admin:channels.urlKeep")}
          rules={channel ? [] : needed}
        >
          <Input maxLength={2048} placeholder="https://" autoComplete="off" />
        </Form.Item>
        <Form.Item
          name="secret"
          label={t("admin:channels.secret")}
          extra={channel && t("admin:channels.urlKeep")}
        >
          <Input.Password maxLength={512} autoComplete="off" />
        </Form.Item>
        <Form.Item name="topics" label={t("admin:channels.topics")}>
          <Checkbox.Group
            options={props.topics.map((value) => ({
              value,
              label: word(t as never, "admin:channels.topic", value),
            }))}
          />
        </Form.Item>
        <Form.Item name="min_severity" label={t("admin:channels.minSeverity")}>
          <Select
            options={SEVERITIES.map((value) => ({
              value,
              label: t(`admin:alerts.severity.${value}`),
            }))}
          />
        </Form.Item>
        <Form.Item name="locale" label={t("admin:channels.locale")}>
          <Select
            options={(["zh-CN", "en"] as const).map((value) => ({
              value,
              label: t(`language.${value}`),
            }))}
          />
        </Form.Item>
        <Form.Item name="is_enabled" label={t("admin:channels.enabled")} valuePropName="checked">
          <Switch />
        </Form.Item>
      </Form>
    </Modal>
  );
}

function Messages({ channel }: { channel: ChannelOut }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const query = useQuery({
    queryKey: ["channels", "messages", channel.id],
    queryFn: async () =>
      (
        await unwrap(
          api.GET("/api/notifications/channels/{channel_id}/messages", {
            params: { path: { channel_id: channel.id }, query: { limit: 50 } },
          }),
        )
      ).messages,
  });
  const requeue = useAct({
    call: (id: number) =>
      unwrap(
        api.POST("/api/notifications/channels/messages/{message_id}/requeue", {
          params: { path: { message_id: id } },
        }),
      ),
    changes: CHANGED,
    done: t("admin:channels.requeued"),
  });
  return (
    <Loaded query={query}>
      {(messages) => (
        <ul className="list">
          {messages.length === 0 && <li className="muted">{t("table.emptyAll")}</li>}
          {messages.map((one) => (
            <li key={one.id} className="stack tight">
              <div className="row between">
                <State tone={mailTone(one.status)}>
                  {t(`admin:channels.status.${one.status}`)}
                </State>
                <span className="muted small">{moment(one.created_at, i18n.language)}</span>
              </div>
              <div>{one.text}</div>
              {one.error && <div className="muted small">{one.error}</div>}
              {one.allowed_actions?.includes("requeue") && (
                <div>
                  <Button size="small" onClick={() => requeue.mutate(one.id)}>
                    {t("admin:channels.requeue")}
                  </Button>
                </div>
              )}
            </li>
          ))}
        </ul>
      )}
    </Loaded>
  );
}
