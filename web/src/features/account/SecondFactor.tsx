import { useQuery } from "@tanstack/react-query";
import { Button, Form, Input, Modal, QRCode } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { moment } from "@/shared/format/format";
import { Asking } from "@/shared/ui/Asking";
import { useAct } from "@/shared/ui/act";
import { Copy } from "@/shared/ui/Copy";
import { Loaded } from "@/shared/ui/Loaded";
import { Card, State } from "@/shared/ui/Page";

const factorKey = ["factor"] as const;
type What = "remove" | "renew" | null;

/** An authenticator app beside the password. */
export function SecondFactor() {
  const { t, i18n } = useTranslation();
  const [what, setWhat] = useState<What>(null);
  const [codes, setCodes] = useState<string[] | null>(null);
  const query = useQuery({
    queryKey: factorKey,
    queryFn: () => unwrap(api.GET("/api/user/second_factor")),
  });
  const begin = useAct({ call: () => unwrap(api.POST("/api/user/second_factor/begin")) });
  return (
    <Card title={t("factor.title")} hint={t("factor.hint")}>
      <Loaded query={query}>
        {(factor) => (
          <div className="stack tight">
            <State tone={factor.is_on ? "good" : factor.is_demanded ? "bad" : "off"}>
              {factor.is_on
                ? t("factor.on", { date: moment(factor.since, i18n.language) })
                : factor.is_demanded
                  ? t("factor.demanded")
                  : t("factor.off")}
            </State>
            {factor.is_on ? (
              <>
                <span className="muted">
                  {t("factor.left", { count: factor.recovery_codes_left })}
                </span>
                <div className="row">
                  <Button onClick={() => setWhat("renew")}>{t("factor.newCodes")}</Button>
                  {!factor.is_demanded && (
                    <Button danger onClick={() => setWhat("remove")}>
                      {t("factor.remove")}
                    </Button>
                  )}
                </div>
              </>
            ) : (
              <div>
                <Button
                  type="primary"
                  loading={begin.isPending}
                  onClick={() => begin.mutate(undefined)}
                >
                  {t("factor.begin")}
                </Button>
              </div>
            )}
          </div>
        )}
      </Loaded>
      {begin.data && (
        <GiveCode
          title={t("factor.begin")}
          button={t("action.confirm")}
          call={async (code) => {
            const made = await unwrap(
              api.POST("/api/user/second_factor/confirm", { body: { code } }),
            );
            setCodes(made.recovery_codes);
          }}
          close={() => begin.reset()}
        >
          <p>{t("factor.scan")}</p>
          <QRCode value={begin.data.address} type="svg" color="#000" bgColor="#fff" />
          <p className="row">
            <span className="mono">{begin.data.secret}</span>
            <Copy text={begin.data.secret} plain />
          </p>
        </GiveCode>
      )}
      {what === "renew" && (
        <GiveCode
          title={t("factor.newCodes")}
          button={t("factor.newCodes")}
          call={async (code) => {
            const made = await unwrap(
              api.POST("/api/user/second_factor/recovery_codes", { body: { code } }),
            );
            setCodes(made.recovery_codes);
          }}
          close={() => setWhat(null)}
        >
          <p>{t("factor.newCodesText")}</p>
        </GiveCode>
      )}
      {what === "remove" && (
        <GiveCode
          title={t("factor.remove")}
          button={t("factor.remove")}
          call={(code) => unwrap(api.POST("/api/user/second_factor/remove", { body: { code } }))}
          close={() => setWhat(null)}
        >
          <p>{t("factor.removeText")}</p>
        </GiveCode>
      )}
      <Modal
        open={codes !== null}
        title={t("factor.codes")}
        onCancel={() => setCodes(null)}
        onOk={() => setCodes(null)}
        okText={t("factor.kept")}
        cancelButtonProps={{ hidden: true }}
      >
        <p>{t("factor.codesText")}</p>
        <pre className="code-block">{codes?.join("\n")}</pre>
        {codes && <Copy text={codes.join("\n")} />}
      </Modal>
    </Card>
  );
}

function GiveCode(props: {
  title: string;
  button: string;
  call: (code: string) => Promise<unknown>;
  close: () => void;
  children: React.ReactNode;
}) {
  const { t } = useTranslation();
  return (
    <Asking<{ code: string }>
      title={props.title}
      text={props.children}
      button={props.button}
      call={({ code }) => props.call(code.replaceAll(" ", ""))}
      changes={[factorKey]}
      close={props.close}
    >
      <Form.Item
        name="code"
        label={t("login.code")}
        rules={[{ required: true, message: t("field.required") }]}
      >
        <Input className="mono" autoComplete="one-time-code" autoFocus maxLength={32} />
      </Form.Item>
    </Asking>
  );
}
