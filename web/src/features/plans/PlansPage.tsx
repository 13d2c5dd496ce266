import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Form, Input, InputNumber, Modal, Select, Table } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { PlanOut } from "@/api/schema";
import { bytes, rate, yuan } from "@/shared/format/format";
import { errorText } from "@/shared/i18n";
import { useAct, useAsk } from "@/shared/ui/act";
import { Loaded } from "@/shared/ui/Loaded";
import { Page, State } from "@/shared/ui/Page";
import { plansQuery } from "@/shared/ui/plans";
import { Prices } from "./Prices";

export function PlansPage() {
  const { t } = useTranslation(["app", "admin"]);
  const ask = useAsk();
  const query = useQuery(plansQuery);
  const [edited, setEdited] = useState<PlanOut | "new" | null>(null);
  const [priced, setPriced] = useState<PlanOut | null>(null);
  const retire = useAct({
    call: (plan: PlanOut) =>
      unwrap(
        api.POST("/api/finance/plans/{plan_id}", {
          params: { path: { plan_id: plan.id } },
          body: { version: plan.version, is_retired: plan.retired_at === null },
        }),
      ),
    changes: [["plans"]],
    done: t("admin:plans.saved"),
  });
  return (
    <Page
      title={t("admin:plans.title")}
      intro={t("admin:plans.intro")}
      extra={
        <Button type="primary" onClick={() => setEdited("new")}>
          {t("admin:plans.add")}
        </Button>
      }
    >
      <section className="card">
        <Loaded query={query}>
          {(plans) => (
            <Table
              rowKey="id"
              size="middle"
              pagination={false}
              dataSource={plans}
              columns={[
                {
                  key: "name",
                  title: t("admin:plans.name"),
                  render: (_, one) => <strong>{one.name}</strong>,
                },
                {
                  key: "days",
                  title: t("admin:plans.days"),
                  align: "right",
                  dataIndex: "duration_days",
                },
                {
                  key: "price",
                  title: t("admin:plans.price"),
                  align: "right",
                  render: (_, one) => yuan(one.price_fen),
                },
                {
                  key: "traffic",
                  title: t("usage.limit"),
                  align: "right",
                  render: (_, one) => bytes(one.traffic_bytes),
                },
                {
                  key: "rate",
                  title: t("home.speed"),
                  align: "right",
                  render: (_, one) =>
                    one.rate_bytes_per_second
                      ? rate(one.rate_bytes_per_second)
                      : t("home.unlimited"),
                },
                {
                  key: "devices",
                  title: t("admin:plans.devices"),
                  align: "right",
                  dataIndex: "device_limit",
                },
                {
                  key: "over",
                  title: t("admin:plans.overQuota"),
                  render: (_, one) =>
                    `${t(`overQuota.${one.over_quota}`)}${one.over_quota === "throttle" ? ` · ${rate(one.throttle_bytes_per_second)}` : ""}`,
                },
                {
                  key: "state",
                  title: t("admin:plans.state"),
                  render: (_, one) => (
                    <State tone={one.retired_at ? "off" : "good"}>
                      {one.retired_at ? t("admin:plans.retired") : t("admin:plans.onSale")}
                    </State>
                  ),
                },
                {
                  key: "actions",
                  title: "",
                  align: "right",
                  render: (_, one) => (
                    <div className="row end">
                      <Button
                        onClick={() => setPriced(one)}
                        aria-label={`${t("admin:plans.prices")} ${one.name}`}
                      >
                        {t("admin:plans.prices")}
                      </Button>
                      <Button
                        onClick={() => setEdited(one)}
                        aria-label={`${t("action.edit")} ${one.name}`}
                      >
                        {t("action.edit")}
                      </Button>
                      {one.retired_at ? (
                        <Button onClick={() => retire.mutate(one)}>
                          {t("admin:plans.resume")}
                        </Button>
                      ) : (
                        <Button
                          danger
                          onClick={() =>
                            ask({
                              title: t("admin:plans.retireTitle", { name: one.name }),
                              text: t("admin:plans.retireText"),
                              button: t("admin:plans.retire"),
                              do: () => retire.mutateAsync(one),
                            })
                          }
                        >
                          {t("admin:plans.retire")}
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
      {priced && <Prices plan={priced} close={() => setPriced(null)} />}
      {edited && <Edit plan={edited === "new" ? null : edited} close={() => setEdited(null)} />}
    </Page>
  );
}

interface Typed {
  name: string;
  duration_days: number;
  price: number;
  traffic: number;
  speed: number;
  device_limit: number;
  over_quota: "stop" | "throttle";
  slow: number;
}

function Edit({ plan, close }: { plan: PlanOut | null; close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const [form] = Form.useForm<Typed>();
  const over = Form.useWatch("over_quota", form) ?? plan?.over_quota ?? "stop";
  const save = useAct({
    quiet: true,
    call: async (typed: Typed): Promise<unknown> => {
      const terms = {
        name: typed.name.trim(),
        duration_days: typed.duration_days,
        price_fen: Math.round(typed.price * 100),
        traffic_bytes: Math.round(typed.traffic * 1e9),
        rate_bytes_per_second: Math.round(typed.speed * 125_000),
        device_limit: typed.device_limit,
        over_quota: typed.over_quota,
        throttle_bytes_per_second: Math.round((typed.slow ?? 0) * 125_000),
      };
      return plan
        ? unwrap(
            api.POST("/api/finance/plans/{plan_id}", {
              params: { path: { plan_id: plan.id } },
              body: { ...terms, version: plan.version },
            }),
          )
        : unwrap(api.POST("/api/finance/plans", { body: terms }));
    },
    changes: [["plans"]],
    done: t("admin:plans.saved"),
    after: close,
  });
  const needed = [{ required: true, message: t("field.required") }];
  return (
    <Modal
      open
      title={plan ? t("admin:plans.edit") : t("admin:plans.add")}
      okText={t("action.save")}
      cancelText={t("action.cancel")}
      confirmLoading={save.isPending}
      onOk={() => form.submit()}
      onCancel={close}
    >
      {save.isError && <Alert type="error" showIcon role="alert" title={errorText(save.error)} />}
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        onFinish={save.mutate}
        initialValues={
          plan
            ? {
                ...plan,
                price: plan.price_fen / 100,
                traffic: plan.traffic_bytes / 1e9,
                speed: plan.rate_bytes_per_second / 125_000,
                slow: plan.throttle_bytes_per_second / 125_000,
              }
            : { over_quota: "stop", speed: 20, device_limit: 5, slow: 1 }
        }
      >
        <Form.Item name="name" label={t("admin:plans.name")} rules={needed}>
          <Input maxLength={64} />
        </Form.Item>
        <div className="tiles" style={{ gap: "0 16px", gridTemplateColumns: "1fr 1fr" }}>
          <Form.Item name="duration_days" label={t("admin:plans.days")} rules={needed}>
            <InputNumber min={1} max={3660} precision={0} />
          </Form.Item>
          <Form.Item name="price" label={t("admin:plans.price")} rules={needed}>
            <InputNumber min={0} precision={2} />
          </Form.Item>
          <Form.Item
            name="traffic"
            label={t("admin:plans.traffic")}
            extra={t("admin:plans.trafficHint")}
            rules={needed}
          >
            <InputNumber min={0} />
          </Form.Item>
          <Form.Item
            name="speed"
            label={t("admin:plans.rate")}
            extra={t("admin:plans.rateHint")}
            rules={needed}
          >
            <InputNumber min={0} />
          </Form.Item>
          <Form.Item name="device_limit" label={t("admin:plans.devices")} rules={needed}>
            <InputNumber min={1} max={1000} precision={0} />
          </Form.Item>
          <Form.Item name="over_quota" label={t("admin:plans.overQuota")}>
            <Select
              options={(["stop", "throttle"] as const).map((value) => ({
                value,
                label: t(`overQuota.${value}`),
              }))}
            />
          </Form.Item>
          {over === "throttle" && (
            <Form.Item name="slow" label={t("admin:plans.throttle")} rules={needed}>
              <InputNumber min={0.01} />
            </Form.Item>
          )}
        </div>
      </Form>
    </Modal>
  );
}
