import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Button, Checkbox, Form, Input, Modal } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { meQuery } from "@/shared/auth/session";
import { moment } from "@/shared/format/format";
import { errorText, word } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { Loaded } from "@/shared/ui/Loaded";
import { Card, State } from "@/shared/ui/Page";

const key = ["deregistration"] as const;

/** The end of an account: what is not settled is named before anything is destroyed. */
export function Deregister() {
  const { t, i18n } = useTranslation();
  const [open, setOpen] = useState(false);
  const query = useQuery({
    queryKey: key,
    queryFn: () => unwrap(api.GET("/api/user/deregistration")),
    refetchInterval: (found) => (found.state.data?.waiting_for.length ? 5000 : false),
  });
  return (
    <Card title={t("closing.title")} hint={t("closing.hint")}>
      <Loaded query={query}>
        {(found) => (
          <div className="stack tight">
            {found.deregister_at && (
              <State tone="warn">
                {t("closing.byItself", { date: moment(found.deregister_at, i18n.language) })}
              </State>
            )}
            {found.matters.map((one) => (
              <State key={one.code} tone="warn">
                {word(t as never, "closing.matter", one.code)}
              </State>
            ))}
            {found.waiting_for.length > 0 && (
              <>
                <strong>{t("closing.waiting")}</strong>
                <ul className="list">
                  {found.waiting_for.map((one) => (
                    <li key={`${one.server_id} ${one.address}`}>
                      <State tone={one.is_in_touch ? "busy" : "warn"}>
                        {one.region} · {one.address}
                      </State>
                    </li>
                  ))}
                </ul>
              </>
            )}
            {found.status === "active" && (
              <div>
                <Button danger onClick={() => setOpen(true)}>
                  {t("closing.button")}
                </Button>
              </div>
            )}
          </div>
        )}
      </Loaded>
      {open && <Confirm close={() => setOpen(false)} />}
    </Card>
  );
}

function Confirm({ close }: { close: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [form] = Form.useForm<{ password: string; give_up_rental?: boolean }>();
  const act = useAct({
    quiet: true,
    call: (typed: { password: string; give_up_rental?: boolean }) =>
      unwrap(
        api.POST("/api/user/deregister", {
          body: { password: typed.password, give_up_rental: typed.give_up_rental ?? false },
        }),
      ),
    changes: [key],
    after: async () => {
      close();
      await client.invalidateQueries({ queryKey: meQuery.queryKey });
    },
  });
  return (
    <Modal
      open
      title={t("closing.title")}
      okText={t("closing.button")}
      okButtonProps={{ danger: true }}
      cancelText={t("action.cancel")}
      confirmLoading={act.isPending}
      onOk={() => form.submit()}
      onCancel={close}
    >
      <p>{t("closing.text")}</p>
      {act.isError && <Alert type="error" showIcon role="alert" title={errorText(act.error)} />}
      <Form form={form} layout="vertical" requiredMark={false} onFinish={act.mutate}>
        <Form.Item name="give_up_rental" valuePropName="checked">
          <Checkbox>{t("closing.giveUp")}</Checkbox>
        </Form.Item>
        <Form.Item
          name="password"
          label={t("field.password")}
          rules={[{ required: true, message: t("field.required") }]}
        >
          <Input.Password autoComplete="current-password" />
        </Form.Item>
      </Form>
    </Modal>
  );
}
