import { Button, Form, InputNumber, Modal } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { CurrentPart } from "@/api/schema";
import { homeKey } from "@/shared/live/keys";
import { useAct } from "@/shared/ui/act";
import { aclKey } from "./queries";

/** Other region ids, for whoever has relays of his own under ours. */
export function Regions({ current }: { current: CurrentPart }) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  const [form] = Form.useForm<{ region_base: number }>();
  const change = useAct({
    call: (typed: { region_base: number }) => unwrap(api.POST("/api/acl/regions", { body: typed })),
    changes: [aclKey, homeKey],
    done: t("acl.regionsChanged"),
    after: () => setOpen(false),
  });
  return (
    <>
      <Button onClick={() => setOpen(true)}>{t("acl.changeRegions")}</Button>
      <Modal
        open={open}
        title={t("acl.changeRegions")}
        okText={t("action.save")}
        cancelText={t("action.cancel")}
        confirmLoading={change.isPending}
        onOk={() => form.submit()}
        onCancel={() => setOpen(false)}
      >
        <p className="muted">{t("acl.changeRegionsHint")}</p>
        <Form
          form={form}
          layout="vertical"
          requiredMark={false}
          onFinish={change.mutate}
          initialValues={{ region_base: Math.min(...current.region_ids) }}
        >
          <Form.Item
            name="region_base"
            label={t("acl.firstRegion")}
            rules={[{ required: true, message: t("field.required") }]}
          >
            <InputNumber min={902} max={996} precision={0} />
          </Form.Item>
        </Form>
      </Modal>
    </>
  );
}
