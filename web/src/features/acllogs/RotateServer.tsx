import { useQuery } from "@tanstack/react-query";
import { Alert, Form, Modal, Select } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { GenerateForServer, ServersOut } from "@/api/schema";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { NewPorts } from "@/shared/ui/NewPorts";

/** Asks for the next version of everybody who has a relay on a server. */
export function RotateServer({ close }: { close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const [form] = Form.useForm<GenerateForServer>();
  const { data } = useQuery({
    queryKey: ["servers", "names"],
    queryFn: () =>
      unwrapList<ServersOut>(api.GET("/api/server/list", { params: { query: { limit: 200 } } })),
  });
  const ask = useAct({
    quiet: true,
    call: (typed: GenerateForServer) =>
      unwrap(api.POST("/api/acl/generate_for_server", { body: { ...typed, reason: "generated" } })),
    changes: [["aclLogs"]],
    done: (found) => t("admin:rotations.jobBegun", { count: found.job.total }),
    after: close,
  });
  return (
    <Modal
      open
      title={t("admin:rotations.forServer")}
      okText={t("admin:rotations.begin")}
      cancelText={t("action.cancel")}
      confirmLoading={ask.isPending}
      onOk={() => form.submit()}
      onCancel={close}
    >
      <p className="muted">{t("admin:rotations.forServerHint")}</p>
      {ask.isError && <Alert type="error" showIcon role="alert" title={errorText(ask.error)} />}
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        onFinish={ask.mutate}
        initialValues={{ new_ports: false }}
      >
        <Form.Item
          name="server_id"
          label={t("admin:containers.server")}
          rules={[{ required: true, message: t("field.required") }]}
        >
          <Select
            showSearch={{ optionFilterProp: "label" }}
            options={(data?.servers ?? []).map((one) => ({
              value: one.id,
              label: `#${one.id} ${one.region} ${one.ip}`,
            }))}
          />
        </Form.Item>
        <NewPorts />
      </Form>
    </Modal>
  );
}
