import { useQuery } from "@tanstack/react-query";
import { Alert, Checkbox, Form, Input, Modal, Radio } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { RolePart } from "@/api/schema";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { permissionsQuery, rolesKey } from "./queries";

type Typed = { name: string; permissions: string[]; scope: "all" | "own" };

/** A role for admins: its name, and what it permits. */
export function RoleForm({ role, close }: { role: RolePart | null; close: () => void }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const [form] = Form.useForm<Typed>();
  const permissions = useQuery(permissionsQuery);
  const save = useAct({
    quiet: true,
    call: (typed: Typed) =>
      role
        ? unwrap(
            api.POST("/api/security/roles/{role_id}", {
              params: { path: { role_id: role.id } },
              body: typed,
            }),
          )
        : unwrap(api.POST("/api/security/roles", { body: typed })),
    changes: [rolesKey],
    done: t("admin:roles.saved"),
    after: close,
  });
  return (
    <Modal
      open
      title={role ? t("admin:roles.change") : t("admin:roles.new")}
      okText={t("action.save")}
      cancelText={t("action.cancel")}
      confirmLoading={save.isPending}
      onOk={() => form.submit()}
      onCancel={close}
    >
      {role && <p className="muted">{t("admin:roles.changeHint")}</p>}
      {save.isError && <Alert type="error" showIcon role="alert" title={errorText(save.error)} />}
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        onFinish={save.mutate}
        initialValues={{
          name: role?.name ?? "",
          permissions: role?.permissions ?? [],
          scope: role?.scope ?? "all",
        }}
      >
        <Form.Item
          name="name"
          label={t("admin:roles.name")}
          rules={[{ required: true, whitespace: true, message: t("field.required") }]}
        >
          <Input maxLength={64} />
        </Form.Item>
        <Form.Item name="scope" label={t("admin:roles.scope")} extra={t("admin:roles.scopeHint")}>
          <Radio.Group
            options={(["all", "own"] as const).map((value) => ({
              value,
              label: t(`admin:roles.reach.${value}`),
            }))}
          />
        </Form.Item>
        <Form.Item name="permissions" label={t("admin:roles.permits")}>
          <Checkbox.Group
            className="stack tight"
            options={(permissions.data ?? []).map((one) => ({
              value: one.name,
              label: i18n.language === "zh-CN" ? one.zh : one.en,
            }))}
          />
        </Form.Item>
      </Form>
    </Modal>
  );
}
