import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Form, Modal } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { Method, PlanOut } from "@/api/schema";
import { bytes, rate, yuan } from "@/shared/format/format";
import { newKey } from "@/shared/format/key";
import { errorText } from "@/shared/i18n";
import { homeKey, homeQuery } from "@/shared/live/keys";
import { useAct } from "@/shared/ui/act";
import { Loaded } from "@/shared/ui/Loaded";
import { Card, Facts } from "@/shared/ui/Page";
import { plansQuery } from "@/shared/ui/plans";
import { MethodChoice } from "./MethodChoice";
import { walletKey } from "./queries";

/** The plans on sale; buying one opens a rental or extends the one that runs. */
export function Buy({ placed }: { placed: (order: number) => void }) {
  const { t } = useTranslation();
  const query = useQuery(plansQuery);
  const { data: home } = useQuery(homeQuery);
  const [chosen, setChosen] = useState<PlanOut | null>(null);
  return (
    <Card
      title={home?.rental ? t("wallet.renew") : t("wallet.buy")}
      hint={home?.rental ? t("home.renewHint") : t("wallet.buyHint")}
    >
      <Loaded query={query}>
        {(plans) => (
          <div className="figures">
            {plans
              .filter((one) => one.retired_at === null)
              .map((plan) => (
                <section key={plan.id} className="card stack tight">
                  <h3>{plan.name}</h3>
                  <div className="figure-value">{yuan(plan.price_fen)}</div>
                  <Facts
                    rows={[
                      [t("home.length"), t("wallet.days", { count: plan.duration_days })],
                      [t("usage.limit"), bytes(plan.traffic_bytes)],
                      [
                        t("home.speed"),
                        plan.rate_bytes_per_second
                          ? rate(plan.rate_bytes_per_second)
                          : t("home.unlimited"),
                      ],
                      [t("devices.title"), plan.device_limit],
                    ]}
                  />
                  <Button
                    type="primary"
                    onClick={() => setChosen(plan)}
                    aria-label={`${t("wallet.choose")} ${plan.name}`}
                  >
                    {t("wallet.choose")}
                  </Button>
                </section>
              ))}
          </div>
        )}
      </Loaded>
      {chosen && <Checkout plan={chosen} placed={placed} close={() => setChosen(null)} />}
    </Card>
  );
}

function Checkout(props: { plan: PlanOut; placed: (order: number) => void; close: () => void }) {
  const { t } = useTranslation();
  const { plan } = props;
  const [key] = useState(newKey);
  const [form] = Form.useForm<{ method: Method }>();
  const order = useAct({
    quiet: true,
    call: async ({ method }: { method: Method }) => {
      const { order: made } = await unwrap(
        api.POST("/api/finance/orders", {
          body: { kind: "rental", plan_id: plan.id, method, request_key: key },
        }),
      );
      return made;
    },
    changes: [walletKey, homeKey, ["acl"]],
    after: (made) => {
      props.close();
      props.placed(made.id);
    },
  });
  return (
    <Modal
      open
      title={`${plan.name} · ${yuan(plan.price_fen)}`}
      okText={t("wallet.order")}
      cancelText={t("action.cancel")}
      confirmLoading={order.isPending}
      onOk={() => form.submit()}
      onCancel={props.close}
    >
      {order.isError && <Alert type="error" showIcon role="alert" title={errorText(order.error)} />}
      <Form form={form} layout="vertical" requiredMark={false} onFinish={order.mutate}>
        <Form.Item
          name="method"
          label={t("wallet.method")}
          rules={[{ required: true, message: t("field.required") }]}
        >
          <MethodChoice />
        </Form.Item>
      </Form>
    </Modal>
  );
}
