import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Alert, Form, Modal, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { Method } from "@/api/schema";
import { yuan } from "@/shared/format/format";
import { newKey } from "@/shared/format/key";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { Copy } from "@/shared/ui/Copy";
import type { Opened } from "@/shared/ui/Opener";
import { salesKey } from "./queries";
import { Wanted } from "./Wanted";

type Buying = { plan_id: number; quantity: number; method: Method };

/** Buys serial numbers at the distributor's price, and shows them once they are there. */
export default function Purchase(props: Opened & { mayGenerate: boolean }) {
  const { t } = useTranslation();
  const [key, setKey] = useState(newKey);
  const [form] = Form.useForm<Buying>();
  const planId = Form.useWatch("plan_id", form);
  const quantity = Form.useWatch("quantity", form);
  const methods = useQuery({
    queryKey: ["methods"],
    queryFn: () => unwrap(api.GET("/api/finance/methods")),
    enabled: props.open,
  });
  const quote = useQuery({
    queryKey: [...salesKey, "quote", planId, quantity],
    queryFn: () =>
      unwrap(api.GET("/api/admin/my/quote", { params: { query: { plan_id: planId, quantity } } })),
    enabled: Boolean(props.open && planId && quantity),
  });
  const buy = useAct({
    quiet: true,
    call: (wanted: Buying) => {
      const { method, ...what } = wanted;
      const isOwn = props.mayGenerate && (method === "wallet" || method === "credit");
      return isOwn
        ? unwrap(
            api.POST("/api/admin/my/generate", { body: { ...what, method, request_key: key } }),
          )
        : unwrap(api.POST("/api/admin/my/buy", { body: { ...wanted, request_key: key } }));
    },
    changes: [salesKey, ["wallet"]],
    after: () => setKey(newKey()),
  });
  const close = () => {
    props.close();
    buy.reset();
  };
  const bought = buy.data;
  return (
    <Modal
      open={props.open}
      title={bought ? t("sales.made", { count: bought.codes.length }) : t("sales.buy")}
      okText={bought ? t("action.close") : t("sales.order")}
      cancelText={t("action.cancel")}
      {...(bought ? { cancelButtonProps: { hidden: true } } : {})}
      confirmLoading={buy.isPending}
      onOk={() => (bought ? close() : form.submit())}
      onCancel={close}
    >
      {bought ? (
        bought.codes.length > 0 ? (
          <div className="stack">
            <p className="muted">{t("sales.madeHint")}</p>
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
            <pre className="code-block" tabIndex={0}>
              {bought.codes.join("\n")}
            </pre>
            <div>
              <Copy text={bought.codes.join("\n")} label={t("sales.copyAll")} />
            </div>
          </div>
        ) : (
          <div className="stack">
            <p>{t("sales.ordered", { number: bought.number })}</p>
            <Link to="/wallet">{t("sales.toPay")}</Link>
          </div>
        )
      ) : (
        <>
          <p className="muted">{t("sales.buyHint")}</p>
          {buy.isError && <Alert type="error" showIcon role="alert" title={errorText(buy.error)} />}
          <Form
            form={form}
            layout="vertical"
            requiredMark={false}
            onFinish={buy.mutate}
            initialValues={{ quantity: 1, method: "wallet" }}
          >
            <Wanted />
            <Form.Item name="method" label={t("sales.method")}>
              <Select
                options={[...(methods.data?.methods ?? []), "credit" as const].map((one) => ({
                  value: one,
                  label: t(`wallet.by.${one}`),
                }))}
              />
            </Form.Item>
          </Form>
          {quote.data && (
            <p aria-live="polite">
              {t("sales.quote", {
                listed: yuan(quote.data.list_fen),
                discount: yuan(quote.data.discount_fen),
                amount: yuan(quote.data.amount_fen),
              })}
            </p>
          )}
        </>
      )}
    </Modal>
  );
}
