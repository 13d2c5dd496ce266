import { useQuery } from "@tanstack/react-query";
import { Form, Select } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { GenerateForServer, ServersOut } from "@/api/schema";
import { Asking } from "@/shared/ui/Asking";
import { NewPorts } from "@/shared/ui/NewPorts";

/** Asks for the next version of everybody who has a relay on a server. */
export function RotateServer({ close }: { close: () => void }) {
  const { t } = useTranslation(["app", "admin"]);
  const { data } = useQuery({
    queryKey: ["servers", "names"],
    queryFn: () =>
      unwrapList<ServersOut>(api.GET("/api/server/list", { params: { query: { limit: 200 } } })),
  });
  return (
    <Asking<Pick<GenerateForServer, "server_id" | "new_ports">>
      title={t("admin:rotations.forServer")}
      text={<p className="muted">{t("admin:rotations.forServerHint")}</p>}
      button={t("admin:rotations.begin")}
      initial={{ new_ports: false }}
      call={(typed) =>
        unwrap(
          api.POST("/api/acl/generate_for_server", { body: { ...typed, reason: "generated" } }),
        )
      }
      done={t("admin:rotations.begun")}
      changes={[["aclLogs"]]}
      close={close}
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
    </Asking>
  );
}
