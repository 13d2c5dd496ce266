import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Form, Input, InputNumber, Modal, Select, Table } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { TokenScope } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { errorText } from "@/shared/i18n";
import { useAct, useAsk } from "@/shared/ui/act";
import { Copy } from "@/shared/ui/Copy";
import { Failed } from "@/shared/ui/Loaded";
import { Blank, Card, State } from "@/shared/ui/Page";

const tokensKey = ["tokens"] as const;
type Wanted = { name: string; scope: TokenScope; days: number };

/** Tokens for programs that act for somebody: each shown once, each with an end. */
export function Tokens() {
  const { t, i18n } = useTranslation();
  const ask = useAsk();
  const query = useQuery({
    queryKey: tokensKey,
    queryFn: async () => (await unwrap(api.GET("/api/user/tokens"))).tokens,
  });
  const revoke = useAct({
    call: (id: number) =>
      unwrap(
        api.POST("/api/user/tokens/{token_id}/revoke", { params: { path: { token_id: id } } }),
      ),
    changes: [tokensKey],
    done: t("tokens.revoked"),
  });
  return (
    <Card title={t("tokens.title")} hint={t("tokens.hint")} extra={<NewToken />}>
      {query.isError ? (
        <Failed error={query.error} retry={() => query.refetch()} />
      ) : (
        <Table
          rowKey="id"
          size="small"
          pagination={false}
          loading={query.isPending}
          dataSource={query.data ?? []}
          locale={{ emptyText: <Blank title={t("tokens.none")} /> }}
          columns={[
            { title: t("tokens.name"), dataIndex: "name" },
            { title: t("tokens.scope"), render: (_, one) => t(`tokens.scopes.${one.scope}`) },
            {
              title: t("field.state"),
              render: (_, one) => {
                const isOver = one.revoked_at || new Date(one.expires_at) < new Date();
                return (
                  <State tone={isOver ? "off" : "good"}>
                    {t(isOver ? "tokens.over" : "tokens.valid")}
                  </State>
                );
              },
            },
            {
              title: t("tokens.expires"),
              render: (_, one) => moment(one.expires_at, i18n.language),
            },
            {
              title: t("tokens.lastUsed"),
              render: (_, one) => moment(one.last_used_at, i18n.language),
            },
            {
              title: "",
              render: (_, one) =>
                !one.revoked_at && (
                  <Button
                    size="small"
                    danger
                    onClick={() =>
                      ask({
                        title: t("tokens.revokeTitle", { name: one.name }),
                        text: t("tokens.revokeText"),
                        button: t("tokens.revoke"),
                        do: () => revoke.mutateAsync(one.id),
                      })
                    }
                  >
                    {t("tokens.revoke")}
                  </Button>
                ),
            },
          ]}
        />
      )}
    </Card>
  );
}

function NewToken() {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  const [form] = Form.useForm<Wanted>();
  const make = useAct({
    quiet: true,
    call: (wanted: Wanted) => unwrap(api.POST("/api/user/tokens", { body: wanted })),
    changes: [tokensKey],
  });
  const close = () => {
    setOpen(false);
    make.reset();
    form.resetFields();
  };
  return (
    <>
      <Button onClick={() => setOpen(true)}>{t("tokens.new")}</Button>
      <Modal
        open={open}
        title={t("tokens.new")}
        okText={make.data ? t("action.close") : t("tokens.new")}
        cancelText={t("action.cancel")}
        {...(make.data ? { cancelButtonProps: { hidden: true } } : {})}
        confirmLoading={make.isPending}
        onOk={() => (make.data ? close() : form.submit())}
        onCancel={close}
      >
        {make.data ? (
          <div className="stack">
            <Alert type="warning" showIcon title={t("tokens.once")} />
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
            <pre className="code-block" tabIndex={0}>
              {make.data.token}
            </pre>
            <div>
              <Copy text={make.data.token} label={t("action.copy")} />
            </div>
          </div>
        ) : (
          <Form
            form={form}
            layout="vertical"
            requiredMark={false}
            onFinish={make.mutate}
            initialValues={{ scope: "read", days: 90 }}
          >
            {make.isError && (
              <Alert type="error" showIcon role="alert" title={errorText(make.error)} />
            )}
            <Form.Item
              name="name"
              label={t("tokens.name")}
              rules={[{ required: true, whitespace: true, message: t("field.required") }]}
            >
              <Input maxLength={64} />
            </Form.Item>
            <Form.Item name="scope" label={t("tokens.scope")}>
              <Select
                options={(["read", "write"] as const).map((one) => ({
                  value: one,
                  label: t(`tokens.scopes.${one}`),
                }))}
              />
            </Form.Item>
            <Form.Item name="days" label={t("tokens.days")}>
              <InputNumber min={1} max={366} precision={0} />
            </Form.Item>
          </Form>
        )}
      </Modal>
    </>
  );
}
