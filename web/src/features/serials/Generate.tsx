import { Alert, Button, Form, Input, InputNumber, Modal, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { PlanOut } from "@/api/schema";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { Copy } from "@/shared/ui/Copy";

type Wanted = { plan_id: number; count: number; note?: string };

/** Makes serial numbers of a plan and shows them to be copied. */
export function Generate({ plans }: { plans: PlanOut[] }) {
  const { t } = useTranslation(["app", "admin"]);
  const [open, setOpen] = useState(false);
  const [form] = Form.useForm<Wanted>();
  const make = useAct({
    quiet: true,
    call: (wanted: Wanted) =>
      unwrap(
        api.POST("/api/serial/generate", {
          body: { ...wanted, note: wanted.note?.trim() || null },
        }),
      ),
    changes: [["serials"]],
  });
  const made = make.data?.serial_numbers;
  const close = () => {
    setOpen(false);
    make.reset();
  };
  return (
    <>
      <Button type="primary" onClick={() => setOpen(true)}>
        {t("admin:serials.generate")}
      </Button>
      <Modal
        open={open}
        title={
          made ? t("admin:serials.generated", { count: made.length }) : t("admin:serials.generate")
        }
        okText={made ? t("action.close") : t("admin:serials.generate")}
        cancelText={t("action.cancel")}
        {...(made ? { cancelButtonProps: { hidden: true } } : {})}
        confirmLoading={make.isPending}
        onOk={() => (made ? close() : form.submit())}
        onCancel={close}
      >
        {made ? (
          <div className="stack">
            <p className="muted">{t("admin:serials.generatedHint")}</p>
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
            <pre className="code-block" tabIndex={0}>
              {made.join("\n")}
            </pre>
            <div>
              <Copy text={made.join("\n")} label={t("admin:serials.copyAll")} />
            </div>
          </div>
        ) : (
          <Form
            form={form}
            layout="vertical"
            requiredMark={false}
            onFinish={make.mutate}
            initialValues={{ count: 1 }}
          >
            {make.isError && (
              <Alert type="error" showIcon role="alert" title={errorText(make.error)} />
            )}
            <Form.Item
              name="plan_id"
              label={t("admin:serials.plan")}
              rules={[{ required: true, message: t("field.required") }]}
            >
              <Select
                options={plans
                  .filter((one) => one.retired_at === null)
                  .map((one) => ({ value: one.id, label: `${one.name} (${one.duration_days})` }))}
              />
            </Form.Item>
            <Form.Item
              name="count"
              label={t("admin:serials.count")}
              rules={[{ required: true, message: t("field.required") }]}
            >
              <InputNumber min={1} max={1000} precision={0} />
            </Form.Item>
            <Form.Item name="note" label={t("admin:serials.note")}>
              <Input maxLength={200} />
            </Form.Item>
          </Form>
        )}
      </Modal>
    </>
  );
}
